"""Doing a task on its page: by mouse, and by keyboard alone."""

from dataclasses import dataclass

from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from oasst.accounts.models import User
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.browser.journeys.conftest import check_page

WORDS = "Water rises in thin tubes, and leaves pull at it all day long"
MOST_TABS = 250


def open_task(person: User) -> Task:
    return Task.objects.get(user=person, status=Task.Status.OPEN)


def close_open_tasks(person: User) -> None:
    """End what was handed out after the last answer, so that the next task of the journey is the only one."""
    over = {"status": Task.Status.EXPIRED, "finished_at": timezone.now()}
    Task.objects.filter(user=person, status=Task.Status.OPEN).update(**over)


def reach(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there."""
    expect(target).to_be_attached()
    for _ in range(MOST_TABS):
        if target.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


def check_no_trap(page: Page) -> None:
    """Tab comes around the whole page in both directions."""
    for key in ("Tab", "Shift+Tab"):
        page.locator("body").evaluate("() => document.activeElement?.blur()")
        seen: list[str] = []
        for _ in range(MOST_TABS):
            page.keyboard.press(key)
            here = page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)")
            if seen and here == seen[0]:
                break
            seen.append(here)
        else:
            raise AssertionError(f"{key} does not come around {page.url}")
        assert len(seen) > 5


@dataclass(frozen=True)
class Hand:
    """How a person does things on a page."""

    page: Page
    script: bool

    def take(self, kind: Kind) -> None:
        raise NotImplementedError

    def answer(self, kind: Kind) -> None:
        raise NotImplementedError

    def send(self) -> None:
        raise NotImplementedError

    def arrive(self, kind: Kind) -> None:
        """The page of a task of this kind is open, and its heading has the focus."""
        expect(self.page.get_by_test_id("task")).to_have_attribute("data-task-kind", kind)
        expect(self.page.get_by_role("heading", level=1)).to_be_focused()
        check_page(self.page)

    def was_sent(self) -> None:
        """The next page says so, offers to undo it, and its heading has the focus (row 65)."""
        expect(self.page.get_by_test_id("undo")).to_be_visible()
        expect(self.page.get_by_role("heading", level=1)).to_be_focused()
        check_page(self.page)


class Mouse(Hand):
    def take(self, kind: Kind) -> None:
        self.page.goto("/dashboard/")
        self.page.get_by_test_id(f"card-{kind}").click()
        self.arrive(kind)

    def answer(self, kind: Kind) -> None:
        page = self.page
        match TABLE[kind].answer:
            case "text":
                page.get_by_test_id("reply").fill(f"{WORDS}, as {kind}.")
            case "labels":
                page.locator("[data-question=spam]").get_by_test_id("no").check()
                scale = page.locator("[data-question=quality] [data-testid=radio-option]")
                if scale.count():
                    scale.nth(3).check()
            case "ranking":
                last = page.locator("[data-rank-item]").last
                if self.script:
                    last.get_by_role("button", name="to the top").click()
                else:
                    choose_places(page)

    def send(self) -> None:
        self.page.get_by_test_id("submit").click()


class Keyboard(Hand):
    """Tab, arrows, Space and Enter; with script also the keys of the sheet."""

    def take(self, kind: Kind) -> None:
        self.page.goto("/dashboard/")
        reach(self.page, self.page.get_by_test_id(f"card-{kind}"))
        self.page.keyboard.press("Enter")
        self.arrive(kind)

    def answer(self, kind: Kind) -> None:
        page, keys = self.page, self.page.keyboard
        match TABLE[kind].answer:
            case "text":
                reach(page, page.get_by_test_id("reply"))
                keys.type(f"{WORDS}, as {kind}.")
            case "labels" if self.script:
                page.wait_for_load_state()
                keys.press("n")
                while not page.locator("[data-question=quality] input:focus").count():
                    keys.press("j")
                keys.press("4")
            case "labels":
                reach(page, page.locator("[data-question=spam]").get_by_test_id("yes"))
                keys.press("ArrowDown")
                reach(page, page.locator("[data-question=quality] input:checked"))
                for _ in range(4):  # from "cannot tell", which comes after the last point
                    keys.press("ArrowRight")
            case "ranking" if self.script:
                reach(page, page.locator("[data-rank-item]").first)
                keys.press("ArrowDown")
            case "ranking":
                selects = page.locator("[data-rank-item] select")
                for index, key in ((0, "ArrowDown"), (1, "ArrowUp")):
                    reach(page, selects.nth(index))
                    keys.press(key)

    def send(self) -> None:
        if self.script:
            self.page.keyboard.press("Control+Enter")
            return
        reach(self.page, self.page.get_by_test_id("submit"))
        self.page.keyboard.press("Enter")


def choose_places(page: Page) -> None:
    """Turn the order around by the selects, which have it without script."""
    selects = page.locator("[data-rank-item] select")
    number = selects.count()
    for index in range(number):
        selects.nth(index).select_option(str(number - index))
