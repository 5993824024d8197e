"""The public surface that other parts, and other versions, rely on. A name or a number that changes here changes a contract."""

from __future__ import annotations

import ast
import dataclasses
import enum
from importlib import import_module
from pathlib import Path

import pytest

MODEL = "AGENT Batch Clock MS PollClass Quality Reading Sample State Value device_of"
WIRE = """
    ACK_DIGEST Ack AckState Claim Column FIRST_PREV Header Keys LEAST_PACE Life MAX_BODY MAX_DEVICES MAX_HEADER MAX_NAME MAX_PAYLOAD MAX_READINGS MAX_REFUSED
    MAX_ROTATIONS MAX_SPAN_MS MAX_TERMINAL MAX_TEXT MOST_PACE Opened Refusal Rotation SIGNATURE Sealed SigningKey TOPIC_ROOT USUAL_PACE VerifyKey WireError ack_topic
    batch_topic claim_of frame_of life_topic new_epoch open_ack open_batch open_batch_frame open_header open_life open_life_frame open_rotation
    ALLOWED MAX_BUNDLE MAX_COMMAND_LIFE MAX_FACTOR MAX_MINUTES MIN_FACTOR OFF PIECE REJECTED RESULT Assembly Command CommandKind Outcome Result
    pieces_of result_of open_command seal_command command_topic
    CONFIG DIGEST_SHOWN MAX_PACKED NOT_TAKEN Directive Report Running bundle_topic open_directive report_of seal_directive valid_name
    seal seal_ack seal_life seal_rotation split_frame stored_column stored_columns valid_terminal
    SerialError normal_serial
"""
PROFILES = """
    Absent Axis Condition DeviceProfile Edge Field Form Item Kind Life Limits Match Piece Poll Recognition Signal Stress Table Test Words
"""


@pytest.mark.parametrize(
    ("name", "expected"), [("agent.model", MODEL), ("agent.wire", WIRE), ("device_profiles.model", PROFILES)]
)
def test_public_names(name: str, expected: str) -> None:
    module = import_module(f"tillwatch.{name}")
    assert public_names(module.__file__, getattr(module, "__all__", None)) == set(expected.split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.Quality", {"GOOD": 0, "STALE": 1, "CLOCK_SUSPECT": 2, "ERROR": 3}),
        ("model.State", {"NONE": 0, "OK": 1, "WARN": 2, "CRIT": 3, "UNKNOWN": 4}),
        ("model.PollClass", {"FAST": "fast", "NORMAL": "normal", "SLOW": "slow"}),
        (
            "wire.CommandKind",
            {
                "POLL_NOW": "poll-now",
                "RAISE_SAMPLING": "raise-sampling",
                "COLLECT_BUNDLE": "collect-bundle",
                "SELF_REPORT": "self-report",
            },
        ),
        ("wire.Outcome", {name.upper(): name for name in ("done", "refused", "failed", "interrupted")}),
        ("wire.AckState", {name.upper(): name for name in ("ok", "resend", "refused", "enrol", "slow", "fork")}),
    ],
)
def test_words_and_numbers_that_travel(name: str, expected: dict[str, int | str]) -> None:
    """Agents in the field speak them for years: one may be added at the end, none may change or go."""
    module, kind = name.split(".")
    members: type[enum.Enum] = getattr(import_module(f"tillwatch.agent.{module}"), kind)
    assert {member.name: member.value for member in members} == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.Reading", "component signal at value quality state"),
        ("model.Batch", "readings lost"),
        ("wire.Header", "terminal key epoch seq prev floor sent boot up clock lost n codec schema"),
        ("wire.Life", "terminal key epoch floor next lost boot up now n state rotations"),
        ("wire.Ack", "epoch seq want state window min_interval time refused digest pace"),
        ("wire.Command", "terminal number kind issued expires epoch arguments key"),
        ("wire.Result", "number outcome reason words"),
    ],
)
def test_members_that_travel(name: str, expected: str) -> None:
    module, kind = name.split(".")
    members = getattr(import_module(f"tillwatch.agent.{module}"), kind)
    assert [member.name for member in dataclasses.fields(members)] == expected.split()


def public_names(file: str | None, exported: list[str] | None) -> set[str]:
    """`__all__`, or else what the module itself defines, without what it imports."""
    if exported is not None:
        return set(exported)
    assert file is not None
    names: set[str] = set()
    for statement in ast.parse(Path(file).read_text("utf-8")).body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return {name for name in names if not name.startswith("_")}
