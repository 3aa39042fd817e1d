"""A paste beyond the limit: nothing is cut, the field shows by how much it is too long, and the server returns it."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from oasst.accounts.models import User
from tests.browser.conftest import PHONE, NewVisitor
from tests.browser.driver import sign_in
from tests.factories import new_prompt
from tests.inference.conftest import chat_on  # noqa: F401
from trees.models import Message, Report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
EMOJI = "😀"


def paste(page: Page, field: Locator, text: str) -> None:
    """Insert as from the clipboard: the browser inserts the text and would apply its own limits."""
    field.focus()
    page.keyboard.insert_text(text)


def length(field: Locator) -> int:
    found: int = field.evaluate("field => [...field.value].length")
    return found


def test_nothing_of_a_paste_is_cut(
    visitor: NewVisitor,
    keep: Callable[[Page, str], None],
    alice: User,
    chat_on: None,  # noqa: F811
) -> None:
    prompt = new_prompt(alice)
    Message.objects.filter(pk=prompt.pk).update(review_result=True)
    page = visitor(viewport=PHONE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(page, "bob@example.org")

    page.goto(reverse("tree", args=[prompt.pk]))
    page.locator("details.report > summary").click()
    box = page.get_by_label("A few words")
    paste(page, box, EMOJI * 10_005)
    assert length(box) == 10_005
    expect(page.get_by_text("8,005 characters too many", exact=True)).to_be_visible()
    keep(page, "paste-report")
    page.get_by_label("Something else").check()
    page.get_by_role("button", name="Tell the moderators").click()
    expect(page.get_by_text("This is 10,005 characters; 8,005 too many")).to_be_visible()
    assert length(page.get_by_label("A few words")) == 10_005 and not Report.objects.exists()

    page.goto("/chat/")
    box = page.get_by_label("Your message", exact=True)
    text = "\n\n  " + "e\u0301" + EMOJI * 20_005 + "\n \u200b\n"
    paste(page, box, text)
    assert length(box) == len(text)
    expect(page.get_by_text("8 characters too many", exact=True)).to_be_visible()
    keep(page, "paste-chat")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("This is 20,008 characters; 8 too many")).to_be_visible()
    assert length(box) == len(text)
    box.fill("  fits now")
    expect(page.get_by_text("too many", exact=False).and_(page.locator(".count"))).to_have_count(0)
    assert errors == []
