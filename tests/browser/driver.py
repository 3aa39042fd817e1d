"""What a user does in a browser, with and without script: sign in, and do the task on the page."""

import random
import re
from itertools import count
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from oasst.accounts import registration
from oasst.accounts.authentication import sign_in_links

_number = count(1)
_TEXT = """
    apple bridge candle desert engine forest garden harbor island jacket kettle ladder marble needle orchard pencil
    ribbon saddle tunnel umbrella violin window yogurt anchor basket copper dolphin elbow feather glacier hammer insect
    jungle kitchen lantern mirror nutmeg oyster pepper quilt rocket sandal timber valley walnut zebra balcony cactus
"""
_WORDS = _TEXT.split()


def sign_in(page: Page, email: str) -> None:
    """Sign in by a link, as operators make them; a new user gets an account."""
    address = urlsplit(sign_in_links.make_link(registration.get_or_create_by_email(email), minutes=5))
    page.goto(f"{address.path}?{address.query}")
    page.get_by_test_id("use-link").click()
    page.wait_for_url(re.compile(r"/terms/accept/|/dashboard/"))
    if "/terms/accept/" in page.url:
        page.get_by_test_id("accept-terms").click()
        page.wait_for_url(re.compile(r"/welcome/|/dashboard/"))
    if "/welcome/" in page.url:
        page.get_by_test_id("skip-onboarding").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What needs doing")


def take_any_task(page: Page) -> bool:
    """Press "Next task". Returns False if there is no task for this user."""
    page.goto("/dashboard/")
    button = page.get_by_test_id("next-task")
    if not button.count():
        return False
    button.click()
    page.wait_for_url(re.compile(r"/tasks/"))
    return bool(page.get_by_test_id("task").count())


def do_task(page: Page) -> str:
    """Do the task on the page and stop. Returns its kind."""
    kind = page.get_by_test_id("task").get_attribute("data-task-kind") or ""
    if kind.startswith("label_"):
        page.get_by_test_id("no").first.check()
        page.locator("[data-question=quality] [data-testid=radio-option]").nth(3).check()
    elif kind.startswith("rank_"):
        _reverse_order(page)
    else:
        # Other words each time: for a prompt like earlier ones the page would show those first.
        number = next(_number)
        words = ", ".join(random.Random(number).sample(_WORDS, 12))
        page.get_by_test_id("reply").fill(f"**{kind}** number {number}: {words}.")
    page.get_by_test_id("submit-stop").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    return kind


def _reverse_order(page: Page) -> None:
    """Rank by the selects, which have the order without script; with script, choosing a position moves the reply."""
    selects = page.locator("[data-rank-item] select")
    number = selects.count()
    names = [selects.nth(i).get_attribute("name") for i in range(number)]
    for place, name in zip(range(number, 0, -1), names, strict=True):
        page.locator(f"select[name='{name}']").select_option(str(place))
