"""The number beside the bell follows what happens, on a page that stays open: the real server and its WebSocket."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from playwright.sync_api import Browser, expect

from oasst.accounts.models import User
from oasst.embedded.sockets import listen
from tests.browser.driver import sign_in
from tests.crash.processes import START_SECONDS, Process, serve
from tests.factories import decide, new_prompt
from tests.site.notices.test_writing import read_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...address) {
    super(...address);
    window.sockets.push(this);
  }
};
"""


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[tuple[str, Process]]:
    listener = listen("127.0.0.1", 0)
    web = serve(listener, tmp_path / "web.log")
    yield f"http://localhost:{listener.getsockname()[1]}", web
    web.kill()
    listener.close()


def accept_one(person: User) -> None:
    """In a thread: Playwright has an event loop in this one, in which nobody can be woken."""

    def run() -> None:
        try:
            decide(new_prompt(person))
            read_all()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_an_open_page_hears_of_news_and_reconnects(browser: Browser, site: tuple[str, Process]) -> None:
    url, web = site
    context = browser.new_context(base_url=url)
    context.set_default_timeout(START_SECONDS * 1000)
    page = context.new_page()
    sign_in(page, "alice@example.org")
    page.add_init_script(
        KEEP_SOCKETS
    )  # the page itself is asked: of one left early the driver never hears that it closed
    page.reload()
    alice = User.objects.get(email="alice@example.org")
    count, news = page.locator("[data-bell-count]"), page.locator("[data-bell-news]")
    expect(count).to_have_count(0)

    accept_one(alice)
    expect(count).to_contain_text("1 unread", timeout=30_000)
    expect(news).to_have_text("You have a new notice.")

    web.kill()
    accept_one(alice)
    web.start()
    expect(count).to_contain_text("2 unread", timeout=START_SECONDS * 1000)

    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); "
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    deadline = time.monotonic() + 30
    while not page.evaluate("sockets.length > 0 && sockets.every((socket) => socket.readyState === WebSocket.CLOSED)"):
        assert time.monotonic() < deadline, "a hidden page keeps its connection"
        page.wait_for_timeout(50)
    accept_one(alice)
    page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    expect(count).to_contain_text("3 unread", timeout=30_000)
    context.close()
