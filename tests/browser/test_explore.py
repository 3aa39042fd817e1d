"""Looking around in a browser: search, open a conversation, copy, follow a link; without script by the same links."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, NewVisitor
from tests.factories import new_person
from tests.trees.exploring.finished import finished

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
ANSWER = "A **hot oven** helps, and see https://example.org/bread for more."


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_visitor_looks_around(visitor: NewVisitor, script: bool) -> None:
    finished(new_person("Author"), "How is sourdough baked?", (ANSWER, "In a cold one."))
    page = visitor(script=script, viewport=PHONE, dark=script)
    page.goto("/explore/")
    page.get_by_label("Search for").fill("ovens hot")
    page.get_by_label("Language").select_option("en")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("q=ovens"))
    expect(page.locator("mark")).to_have_text(["hot", "oven"])
    if script:
        assert Axe().run(page).response["violations"] == []
    page.get_by_test_id("found").get_by_role("link").click()
    framed = page.locator(".node", has=page.locator(".turn.is-target")).last
    expect(framed.get_by_text("hot oven")).to_be_visible()
    if script:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        assert Axe().run(page).response["violations"] == []
    framed.locator("summary", has_text="More about this message").click()
    copy = framed.get_by_role("link", name="Copy the text")
    if script:
        copy.click()
        expect(page.locator("[data-copy-status]")).to_have_text("The text is copied.")
        assert page.evaluate("navigator.clipboard.readText()") == ANSWER
    else:
        copy.click()
        expect(page.locator("body")).to_have_text(ANSWER)
        page.go_back()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="https://example.org/bread").click()
    leaving = opened.value
    onward = leaving.get_by_role("link", name="Go to example.org")
    expect(onward).to_have_attribute("href", "https://example.org/bread")
    expect(onward).to_have_attribute("rel", "noopener noreferrer nofollow ugc")
