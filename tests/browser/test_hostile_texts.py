"""Hostile texts in every field, in a browser: no script runs, and no page violates its own policy."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage

from tests.security.test_hostile_texts import MARK, fill, filled_world
from tests.security.test_permissions import address_of


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
@pytest.mark.browser
def test_in_a_browser_no_page_runs_them_and_none_breaks_its_policy(
    browser: Browser, live_server: Any, settings: Any
) -> None:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    world = filled_world()
    fill(0)
    heard: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if re.search(r"Refused|violates|Content Security Policy|zzmark is not defined", message.text):
            heard.append(message.text)

    for role, paths in {
        "owner": (
            f"/messages/{world.ids['message_id']}/",
            f"/chat/{world.ids['chat_id']}/",
            *("/me/", "/me/tokens/", "/me/contributions/", "/chat/all/"),
        ),
        "administrator": (
            "/admin/",
            *(address_of(world, f"trees.{name}", "change") for name in ("message", "report", "deletion")),
            address_of(world, "accounts.user", "changelist"),
        ),
    }.items():
        context = browser.new_context(base_url=live_server.url)
        cookie = world.clients[role].cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        context.add_init_script(f"window.{MARK} = () => alert('{MARK}')")
        page = context.new_page()
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.on("console", listen)
        page.on("pageerror", lambda error: heard.append(str(error)) if MARK in str(error) else None)
        page.on("request", lambda request: heard.append(request.url) if MARK in request.url.split("?")[0] else None)
        for path in paths:
            response = page.goto(path)
            assert response and response.status == 200, path
            page.wait_for_load_state("load")
            assert MARK in page.content(), path
        context.close()
    assert heard == []
