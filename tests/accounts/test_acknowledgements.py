"""Thanks in public: only with consent, under the chosen name, and gone at once when it is withdrawn."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from oasst.accounts import account_bans, acknowledgements, closing
from oasst.accounts.models import Acknowledgement, Consent, User
from tests.factories import new_people

pytestmark = pytest.mark.django_db
PAGE = "/me/acknowledgement/"


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def thanked() -> str:
    return Client().get("/thanks/").text.partition("<main")[2]


def test_nobody_is_named_without_consent(browser: Client, alice: User) -> None:
    assert "Nobody is named yet" in thanked()
    page = browser.get(PAGE).text
    assert 'value="Alice"' in page and "checked" not in page


def test_one_is_named_as_one_likes(browser: Client, alice: User) -> None:
    assert browser.post(PAGE, {"agrees": "on", "name": "Alice <b>Liddell</b>"}).status_code == 302
    assert "<bdi>Alice &lt;b&gt;Liddell&lt;/b&gt;</bdi>" in thanked()
    consent = Consent.objects.get(user=alice, document="acknowledgement")
    assert consent.withdrawn_at is None
    browser.post(PAGE, {"agrees": "on", "name": "A. Liddell"})
    assert "A. Liddell" in thanked() and "&lt;b&gt;" not in thanked()
    assert Acknowledgement.objects.count() == Consent.objects.filter(document="acknowledgement").count() == 1
    assert "You are thanked as" in browser.get(PAGE).text


def test_it_is_withdrawn_at_once(browser: Client, alice: User) -> None:
    browser.post(PAGE, {"agrees": "on", "name": "A. Liddell"})
    browser.post(PAGE, {"name": "A. Liddell"})
    assert "Liddell" not in thanked()
    assert Consent.objects.get(user=alice, document="acknowledgement").withdrawn_at is not None
    browser.post(PAGE, {"agrees": "on", "name": "A. Liddell"})
    assert "Liddell" in thanked()


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "Administrator"])
def test_a_name_that_will_not_do(browser: Client, name: str) -> None:
    response = browser.post(PAGE, {"agrees": "on", "name": name})
    assert response.status_code == 200 and "id_name_error" in response.text
    assert not Acknowledgement.objects.exists() and not Consent.objects.filter(document="acknowledgement").exists()


def test_it_goes_with_the_account_and_while_suspended(browser: Client, alice: User, mo: User) -> None:
    browser.post(PAGE, {"agrees": "on", "name": "A. Liddell"})
    account_bans.ban(alice, actor=mo, reason="Spam.")
    assert "Liddell" not in thanked()
    account_bans.unban(alice, actor=mo, reason="A mistake.")
    assert "Liddell" in thanked()
    closing.close_account(alice)
    assert "Liddell" not in thanked() and not Acknowledgement.objects.exists()
    assert Consent.objects.get(user=alice, document="acknowledgement").withdrawn_at is not None


def test_it_is_limited(browser: Client, settings: Any) -> None:
    settings.RATE_LIMITS, settings.LIMITS = True, {"profile": "1 per hour"}
    browser.post(PAGE, {"agrees": "on", "name": "A. Liddell"})
    assert browser.post(PAGE, {"agrees": "on", "name": "B."}).status_code == 429


def test_pages_of_many_in_alphabetical_order(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(acknowledgements, "PAGE_SIZE", 2)
    for person, name in zip(new_people(3), ("beta", "Alpha", "gamma"), strict=True):
        acknowledgements.thank_in_public(person, name)
    first = client.get("/thanks/").text
    assert first.index("Alpha") < first.index("beta") and "gamma" not in first
    assert "gamma" in client.get("/thanks/?page=2").text and 'href="/thanks/?page=2"' in first
    for wrong in ("0", "x", "501", "²"):
        assert client.get(f"/thanks/?page={wrong}").status_code == 404
    with CaptureQueriesContext(connection) as captured:
        client.get("/thanks/")
    assert len(captured) == 1
