"""A purge with its undo, and a suggested edit, in a browser without script."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from oasst.accounts.models import User
from oasst.site import purging
from tests.factories import growing_tree, new_person, new_reply
from trees.models import Message, Purge
from trees.moderation import moderator_actions
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.browser]


def page_for(browser: Browser, live_server: Any, person: User, **more: Any) -> Page:
    client = Client()
    client.force_login(person)
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False, **more)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    return context.new_page()


def go_on() -> None:
    """Do what the worker does after the commit."""
    purging.continue_purge(purge_id=Purge.objects.get().pk, policy=current_policy())


def test_a_purge_by_two_and_its_undo(browser: Browser, live_server: Any) -> None:
    mo, max_, eve = new_person("Mo", "moderator"), new_person("Max", "moderator"), new_person("Eve")
    reply = new_reply(growing_tree(new_person("Alice")), eve, "Buy my flour!")
    page = page_for(browser, live_server, mo)
    page.goto(reverse("admin:accounts_user_change", args=[eve.pk]))
    page.get_by_role("button", name="Purge…").click()
    expect(page.get_by_role("row", name="Messages of theirs that go")).to_contain_text("1")
    page.get_by_label("Why?").fill("Advertising.")
    page.keyboard.press("Tab")
    for chosen in (page.get_by_role("button", name="Propose the purge"), page.get_by_label("Why?")):
        expect(chosen).to_be_focused()
        expect(chosen).to_have_css("outline-width", "3px")
        page.keyboard.press("Shift+Tab")
    page.get_by_role("button", name="Propose the purge").click()
    expect(page.get_by_text("Proposed. It happens when")).to_be_visible()
    page = page_for(browser, live_server, max_)
    page.goto(reverse("admin:accounts_user_change", args=[eve.pk]))
    page.get_by_role("button", name="Purge…").click()
    expect(page.locator("form.desk-edit")).to_contain_text("Advertising.")
    page.get_by_label("Type the name of the person").fill("Eve")
    page.get_by_role("button", name="Purge all of it").click()
    expect(page.get_by_role("status")).to_contain_text("1 are left")
    go_on()
    assert Message.objects.get(pk=reply.pk).deleted
    page.goto(reverse("admin:accounts_user_change", args=[eve.pk]))
    form = page.locator("form", has=page.get_by_role("button", name="Undo the purge"))
    form.get_by_label("Reason").fill("The wrong person.")
    form.get_by_role("button", name="Undo the purge").click()
    expect(page.locator("body")).to_contain_text("is being undone.")
    go_on()
    assert not Message.objects.get(pk=reply.pk).deleted


def test_two_accounts_become_one_by_two(browser: Browser, live_server: Any) -> None:
    mo, max_, eve = new_person("Mo", "moderator"), new_person("Max", "moderator"), new_person("Eve")
    eva = new_person("Eva")
    reply = new_reply(growing_tree(new_person("Alice")), eva, "Take rye flour.")
    page = page_for(browser, live_server, mo)
    page.goto(reverse("admin:accounts_user_change", args=[eva.pk]))
    page.get_by_role("link", name="Merge with another account…").click()
    page.get_by_label("Name, login, e-mail address or id").fill("Eve")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Choose").click()
    page.get_by_role("link", name="Let this one stay instead").click()
    expect(page.get_by_role("row", name="Messages, also removed ones")).to_contain_text("1")
    page.get_by_label("Why are they the same person?").fill("She told us.")
    page.keyboard.press("Enter")  # does nothing: it is no small matter
    page.get_by_role("button", name="Propose the merge").click()
    expect(page.get_by_text("Proposed. It happens when")).to_be_visible()
    page = page_for(browser, live_server, max_)
    page.goto(reverse("admin:index"))
    page.locator(".desk-card", has_text="merge to confirm").click()
    expect(page.locator(".desk-edit")).to_contain_text("She told us.")
    page.get_by_label("Type the name of the account that stays").fill("Eve")
    page.get_by_role("button", name="Merge them for good").click()
    expect(page.get_by_text("Merged. Points follow")).to_be_visible()
    assert Message.objects.get(pk=reply.pk).author == eve and not User.objects.get(pk=eva.pk).is_active


def test_a_suggested_edit(browser: Browser, live_server: Any) -> None:
    reply = new_reply(growing_tree(new_person("Alice")), new_person("Writer"), "Take flour and salt.")
    page = page_for(browser, live_server, new_person("Eve"))
    page.goto(reverse("tree", args=[reply.pk]))
    page.get_by_role("link", name="Suggest an edit").click()
    page.get_by_label("The better text").fill("Take flour, water and salt.")
    page.get_by_role("button", name="Send the suggestion").click()
    correction = page.locator("details.correction")
    correction.locator("summary").click()
    expect(correction.locator("ins")).to_contain_text("water")
    assert Message.objects.get(correction_of=reply).text == "Take flour, water and salt."


@pytest.mark.parametrize("width", [390, 800, 1440])
def test_every_list_of_the_admin_is_found_without_script_and_mouse(
    browser: Browser, live_server: Any, keep: Any, width: int
) -> None:
    page = page_for(browser, live_server, new_person("Mo", "moderator"), viewport={"width": width, "height": 844})
    page.goto(reverse("admin:index"))
    menu = page.locator(".desk-menu" if width < 1280 else "#nav-sidebar")
    if width < 1280:
        menu.locator("summary").focus()
        page.keyboard.press("Enter")
    where = reverse("admin:accounts_user_changelist")
    people = menu.locator(f'a[href="{where}"]')
    expect(people).to_be_visible()
    expect(menu.get_by_text("API keys")).to_have_count(0)  # only for administrators
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    keep(page, f"admin-menu-{width}")
    people.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{where}")
    expect(page.locator(".desk-menu")).to_be_visible(visible=width < 1280)


def test_a_message_is_found_and_read_without_script(browser: Browser, live_server: Any) -> None:
    """By words and a filter of the same form; its page shows the edit side by side and the conversation, folded."""
    mo = new_person("Mo", "moderator")
    prompt = growing_tree(new_person("Alice"))
    reply = new_reply(prompt, new_person("Writer"), "Knead the rye dough for long.")
    moderator_actions.edit_message(
        message_id=reply.pk, actor=mo, text="Knead the dough for long.", reason="Any dough.", policy=current_policy()
    )
    page = page_for(browser, live_server, mo)
    page.goto(reverse("admin:trees_message_changelist"))
    page.get_by_label("Search", exact=True).fill('kneading -bread "dough for"')
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Edited").select_option("Yes")
    page.get_by_role("button", name="Find").click()
    page.locator("#result_list").get_by_role("link", name="Knead the dough").click()
    before, after = page.locator(".desk-side").all()
    expect(before.locator("del")).to_contain_text("rye")
    expect(after).not_to_contain_text("rye")
    this = page.locator(".desk-turn--this")
    expect(this).to_be_visible()
    page.locator(".desk-tree__below > summary").first.click()
    expect(this).to_be_hidden()
