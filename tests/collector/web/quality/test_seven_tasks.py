"""Seven things that people come for, done by somebody who has just signed in, in a real browser over a real store with its collector: what was wanted is
reached, and it takes no more clicks and typed fields than packaging/docs/console.md says.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.collector.web.quality.staffed import Staffed
from tests.collector.web.quality.whole_bank import WholeBank
from tests.collector.web.taking import Taking
from tillwatch.collector.__main__ import main
from tillwatch.collector.people.roles import Role
from tillwatch.collector.store.reader import SqliteReader

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SECOND = 10**9
BANK_ZONE = ZoneInfo("Asia/Shanghai")  # of the policy that ships
MANUAL = Path(__file__).parents[4] / "packaging/docs/console.md"
BRANCH, WORST = "人民路支行", "atm-3"


@dataclass
class Person:
    """Somebody at the console. clicks, fields: since the task began. A choice out of a list is one click."""

    page: Page
    clicks: int = 0
    fields: int = 0

    async def click(self, what: Locator) -> None:
        self.clicks += 1
        await what.click()

    async def choose(self, where: Locator, label: str) -> None:
        self.clicks += 1
        await where.select_option(label=label)

    async def type(self, where: Locator, text: str) -> None:
        self.fields += 1
        await where.fill(text)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> WholeBank:
    return WholeBank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def staffed(bank: WholeBank) -> Iterator[Staffed]:
    with ExitStack() as stack:
        stack.enter_context(Taking(bank.path, bank.rules, bank.now))
        running = Staffed(bank.path, "--config", str(bank.file))
        yield running
        assert running.stop()[0] == 0


@pytest_asyncio.fixture(loop_scope="module")
async def person(browser: Browser, staffed: Staffed) -> AsyncIterator[Person]:
    context = await staffed.enter(browser, Role.SUPERVISOR, viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(staffed.url)
    await page.wait_for_selector(".ag-center-cols-container .ag-row")
    yield Person(page)
    await context.close()


@pytest.fixture
def allowed() -> Callable[[int], tuple[int, int]]:
    """(clicks, fields) of a task, by the manual."""
    rows = re.findall(r"^\| (\d)\. [^|]+\|[^|]+\| (\d+) \| (\d+) \|$", MANUAL.read_text("utf-8"), re.MULTILINE)
    table = {int(task): (int(clicks), int(fields)) for task, clicks, fields in rows}
    assert sorted(table) == list(range(1, 8))
    return table.__getitem__


async def to_terminal(person: Person) -> None:
    """The worst of the branch stands first."""
    page = person.page
    await person.choose(page.locator("#tw-branch"), BRANCH)
    await expect(page.locator("#tw-count")).to_contain_text("3 of")
    await expect(page.locator('.ag-row[row-index="0"]')).to_contain_text(WORST)


async def test_1_the_worst_machine_of_a_branch(person, allowed):
    await to_terminal(person)
    await expect(person.page.locator('.ag-row[row-index="0"]')).to_contain_text("The battery of the UPS runs empty")
    assert (person.clicks, person.fields) == allowed(1)


async def to_file(person: Person) -> None:
    await to_terminal(person)
    await person.click(person.page.locator(f'.ag-row[row-index="0"] >> text="{WORST}"'))
    await person.page.wait_for_url(f"**/terminal/{WORST}")


async def test_2_why_it_is_down_and_since_when(person, allowed):
    await to_file(person)
    alarm = person.page.locator(".tw-incident").first
    await expect(alarm).to_contain_text("The battery of the UPS runs empty")
    await expect(alarm).to_contain_text(re.compile(r"Since\s*\d+ \w+ \d{4}"))
    await expect(alarm).to_contain_text("Cause")
    assert (person.clicks, person.fields) == allowed(2)


async def to_incident(person: Person) -> None:
    await to_file(person)
    await person.click(person.page.locator(".tw-incident").first.get_by_role("link", name=re.compile("^HWM-")))
    await person.page.wait_for_url("**/incident/**")


async def test_3_take_it_on_and_hand_it_over(person, allowed):
    await to_incident(person)
    page = person.page
    await person.click(page.locator(".tw-file-acts").get_by_role("button", name="Assign"))
    await person.choose(page.locator("dialog[open] select"), "technician")
    await person.click(page.locator("dialog[open] button[type=submit]"))
    await expect(page.locator(".tw-head .tw-facts")).to_contain_text("technician")
    assert (person.clicks, person.fields) == allowed(3)


async def test_4_whether_the_ticket_exists(person, allowed):
    await to_incident(person)
    await expect(person.page.locator(".tw-ticket")).to_contain_text("Number")
    await expect(person.page.locator(".tw-ticket dd").nth(1)).not_to_be_empty()
    assert (person.clicks, person.fields) == allowed(4)


def length(ns: int) -> str:
    """As the console writes lengths of less than two days."""
    s = ns // SECOND
    return f"{s // 60} min" if s < 7_200 else f"{s // 3_600} h {s % 3_600 // 60} min"


async def rows(section: Locator) -> list[list[str]]:
    """What a table says, cell by cell."""
    await expect(section.locator("tbody tr").first).to_be_visible()
    return [[text.strip() for text in await row.locator("td").all_inner_texts()] for row in await section.locator("tbody tr").all()]  # fmt: skip


async def test_5_what_ran_out_last_month_and_whose_fault_the_downtime_was(person, allowed, bank):
    page = person.page
    await person.click(page.get_by_role("button", name=re.compile("^Figures")))
    await person.click(page.locator(".tw-nav-list").get_by_role("link", name=re.compile("Availability")))
    await page.wait_for_url("**/figures**")
    ran_out, causes = page.locator("#ran-out"), page.locator("#causes")
    said_out, said_down = await rows(ran_out), await rows(causes)
    assert (person.clicks, person.fields) == allowed(5)

    # What the store has of that month: an episode of a supply, and one hour that somebody corrected to be down.
    with closing(SqliteReader(bank.path)) as reader:
        month = datetime.fromtimestamp(bank.now / SECOND, BANK_ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)  # fmt: skip
        start, end = (month - timedelta(days=1)).replace(day=1).timestamp(), month.timestamp()
        supplies = {name for name, rule in reader.in_force().rules.by_id.items() if rule.axis == "supply"}
        out = [
            each
            for each in reader.alarms(open_only=False)
            if each.rule in supplies and start <= each.raised_at / SECOND < end
        ]
        (cut,) = [each for each in reader.corrections() if start <= each.since / SECOND < end]
    (empty,) = out
    assert (empty.terminal, cut.terminal) == ("atm-7", "atm-8")
    assert said_out == [[empty.text, "Cash", "1", "1", length(empty.cleared_at - empty.raised_at), "–"]]
    assert said_down == [["the line of the branch was cut", "Network", length(cut.until - cut.since), "100.0 %", "1", "1"]]  # fmt: skip
    assert cut.party == "network"
    assert re.findall(r"([A-Za-z ]+)\s+([\d.]+ %)", await causes.locator(".tw-fig-parties").inner_text()) == [("Network", "100.0 %")]  # fmt: skip

    # And which terminals they were, one click behind each line.
    await ran_out.locator("button.tw-fig-open").click()
    await expect(ran_out.locator(".tw-fig-behind tbody tr")).to_have_count(1)
    await expect(ran_out.locator(".tw-fig-behind tbody")).to_contain_text(re.compile(rf"{empty.terminal}.*{re.escape(empty.component)}"))  # fmt: skip
    await causes.locator("button.tw-fig-open").click()
    await expect(causes.locator(".tw-fig-behind tbody tr")).to_have_count(1)
    await expect(causes.locator(".tw-fig-behind tbody")).to_contain_text(cut.terminal)


async def test_6_a_value_is_proved(person, allowed, bank, tmp_path, capsys):
    await to_file(person)
    page = person.page
    await person.click(page.locator("a.tw-source").first)
    await page.wait_for_url("**/readings?**")
    await person.click(page.locator(".tw-prove-button"))
    async with page.expect_download(timeout=60_000) as coming:
        await person.click(page.locator(".tw-prove-file"))
    bundle = tmp_path / (await coming.value).suggested_filename
    await (await coming.value).save_as(bundle)
    program, *words = shlex.split(await page.locator(".tw-prove-made pre").inner_text())
    assert program == "tillwatch-collector"
    said = [str(bundle) if word == bundle.name else word for word in words]
    assert str(bundle) in said
    assert main(said) == 0, capsys.readouterr()
    assert (person.clicks, person.fields) == allowed(6)


async def test_7_a_branch_into_maintenance_for_tonight(person, allowed):
    page = person.page
    await person.click(page.locator('.ag-row[row-index="0"] [col-id="branch"] a'))
    await page.wait_for_url("**/branch/**")
    await person.click(page.get_by_role("link", name="Put into maintenance"))
    form = page.locator("dialog[open] form")
    await person.type(form.get_by_label("Reason"), "New switch")
    await person.type(form.get_by_label("Agreed by"), "li.wei")
    await expect(form.locator(".tw-covers")).to_be_visible()
    await person.click(form.locator("button[type=submit]"))
    await expect(page.locator(".tw-cal-said")).to_be_visible()
    assert (person.clicks, person.fields) == allowed(7)
