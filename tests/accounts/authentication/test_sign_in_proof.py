"""Many codes that are asked for from one address: a proof of work, or a wait, before the next one is mailed."""

import json
import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from oasst.accounts.models import User
from oasst.core import proof_of_work
from tests.core.test_proof_of_work import solve
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
FORM = "/accounts/login/code/"


@pytest.fixture(autouse=True)
def _two_are_free(settings: Any, monkeypatch: Any) -> None:
    settings.SIGN_IN_PROOF, settings.RATE_LIMITS, settings.LIMITS = "auto", True, {"code_free": "2 per hour"}
    monkeypatch.setattr(proof_of_work, "MAX_NUMBER", 50)


def ask(client: Client, number: int = 1, **fields: str) -> Any:
    return client.post(FORM, {"email": f"person{number}@example.org", **fields})


def challenge_on(page: str) -> dict[str, Any]:
    found = re.search(r'id="proof-challenge" type="application/json">(.*?)</script>', page)
    assert found
    challenge: dict[str, Any] = json.loads(found[1])
    return challenge


def ticket_on(page: str) -> str:
    found = re.search(r'name="waiting_ticket" value="([^"]+)"', page)
    assert found
    return found[1]


class TestAuto:
    def test_the_first_ones_are_free(self, client: Client) -> None:
        assert "proof.js" not in client.get("/accounts/login/").text
        for number in range(2):
            assert ask(Client(), number).status_code == 302
        assert len(mail.outbox) == 2

    def test_then_a_proof_is_needed(self, client: Client) -> None:
        for number in range(2):
            ask(Client(), number)
        refused = ask(client, 3)
        assert refused.status_code == 429 and refused["Retry-After"] == "60"
        assert 'value="person3@example.org"' in refused.text and "data-asked" in refused.text
        assert len(mail.outbox) == 2
        solution = solve(challenge_on(refused.text))
        assert ask(client, 3, altcha=solution).status_code == 302
        assert [sent.to for sent in mail.outbox[2:]] == [["person3@example.org"]]
        assert ask(Client(), 4, altcha=solution).status_code == 429, "each one is good once"

    def test_the_page_has_the_challenge_before_anybody_types(self, client: Client) -> None:
        for number in range(2):
            ask(Client(), number)
        for path in ("/accounts/login/", FORM):
            page = client.get(path).text
            assert "proof.js" in page and "data-asked" not in page
            assert ask(Client(), 5, altcha=solve(challenge_on(page))).status_code == 302

    def test_without_script_a_wait_does(self, client: Client, monkeypatch: Any) -> None:
        for number in range(2):
            ask(Client(), number)
        page = ask(client, 3).text
        assert "Please wait 60 seconds" in page
        ticket = ticket_on(page)
        early = ask(client, 3, waiting_ticket=ticket)
        assert early.status_code == 429 and ticket_on(early.text) == ticket, "its wait goes on"
        monkeypatch.setattr(proof_of_work, "WAIT", 0)
        ripe = ticket_on(ask(client, 3).text)
        assert ask(client, 3, waiting_ticket=ripe).status_code == 302
        assert ask(Client(), 4, waiting_ticket=ripe).status_code == 429
        assert len(mail.outbox) == 3

    def test_elsewhere_they_are_free_still(self) -> None:
        for number in range(3):
            ask(Client(), number)
        assert Client(REMOTE_ADDR="192.0.2.7").post(FORM, {"email": "far@example.org"}).status_code == 302

    def test_a_browser_of_the_owner_needs_none(self, client: Client, alice: User) -> None:
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        client.post("/accounts/logout/")
        for number in range(3):
            ask(Client(), number)
        assert client.post(FORM, {"email": alice.email}).status_code == 302


class TestSwitch:
    def test_off(self, settings: Any) -> None:
        settings.SIGN_IN_PROOF = "off"
        assert [ask(Client(), number).status_code for number in range(4)] == [302] * 4

    def test_always(self, client: Client, settings: Any) -> None:
        settings.SIGN_IN_PROOF = "always"
        assert ask(client).status_code == 429
        page = client.get("/accounts/login/").text
        assert ask(client, altcha=solve(challenge_on(page))).status_code == 302
