from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.products.atlassian_document import MAX_DEPTH, document, plain

lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40)


@given(st.lists(lines | st.just("siehe https://desk.example/a?b=1 电池"), min_size=1, max_size=8))
def test_what_was_written_reads_back(texts) -> None:
    text = "\n".join(texts)
    assert plain(document(text)) == text.removesuffix("\n")


@given(st.text())
def test_any_text_makes_a_document_without_empty_text_nodes(text) -> None:
    told = document(text)
    assert told["content"]
    assert all(node["text"] for block in told["content"] for node in block.get("content", []))


json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda held: (
        st.lists(held, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "content", "attrs"]), held, max_size=4)
    ),
    max_leaves=20,
)


@given(json)
def test_anything_reads_as_some_text(held) -> None:
    assert isinstance(plain(held), str)


def test_what_people_write_is_read() -> None:
    told = {
        "type": "doc",
        "content": [
            {
                "type": "paragraph",
                "content": [
                    {"type": "mention", "attrs": {"id": "5b10", "text": "@Li Wei"}},
                    {"type": "text", "text": " 换了电池"},
                    {"type": "hardBreak"},
                    {"type": "text", "text": "ok", "marks": [{"type": "strong"}]},
                ],
            },
            {
                "type": "bulletList",
                "content": [
                    {
                        "type": "listItem",
                        "content": [{"type": "paragraph", "content": [{"type": "text", "text": each}]}],
                    }
                    for each in ("fan", "fuse")
                ],
            },
            {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "1"}}]},
            {"type": "paragraph", "content": [{"type": "inlineCard", "attrs": {"url": "https://a.example/1"}}]},
        ],
    }
    assert plain(told) == "@Li Wei 换了电池\nok\nfan\nfuse\n\nhttps://a.example/1"


def test_nesting_without_end_is_not_followed() -> None:
    told = {"type": "text", "text": "deep"}
    for _ in range(MAX_DEPTH + 1):
        told = {"type": "panel", "content": [told]}
    assert "deep" not in plain(told)
