"""The REST API against its own description: schemathesis makes calls of every operation, right ones and wrong ones, on behalf of a supervisor and of an
auditor. No answer is a failure of the server, and each is of a status, a type and a shape that the document names.

The calls are the same on every run: their number is bounded and what they are is derived from the operation alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.collector.web.as_visitor import HEADER, let_in
from tests.collector.web.quality.whole_bank import WholeBank
from tests.collector.web.taking import Taking
from tests.variants import long_after
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.rest.api import PREFIX

WHO = {str(role): Visitor(str(role), role) for role in (Role.SUPERVISOR, Role.AUDITOR)}
USUAL, LONG = 1, 40
"""Calls of an operation of each kind, in `make test` and in `make test-long`."""
ENDLESS = {f"GET {PREFIX}/events"}
"""A stream does not end; test_api.py looks at it."""
CHECKS = [
    status_code_conformance, content_type_conformance, response_schema_conformance, response_headers_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> WholeBank:
    return WholeBank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def client(bank: WholeBank) -> Iterator[TestClient]:
    """A console over the bank whose collector takes what is asked for."""
    console = Console(
        lambda: SqliteReader(bank.path),
        with_pages=False,
        acts=ActsDoor(bank.path),
        database=bank.path,
        config=bank.file,
    )
    let_in(console, WHO, str(Role.SUPERVISOR))
    console.house.wait = lambda *_: 0.0  # type: ignore[method-assign]  # how often one may ask is another test's
    with ExitStack() as stack:
        stack.enter_context(Taking(bank.path, bank.rules, bank.now))
        yield stack.enter_context(TestClient(console.app, base_url="http://127.0.0.1", raise_server_exceptions=False))


@pytest.fixture(scope="module")
def operations(client: TestClient) -> list[Any]:
    document = client.get(f"{PREFIX}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    return [found.ok() for found in schema.get_all_operations() if found.ok().label not in ENDLESS]


@pytest.fixture(scope="module")
def known(bank: WholeBank) -> dict[str, str]:
    """What stands in this bank, for the parameters of addresses."""
    return {
        "terminal": "atm-1", "incident": bank.incident, "alarm": str(bank.alarms()[0].id), "branch": "Harbour Road", "region": "North",
        "finding": bank.foreseen["disk"].id, "window": "M-0", "rule": "disk.full", "n": "1", "command": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "calls",
    [
        # Of two marks the one of the function would count: each number of calls has its own.
        pytest.param(USUAL, marks=pytest.mark.timeout(600)),
        pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(3_600)]),
    ],
)
@pytest.mark.parametrize("role", long_after(1, WHO))
def test_the_api_keeps_to_its_document(
    client: TestClient, operations: list[Any], known: dict[str, str], role: str, calls: int
) -> None:
    assert len(operations) > 60
    wrong: dict[str, str] = {}
    for operation in operations:
        try:
            call_all(client, operation, known, role, calls)
        except BaseExceptionGroup as group:
            wrong[operation.label] = "; ".join(str(each) or repr(each) for each in group.exceptions)
        except AssertionError as error:
            wrong[operation.label] = str(error) or "".join(traceback.format_tb(error.__traceback__)[-3:])
    assert wrong == {}


def call_all(client: TestClient, operation: Any, known: dict[str, str], role: str, calls: int) -> None:
    """Right calls about what is there, right ones about anything, and wrong ones."""
    names = {each.name for each in operation.path_parameters}
    about = {name: known[name] for name in names if name in known}
    kinds = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if about:
        kinds.append(operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=about))
    if operation.query or operation.body:  # of an address alone every text is a right one
        kinds.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    for kind in kinds:
        call_some(client, kind, role, calls)


def call_some(client: TestClient, kind: Any, role: str, calls: int) -> None:
    @settings(
        max_examples=calls, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(kind)
    def run(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1", headers={HEADER: role})
        body = {"content" if name == "data" else name: sent[name] for name in ("json", "data") if name in sent}
        answer = client.request(sent["method"], sent["url"], headers=sent["headers"], params=sent.get("params"), **body)
        later = (
            answer.status_code == 503 and "retry-after" in answer.headers
        )  # what is being computed, and says when to ask again
        assert answer.status_code < 500 or later, f"{answer.status_code} to {case.as_curl_command()}"
        case.validate_response(answer, checks=CHECKS)

    run()
