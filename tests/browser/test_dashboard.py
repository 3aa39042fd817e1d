"""The counts of the dashboard follow what others do, without a reload."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisitor
from tests.browser.driver import sign_in
from tests.factories import new_person, new_prompt

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_new_work_appears_by_itself_and_only_while_the_page_is_seen(visitor: NewVisitor) -> None:
    page = visitor()
    page.clock.install()
    sign_in(page, "alice@example.org")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/dashboard/work/" in request.url else None)
    expect(page.get_by_test_id("card-label_initial_prompt")).to_have_count(0)
    page.get_by_test_id("card-initial_prompt").focus()
    new_prompt(new_person("Bob"))

    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    page.evaluate(hide % "true")
    page.clock.run_for(180_000)
    assert asked == []
    page.evaluate(hide % "false")
    page.clock.run_for(70_000)
    expect(page.get_by_test_id("card-label_initial_prompt")).to_be_visible()
    expect(page.get_by_test_id("card-initial_prompt")).to_be_focused()
