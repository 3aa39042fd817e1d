"""No link to us leads to another site: every parameter that may name a page, on every page, by GET and by POST."""

import json
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from oasst.accounts.models import User
from tests.factories import PASSWORD
from tests.inference.talking import new_chat
from tests.security.pages import READ_PARAMETERS, addresses

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
EVIL = (
    *(
        "//evil.example",
        "///evil.example",
        "////evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
    ),
    *(
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "http://evil.example",
        "HTTPS://evil.example",
    ),
    *("https://testserver@evil.example", "https://testserver.evil.example", "http://testserver:80@evil.example"),
    *(
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "ftp://evil.example",
        "ws://evil",
    ),
    *(
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        " //evil.example",
        "\x01//evil.example",
        "/\r/evil.example",
    ),
    *(
        "/x\r\nLocation: https://evil.example",
        "https://evil.example#testserver",
        "//evil.example/testserver",
        "//evil。example",
    ),
    *(
        "evil.example",
        "http://[::1",
        "/%2F/evil.example",
        "//%65vil.example",
        ".evil.example",
        "@evil.example",
        "?x",
        "",
    ),
)
FOREIGN = "noopener noreferrer nofollow ugc"
NAMES = ("next", "return", "return_to", "to", "url", "redirect", "redirect_uri", "continue", "redirect_to", "process")


def leads_away(target: str) -> bool:
    """Return the URL as browsers read it: backslashes become slashes, tabs and line ends are dropped."""
    cleaned = (
        "".join(one for one in target if one not in "\t\r\n").strip("".join(map(chr, range(33)))).replace("\\", "/")
    )
    found = urlsplit(urljoin("http://testserver/somewhere/", cleaned))
    return found.netloc != "testserver" or found.scheme not in ("http", "https")


def check(response: Any, url: str) -> None:
    for name in ("Location", "HX-Redirect", "HX-Location", "Refresh", "Content-Location"):
        if name in response:
            assert not leads_away(response[name]), (url, name, response[name])
            assert "\n" not in response[name] and "\r" not in response[name]
    if getattr(response, "streaming", False):
        response.close()
        return
    if response.get("Content-Type", "").startswith("application/json"):
        body = json.loads(response.content or "{}")
        if isinstance(body, dict) and isinstance(body.get("location"), str):
            assert not leads_away(body["location"]), url
        return
    for attribute in ('href="', 'action="', 'content="0;url='):
        for part in response.text.split(attribute)[1:]:
            target = part.split('"', 1)[0].replace("&amp;", "&")
            assert not target.strip().lower().startswith(("javascript:", "vbscript:", "data:text/html")), url
            away = urlsplit(target.replace("\\", "/")).netloc
            # The page whose purpose it is shows the address and leads there by a click, with these relations.
            is_shown = url.startswith("GET /leaving/?to=") and f'rel="{FOREIGN}"' in part.split(">", 1)[0]
            assert is_shown or "evil.example" not in away, (url, target)


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.MIDDLEWARE = ["tests.security.pages.note_parameters", *settings.MIDDLEWARE]
    settings.OASST_CHAT_MODEL = "tiny"


def test_the_judge() -> None:
    assert not leads_away("/dashboard/?next=//evil") and not leads_away("?x") and not leads_away("http://testserver/a")
    for evil in ("//evil", "/\\evil", "/\t/evil", "https:/\\evil", "javascript:x", " //evil"):
        assert leads_away(evil), evil


@pytest.mark.parametrize("role", ["nobody", "contributor"])
def test_every_page(role: str, alice: User) -> None:
    client = Client(raise_request_exception=False)
    if role != "nobody":
        client.force_login(alice)
    asked: set[str] = set()
    for one in addresses():
        if not one.is_page or one.template in asked:
            continue
        url = one.filled(dict.fromkeys(one.parameters, str(uuid4())))
        READ_PARAMETERS.clear()
        client.get(url)
        for name in sorted(READ_PARAMETERS & set(NAMES)):
            asked.add(one.template)
            for evil in EVIL[len(asked) % 4 :: 4]:  # pages share the functions that check; test_signing_in tries all
                check(client.get(f"{url}?{name}={quote(evil)}"), f"GET {url}?{name}={evil!r}")
    assert len(asked) > 5, "the sign-in pages, at the least"


def test_signing_in(client: Client, alice: User) -> None:
    """Sign in with a password through the real form, sign out, and sign in again as a proof of identity."""
    for evil in EVIL:
        client.logout()
        data = {"login": alice.email, "password": PASSWORD, "next": evil}
        response = client.post("/accounts/login/", data)
        assert response.status_code in (200, 302)
        check(response, f"sign in, {evil!r}")
        client.force_login(alice)
        check(client.post("/terms/accept/", {"decision": "accept", "next": evil}), f"terms, {evil!r}")
        check(client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": evil}), f"again, {evil!r}")
        check(client.get(f"/accounts/login/?next={quote(evil)}"), f"signed in already, {evil!r}")
        check(client.post("/me/sign-in-again/", {"next": evil}), f"out and in, {evil!r}")
        client.force_login(alice)
        check(client.post("/accounts/logout/", {"next": evil}), f"sign out, {evil!r}")


def test_choosing_where_to_go_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    chat_id = new_chat(alice).pk
    for evil in EVIL[::3]:
        for act in ("hide", "rename", "undelete", "delete"):
            check(client.post(f"/chat/{chat_id}/{act}/", {"next": evil, "title": "A chat"}), f"{act}, {evil!r}")


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/terms", "/\\evil.example/terms", "/%5Cevil.example", "/%09/evil"]
)
def test_paths(client: Client, alice: User, path: str) -> None:
    """The added slash stays on this site, and the sign-in keeps the destination."""
    client.force_login(alice)
    for url in (path, f"/admin/{path}", f"/dashboard{path}"):
        check(client.get(url), url)
        check(client.get(f"{url}?next={path}"), url)
