"""Somebody new: from the front page to the first task, with practice or past it, with and without script."""

import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import mail
from playwright.sync_api import Locator, Page, expect

from oasst.accounts import registration
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.models import User
from tests.browser.conftest import DESK, PHONE, NewVisitor
from trees.models import Message, Practice, Review

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MOST_CLICKS = 7


def check_with_axe(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def mailed_code() -> str:
    found = re.search(r"^ {4}(\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found, mail.outbox[-1].body
    return found[1]


def test_a_stranger_skips_and_has_a_first_task_after_seven_clicks(visitor: NewVisitor) -> None:
    page, clicks = visitor(viewport=DESK), 0

    def click(target: Locator) -> None:
        nonlocal clicks
        target.click()
        clicks += 1

    page.goto("/")
    click(page.get_by_role("banner").get_by_role("link", name=re.compile("Sign in|Join")).first)
    page.get_by_test_id("email-address").fill("dora@example.org")
    click(page.get_by_test_id("signin-email-button"))
    page.wait_for_url(re.compile("/confirm/"))
    page.locator("[name=code]").fill(mailed_code())
    click(page.locator("main form:has([name=code]) [type=submit]").first)
    page.wait_for_url(re.compile("/terms/accept/"))
    click(page.get_by_test_id("accept-terms"))
    page.wait_for_url(re.compile("/welcome/"))
    click(page.get_by_test_id("skip-onboarding"))
    click(page.get_by_test_id("next-task"))
    expect(page.get_by_test_id("task")).to_be_visible()
    assert clicks <= MOST_CLICKS
    page.goto("/dashboard/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("What needs doing")


@pytest.fixture
def newcomer_link() -> str:
    address = urlsplit(sign_in_links.make_link(registration.get_or_create_by_email("new@example.org"), minutes=5))
    return f"{address.path}?{address.query}"


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_questions_practice_and_an_idea(visitor: NewVisitor, newcomer_link: str, script: bool) -> None:
    page = visitor(script=script, viewport=PHONE if script else DESK, dark=script)
    page.goto(newcomer_link)
    page.get_by_test_id("use-link").click()
    page.get_by_test_id("accept-terms").click()
    page.wait_for_url(re.compile("/welcome/"))
    if script:
        check_with_axe(page)
    page.get_by_test_id("interest-prompts").check()
    page.get_by_test_id("to-practice").click()
    for number in (1, 2):
        expect(page.get_by_text(f"Practice {number} of 2")).to_be_visible()
        page.get_by_test_id("accepted-1").check()
        page.get_by_test_id("practice-send").click()
        expect(page.get_by_test_id("practice-why")).to_be_visible()
        if number == 1:
            page.get_by_test_id("practice-next").click()
    page.get_by_test_id("first-task").click()
    expect(page.get_by_test_id("task")).to_have_attribute("data-task-kind", "initial_prompt")
    page.get_by_test_id("reply").fill("Half a thought about bread")
    page.get_by_test_id("idea").locator("summary").click()
    sentences = page.locator(".prompt-idea__sentences")
    before = sentences.inner_text()
    page.get_by_test_id("idea-next").click()
    expect(sentences).not_to_have_text(before)
    expect(page.get_by_test_id("reply")).to_have_value("Half a thought about bread")
    expect(page.get_by_test_id("idea-next")).to_be_visible()
    assert Practice.objects.count() == 2 and not Review.everything.exists() and not Message.objects.exists()
    assert User.objects.get().contribution_languages
