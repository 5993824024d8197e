"""The flat reader of XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.sources.windows_xml import MAX_ELEMENTS, Element, elements


def test_children_come_before_their_parents_with_local_names_below_the_root():
    found = elements(
        '<?xml version="1.0" encoding="utf-16"?>\r\n<a xmlns:q="urn:x"><q:b n="1"> two &amp; three </q:b><c><d>四</d></c></a>'
    )
    assert found == [
        Element("b", {"n": "1"}, "two & three"),
        Element("c/d", {}, "四"),
        Element("c", {}, ""),
        Element("", {"xmlns:q": "urn:x"}, ""),
    ]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "no XML"),
        ("<a>", "no XML"),
        ("<a></b>", "no XML"),
        ("<a>\x01</a>", "no XML"),
        ("<a/><a/>", "no XML"),
        ("<a>\ud800</a>", None),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        ("<a>" + "<b/>" * MAX_ELEMENTS + "</a>", "over"),
        ("<b>" * (MAX_ELEMENTS + 1), "over"),
    ],
)
def test_what_is_none_is_told(document, why):
    if why is None:
        assert elements(document) == [Element("", {}, "?")]
    else:
        with pytest.raises(ValueError, match=why):
            elements(document)


@given(st.text(alphabet="<>/abA&;='\"! ?-[]\0", max_size=60))
def test_nothing_but_a_value_error(document):
    try:
        found = elements(document)
    except ValueError:
        return
    assert found[-1].path == ""
