"""The desk by keyboard: ten items of every kind, then one with every other key."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from oasst.site.desk import queue
from oasst.site.models import DeskDecision
from tests.browser.desk_work import item_of, make_items, open_desk, settle_all, start
from tests.factories import new_person
from trees.models import Message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.browser]


def test_ten_items_by_keyboard_alone(browser: Browser, live_server: Any, settings: Any, keep: Any) -> None:
    settings.RATE_LIMITS = False
    make_items(10)
    mo = new_person("Mo", "moderator")
    page = open_desk(browser, live_server.url, mo, viewport={"width": 1440, "height": 900})
    start(page)
    keep(page, "desk-1440")
    # Leaving it for now shows another one; the help opens and closes; Escape forgets a chosen act.
    first = item_of(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("d" if first[0] != "person" else "k")
    expect(page.locator("[data-say]")).to_contain_text("why?")
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    expect(page.locator("[data-reason]")).not_to_have_value("")
    page.keyboard.press("4")
    expect(page.locator("[data-reason]")).to_have_value("")
    # A purge is proposed on its own page, with the reason; the item is still there afterwards.
    page.keyboard.press("4")
    page.keyboard.press("p")
    page.wait_for_url("**/purge/?reason=*")
    page.goto("/admin/desk/")
    expect(page.locator("[data-focus]")).to_be_focused()
    assert item_of(page) == first
    # So is a merge of its author with another account; it says nothing about the text, so it takes no reason along.
    if page.locator('[data-key="m"]').count():
        page.keyboard.press("m")
        page.wait_for_url("**/merge/")
        page.goto("/admin/desk/")
        assert item_of(page) == first
    # A reason of one's own: no key does anything while it is written, and Enter sends it with the chosen act.
    page.keyboard.press("k")
    page.keyboard.press("0")
    page.keyboard.type("duh, 1 k x")
    page.keyboard.press("Enter")
    expect(page.locator(".mod-undo__last")).to_contain_text("duh, 1 k x")
    page.keyboard.press("u")
    expect(page.get_by_text("Here it is again")).to_be_visible()
    assert item_of(page) == first and DeskDecision.objects.exclude(undone_at=None).count() == 1
    kinds = [kind for kind, _ in settle_all(page)]
    assert sorted(set(kinds)) == ["appeal", "chat", "message", "person", "tree"] and len(kinds) == 10
    expect(page.get_by_role("heading", name="Nothing waits", exact=True)).to_be_visible()
    assert queue.take_next(mo) is None and DeskDecision.objects.filter(undone_at=None).count() == 10
    assert Message.objects.filter(deleted=True).exists()
    page.context.close()


def test_by_mouse_a_reason_decides_after_the_act_and_lists_say_about_what(
    browser: Browser, live_server: Any, settings: Any
) -> None:
    settings.RATE_LIMITS = False
    make_items(4)
    page = open_desk(browser, live_server.url, new_person("Mo", "moderator"))
    start(page)
    first = item_of(page)
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("[data-say]")).to_contain_text("why?")
    # With the arrow keys one looks through the reasons; only a click decides.
    page.locator("[data-number='1']").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-number='2']")).to_be_checked()
    assert item_of(page) == first
    page.locator(".mod-reason", has_text="Fine").click()
    expect(page.locator(".mod-undo__last")).to_contain_text("Kept.")
    expect(page.locator(".mod-undo__last")).to_contain_text("number")  # the text that it was about
    assert item_of(page) != first
    page.context.close()


def test_keys_are_named_only_where_they_work(browser: Browser, live_server: Any, settings: Any) -> None:
    settings.RATE_LIMITS = False
    make_items(2)
    page = open_desk(browser, live_server.url, new_person("Mo", "moderator"), java_script_enabled=False)
    page.locator(".mod-take").click()
    expect(page.get_by_role("button", name="Keep")).to_be_visible()
    assert not page.locator("kbd:visible").count()
    page.context.close()
