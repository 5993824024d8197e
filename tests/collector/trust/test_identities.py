"""What the doctor says of keys and certificates, with the time in the test's hands."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.config import Config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.sections import BrokerSection, CollectorSection
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.identities import examine_identities
from tillwatch.collector.trust.registry import Enrolment, EnrolRequest, operator_facts
from tillwatch.collector.trust.succession import revoked_serials

DAY = 86_400 * 10**9


@pytest.fixture
async def site(tmp_path: Path) -> tuple[Config, Pipeline]:
    config = Config(collector=CollectorSection(data_dir=tmp_path))
    pipeline = Pipeline(SqliteStore(config.database), SigningKey(bytes(32)), {})
    await pipeline.start(shipped_text(), "")
    for number in range(7):
        request = EnrolRequest(f"t{number}", SigningKey(bytes([number + 1] * 32)).public, 0xA0 + number, "10.0.0.1")
        await pipeline.operate(operator_facts(Enrolment(request.terminal, "b", "r", "atm"), request))
    return config, pipeline


def said(config: Config, days: int = 0) -> dict[str, tuple[str, str]]:
    return {subject: (state, text) for subject, state, text in examine_identities(config, time.time_ns() + days * DAY)}


async def test_keys_and_certificates_that_grow_old(site: tuple[Config, Pipeline]) -> None:
    config, pipeline = site
    assert {state for state, _ in said(config).values()} == {"ok"}
    assert said(config, 190)["signing keys"][0] == "ok"
    state, text = said(config, 200)["signing keys"]
    assert (state, text.startswith("t0, t1, t2, t3, t4 and 2 more should have rotated")) == ("warn", True)
    assert said(config, 690)["client certificates"][0] == "ok"
    assert said(config, 705)["client certificates"][0] == "warn"
    await pipeline.operate({"action": "revoke", "terminal": "t3", "reason": "stolen"})
    assert "t3" not in said(config, 705)["client certificates"][1]
    assert said(config)["revoked terminals"] == ("ok", "t3")
    pipeline.store.close()


async def test_a_second_machine_is_a_failure(site: tuple[Config, Pipeline]) -> None:
    config, pipeline = site
    await pipeline.operate({"action": "conflict", "terminal": "t2", "actor": "terminal t2", "detail": "twice"})
    assert said(config)["second machines"][0] == "fail"
    assert "t2" in said(config)["second machines"][1]
    pipeline.store.close()


async def test_the_list_that_a_broker_outside_reads(site: tuple[Config, Pipeline], tmp_path: Path) -> None:
    config, pipeline = site
    path = tmp_path / "crl.pem"
    config = replace(config, broker=BrokerSection(embedded=False, host="broker", crl_file=path))
    authority = open_authority(config.authority)
    assert said(config)["revocation list"][0] == "fail"
    path.write_bytes(authority.crl({}))
    assert said(config)["revocation list"] == ("ok", f"{path}, 0 certificates")
    await pipeline.operate({"action": "revoke", "terminal": "t3", "reason": "stolen"})
    state, text = said(config)["revocation list"]
    assert (state, "lacks 1 certificates" in text) == ("fail", True)
    path.write_bytes(authority.crl(revoked_serials(pipeline.fold.fleet.terminals.values())))
    assert said(config)["revocation list"] == ("ok", f"{path}, 1 certificates")
    pipeline.store.close()


def test_without_a_database_nothing_is_said(tmp_path: Path) -> None:
    assert said(Config(collector=CollectorSection(data_dir=tmp_path))) == {}
