"""Users' own tokens: creating, showing once, using, revoking, and what a program may do with one."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, api_clients, closing, tokens
from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import ApiClient, Token, User
from oasst.core.errors import Conflict, Invalid, NotAllowed
from tasks.models import Task
from tests.concurrency.together import at_once
from trees.models import Message

pytestmark = pytest.mark.django_db
ME = {"id": "me", "auth_method": "local", "display_name": "Somebody else"}


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def program(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


class TestPage:
    def test_made_shown_once_and_revoked(self, browser: Client, alice: User) -> None:
        page = browser.post("/me/tokens/", {"name": "laptop", "days": "30"}, follow=True)
        secret = re.search(r"<code class=\"visible-code__token\"[^>]*>([^<]+)</code>", page.text)
        assert secret is not None
        token = Token.objects.get()
        assert token.digest == Token.digest_of(secret[1]) and token.user == alice
        assert token.expires_at is not None and timedelta(days=29) < token.expires_at - timezone.now()
        again = browser.get("/me/tokens/").text
        assert secret[1] not in again and "laptop" in again and "never used" in again
        assert program(secret[1]).get("/api/v1/text_labels/valid_labels").status_code == 200
        assert "last used" in browser.get("/me/tokens/").text
        assert browser.post(f"/me/tokens/{token.pk}/revoke/")["Location"] == "/me/tokens/"
        assert not Token.objects.exists()
        assert program(secret[1]).get("/api/v1/text_labels/valid_labels").status_code == 403

    def test_without_end(self, browser: Client) -> None:
        browser.post("/me/tokens/", {"name": "server", "days": "0"})
        assert Token.objects.get().expires_at is None

    @pytest.mark.parametrize("sent", [{"name": " ", "days": "30"}, {"name": "x" * 61}, {"name": "x", "days": "31"}, {}])
    def test_refused(self, browser: Client, sent: dict[str, str]) -> None:
        page = browser.post("/me/tokens/", sent)
        assert page.status_code == 200 and "visible-code__token" not in page.text
        assert not Token.objects.exists()

    def test_leaving_all_programs(self, browser: Client, alice: User, bob: User) -> None:
        pairs = [program_sessions.sign_in(person, provider="debug") for person in (alice, alice, bob)]
        assert "2 programs may chat as you" in browser.get("/me/tokens/").text
        page = browser.post("/me/programs/leave/", follow=True)
        assert "signed out of all programs" in page.text and "may chat as you" not in page.text
        for pair in pairs[:2]:
            with pytest.raises(NotAllowed):
                program_sessions.session_of(pair.access)
            with pytest.raises(NotAllowed):
                program_sessions.refresh(pair.refresh)
        assert program_sessions.session_of(pairs[2].access).user == bob

    def test_others_tokens_are_not_there(self, browser: Client, bob: User) -> None:
        token, _ = tokens.create_token(bob, name="bob's", days=None)
        assert "bob&#x27;s" not in browser.get("/me/tokens/").text
        assert browser.post(f"/me/tokens/{token.pk}/revoke/").status_code == 404
        assert Token.objects.get() == token

    def test_strangers(self, client: Client) -> None:
        assert client.get("/me/tokens/")["Location"].startswith("/accounts/login/")
        assert client.post("/me/tokens/", {"name": "x"}).status_code == 302
        assert not Token.objects.exists()


class TestLimits:
    def test_so_many_at_once(self, alice: User) -> None:
        for number in range(tokens.MAX_TOKENS):
            tokens.create_token(alice, name=str(number), days=7)
        with pytest.raises(Conflict) as refused:
            tokens.create_token(alice, name="more", days=7)
        assert refused.value.code == "too_many_tokens"
        assert alice.tokens.count() == tokens.MAX_TOKENS
        alice.tokens.filter(name="0").update(expires_at=timezone.now())
        tokens.create_token(alice, name="more", days=7)

    def test_only_contributors(self, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam")
        with pytest.raises(NotAllowed):
            tokens.create_token(alice, name="x", days=7)
        with pytest.raises(Invalid):
            tokens.create_token(mo, name="x", days=8)
        assert not Token.objects.exists()

    def test_many_wrong_ones_from_an_address(self, client: Client) -> None:
        wrong = program("wrong")
        statuses = [wrong.get("/api/v1/text_labels/valid_labels") for _ in range(61)]
        assert {one.status_code for one in statuses[:60]} == {403}
        assert statuses[60].status_code == 429 and int(statuses[60]["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_rivals_do_not_get_past_the_limit(alice: User) -> None:
    for number in range(tokens.MAX_TOKENS - 1):
        tokens.create_token(alice, name=str(number), days=7)

    def make() -> object:
        return tokens.create_token(User.objects.get(pk=alice.pk), name="rival", days=7)

    at_once([make, make, make])
    assert alice.tokens.count() == tokens.MAX_TOKENS


class TestWire:
    @pytest.fixture
    def own(self, alice: User) -> Client:
        return program(tokens.create_token(alice, name="mine", days=7)[1])

    def post(self, own: Client, path: str, body: Any) -> Any:
        return own.post(f"/api/v1/{path}", body, content_type="application/json")

    def test_a_whole_task_as_oneself(self, own: Client, alice: User) -> None:
        task = self.post(own, "tasks/", {"type": "initial_prompt", "user": ME})
        assert task.status_code == 200, task.content
        assert Task.objects.get().user == alice
        assert self.post(own, f"tasks/{task.json()['id']}/ack", {"message_id": "a"}).status_code == 204
        answer = {"type": "text_reply_to_message", "user": ME, "message_id": "a", "user_message_id": "b", "text": "Hm?"}
        assert self.post(own, "tasks/interaction", answer).status_code == 200
        alice.refresh_from_db()
        assert Message.objects.get().author == alice and alice.display_name == "Alice"

    def test_for_nobody_else(self, own: Client, bob: User) -> None:
        tokens.create_token(bob, name="bob's", days=7)
        for name in ("bob", str(bob.pk)):
            response = self.post(own, "tasks/", {"type": "initial_prompt", "user": {**ME, "id": name}})
            assert (response.status_code, response.json()["error_code"]) == (403, 2)
        assert self.post(own, "frontend_users/", {**ME, "id": "new"}).status_code == 403
        assert not Task.objects.exists() and User.objects.count() == 2

    def test_terms_are_the_persons_own(self, own: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(terms_version="")
        assert self.post(own, "tasks/", {"type": "initial_prompt", "user": ME}).status_code == 451

    def test_message_ids_are_each_persons_own(self, own: Client, bob: User) -> None:
        of_bob = program(tokens.create_token(bob, name="bob's", days=7)[1])
        for one in (own, of_bob):
            task = self.post(one, "tasks/", {"type": "initial_prompt", "user": ME}).json()["id"]
            assert self.post(one, f"tasks/{task}/ack", {"message_id": "same"}).status_code == 204
        assert Task.objects.values("api_client").distinct().count() == 2

    def test_suspended_and_closed(self, own: Client, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam")
        assert own.get("/api/v1/text_labels/valid_labels").status_code == 503
        closing.close_account(alice)
        assert own.get("/api/v1/text_labels/valid_labels").status_code == 403
        assert not Token.objects.exists()

    def test_who_sees_whom(self, own: Client, alice: User, bob: User) -> None:
        tokens.create_token(bob, name="bob's", days=7)
        assert [one["user_id"] for one in own.get("/api/v1/users/by_username").json()] == [str(alice.pk)]
        _, key = api_clients.create_api_client(name="site", trusted=True)
        site = Client(headers={"X-API-Key": key})
        assert site.get("/api/v1/users/by_username").json() == []
        assert ApiClient.objects.filter(person__isnull=False).count() == 2
