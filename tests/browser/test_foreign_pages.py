"""A page of another site chats from a browser with the user's token: /v1, by fetch, in Chromium."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from inference.models import Chat
from oasst.accounts import tokens
from oasst.accounts.models import User
from tests.browser.test_chat import ChatSite, site  # noqa: F401
from tests.crash.processes import START_SECONDS, wait_until
from tests.inference.conftest import chat_on, tiny_folder  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# As OpenAI's library for JavaScript does: its headers, and a stream that is read as it comes.
ASK = """async ({url, token, body}) => {
    const answer = await fetch(url + "/v1/chat/completions", {
        method: "POST",
        headers: {
            "Accept": "application/json", "Authorization": "Bearer " + token, "Content-Type": "application/json",
            "X-Stainless-Lang": "js", "X-Stainless-Runtime": "browser:chrome", "X-Stainless-Retry-Count": "0",
        },
        body: JSON.stringify(body),
    }).catch(error => ({refused: String(error)}));
    if (answer.refused) return answer;
    const pieces = [], reader = answer.body.getReader(), decoder = new TextDecoder();
    for (let next; !(next = await reader.read()).done;) pieces.push(decoder.decode(next.value, {stream: true}));
    return {
        status: answer.status, pieces, type: answer.headers.get("Content-Type"),
        ignored: answer.headers.get("X-Ignored-Parameters"), retry: answer.headers.get("Retry-After"),
    };
}"""


class _OnePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page of somebody else</title>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[list[str]]:
    """Two other sites on this machine, by their origins."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _OnePage) for _ in range(2)]
    for one in servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{one.server_address[1]}" for one in servers]
    for one in servers:
        one.shutdown()
        one.server_close()


@pytest.fixture
def friend(elsewhere: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The one of them that the site, which starts later, allows."""
    monkeypatch.setenv("CHAT_CORS_ORIGINS", elsewhere[0])
    return elsewhere[0]


def test_a_friend_chats_and_a_stranger_does_not(
    browser: Browser,
    friend: str,
    elsewhere: list[str],
    site: ChatSite,  # noqa: F811
    alice: User,
    request: pytest.FixtureRequest,
) -> None:
    context = browser.new_context()
    request.addfinalizer(context.close)
    context.set_default_timeout(START_SECONDS * 1000)
    page = context.new_page()
    token = tokens.create_token(alice, name="page", days=7)[1]
    page.goto(friend)
    wait_until(lambda: ask(page, site, token).get("status") == 200, START_SECONDS, site.web.said)
    streamed = ask(page, site, token, stream=True, min_p=0.1)
    assert streamed["status"] == 200 and streamed["type"] == "text/event-stream"
    stream = "".join(streamed["pieces"])
    assert stream.endswith("data: [DONE]\n\n") and stream.count("data: ") > 2
    assert streamed["ignored"] == "min_p"
    refused = ask(page, site, "wrong")
    assert refused["status"] == 401 and "invalid_api_key" in refused["pieces"][0]
    asked_before = Chat.objects.count()

    page.goto(elsewhere[1])
    assert "Failed to fetch" in ask(page, site, token)["refused"]
    assert Chat.objects.count() == asked_before, "it did not even arrive"


def ask(page: Page, site: ChatSite, token: str, **more: Any) -> dict[str, Any]:  # noqa: F811
    body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 20, **more}
    found: dict[str, Any] = page.evaluate(ASK, {"url": site.url, "token": token, "body": body})
    return found
