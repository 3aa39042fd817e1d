"""A stranger looks around: front page, practice review, guidelines; with the keyboard alone, and without script."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from oasst.accounts.models import User
from tests.browser.conftest import DESK, PHONE, NewVisitor
from tests.browser.driver import sign_in
from trees.models import Practice, Review

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
EXAMPLE = "/practice/example-moon-and-tides/"


def check_with_axe(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_by_keyboard_and_then_joining(visitor: NewVisitor) -> None:
    page = visitor(viewport=PHONE, dark=True)
    page.goto("/")
    check_with_axe(page)
    page.get_by_test_id("try-review").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a review")
    page.goto(EXAMPLE)
    explanation = page.locator("[data-question=spam] .meaning")
    explanation.locator("summary").press("Enter")
    expect(explanation.get_by_text("Junk is what nobody can use")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[data-question=spam] [data-testid=no]").press("n")
    page.locator("[data-question=quality] [data-testid=radio-option]").first.press("5")
    check_with_axe(page)
    page.get_by_test_id("practice-send").press("Enter")
    expect(page.get_by_test_id("outcome").first).to_contain_text("You agree")
    check_with_axe(page)
    page.get_by_test_id("practice-next").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a review")
    sign_in(page, "new@example.org")
    assert [one.example for one in Practice.objects.filter(person__email="new@example.org")] == ["moon-and-tides"]
    assert not Review.everything.exists() and User.objects.count() == 1


def test_without_script(visitor: NewVisitor) -> None:
    page = visitor(script=False, viewport=DESK)
    page.goto("/")
    page.get_by_test_id("try-review").click()
    page.locator("[data-question=spam] .meaning summary").click()
    expect(page.get_by_text("Junk is what nobody can use")).to_be_visible()
    page.locator("[data-question=spam] [data-testid=no]").check()
    page.get_by_test_id("practice-send").click()
    expect(page.get_by_test_id("outcome").first).to_be_visible()
    page.goto("/guidelines/")
    page.get_by_role("link", name=re.compile("^Reviewing")).click()
    expect(page.locator("#label-helpfulness")).to_be_visible()
