"""Sign-in: short, rotating tokens, trusted API clients, sign-out and deleting accounts."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from inference.models import Chat, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.states import TurnState
from oasst.accounts import account_bans, api_clients, closing, consent, tokens
from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import ApiClient, Identity, ProgramSession, RefreshToken, Secret, User
from tests.concurrency.together import at_once
from tests.inference.api.conftest import Api, api_of, bearer_of, done, refused, trusted_header
from tests.inference.talking import new_chat

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]
NOBODY = Api()


def bearer(token: str) -> Api:
    return Api(Authorization=f"Bearer {token}")


def refresh(token: str) -> Any:
    return NOBODY.get("auth/refresh", headers={"Refresh": token})


class TestDebugLogin:
    def test_it_works(self, settings: Any) -> None:
        settings.DEBUG = True
        there = NOBODY.get("auth/login/debug", username="Dora", state="x")
        assert there.status_code == 302
        pair = done(Client().get("/inference/auth/login/debug?username=Dora", follow=True))
        assert pair["access_token"]["token_type"] == "bearer" and pair["refresh_token"]["token_type"] == "refresh"
        me = bearer(pair["access_token"]["access_token"])
        assert done(me.get("auth/check")) == str(User.objects.get(email="dora@debug.example.com").pk)
        assert done(me.post("chats", {}))["title"] is None
        assert "debug" in done(NOBODY.get("auth/providers"))

    def test_it_is_no_door_of_a_site(self) -> None:
        for path in ("auth/login/debug", "auth/callback/debug"):
            refused(NOBODY.get(path, username="root", code="root"), 403)
        assert done(NOBODY.get("auth/providers")) == [] and not User.objects.exists()

    def test_it_needs_a_name(self, settings: Any) -> None:
        settings.DEBUG = True
        refused(NOBODY.get("auth/callback/debug", code=" "), 400)
        assert not User.objects.exists()

    def test_a_service_that_is_not_there(self) -> None:
        refused(NOBODY.get("auth/login/github"), 404)
        refused(NOBODY.get("auth/callback/github"), 404)


class TestOtherServices:
    """The callback gives tokens only to a user who began at the login and signed in on the pages."""

    def test_it_works(self, alice: User, settings: Any) -> None:
        settings.SOCIALACCOUNT_PROVIDERS = {"github": {}}
        browser = Client()
        there = browser.get("/inference/auth/login/github")
        assert there["Location"] == "/accounts/login/?next=%2Finference%2Fauth%2Fcallback%2Fgithub"
        session = dict(browser.session)
        browser.force_login(alice)
        kept = browser.session
        kept.update(session)
        kept.save()
        pair = done(browser.get("/inference/auth/callback/github"))
        assert done(bearer(pair["access_token"]["access_token"]).get("auth/check")) == str(alice.pk)
        assert browser.get("/inference/auth/callback/github").status_code == 403, "once"

    def test_nobody_is_led_there(self, alice: User, settings: Any) -> None:
        settings.SOCIALACCOUNT_PROVIDERS = {"github": {}}
        browser = Client()
        browser.force_login(alice)
        assert browser.get("/inference/auth/callback/github").status_code == 403
        assert not ProgramSession.objects.exists()


class TestAccessTokens:
    def test_cookies_open_nothing(self, alice: User) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(alice)
        response = browser.post("/inference/chats", "{}", content_type="application/json")
        assert refused(response, 403) == "Not authenticated" and not Chat.objects.exists()

    def test_a_token_that_a_person_made(self, alice: User) -> None:
        _, secret = tokens.new_token(alice, "my script")
        me = bearer(secret)
        assert done(me.get("auth/check")) == str(alice.pk)
        assert done(me.post("chats", {}))["id"]

    @pytest.mark.parametrize(
        ("header", "status", "words"),
        [
            ({}, 403, "Not authenticated"),
            ({"Authorization": "Basic abc"}, 403, "Not authenticated"),
            ({"Authorization": "Bearer "}, 403, "Not authenticated"),
            ({"Authorization": "Bearer nonsense"}, 401, "This token is not valid."),
            ({"Authorization": "Bearer a.b.c"}, 401, "Invalid token"),
            ({"Authorization": "Bearer refresh_abc"}, 400, "Invalid token type"),
            ({"Authorization": "Bearer \u00fc"}, 401, "This token is not valid."),
        ],
    )
    def test_others(self, header: dict[str, str], status: int, words: str) -> None:
        response = Api(**header).get("chats")
        assert refused(response, status) == words
        assert (response.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)

    def test_after_an_hour_it_is_over(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        token = bearer_of(alice)
        assert done(bearer(token).get("chats"))["chats"] == []
        monkeypatch.setattr(program_sessions, "ACCESS_LIFETIME", timedelta(0))
        assert refused(bearer(token).get("chats"), 401) == "Token expired"

    def test_a_signature_of_something_else(self, alice: User) -> None:
        from django.core.signing import TimestampSigner

        token = TimestampSigner(sep=".", salt="another").sign(str(ProgramSession.objects.create(user=alice).pk))
        assert refused(bearer(token).get("chats"), 401) == "Invalid token"

    def test_whoever_is_suspended_or_gone_is_out_at_once(self, alice: User, bob: User, mo: User) -> None:
        ann, ben = api_of(alice), api_of(bob)
        account_bans.ban(alice, actor=mo, reason="Spam")
        closing.close_account(bob)
        assert refused(ann.get("chats"), 403) == "This account is suspended."
        refused(ben.get("chats"), 401)

    def test_the_terms_come_first_as_on_the_pages(self, alice: User) -> None:
        ann = api_of(alice)
        new_chat(alice)
        consent.withdraw_terms(alice)
        for response in (ann.get("chats"), ann.post("chats", {})):
            assert refused(response, 403).startswith("Please agree to version")
        assert done(ann.get("auth/check")) == str(alice.pk)
        assert Chat.objects.count() == 1

    def test_a_call_asks_once_who_it_is(self, alice: User, django_assert_num_queries: Any) -> None:
        ann = api_of(alice)
        with django_assert_num_queries(2):
            ann.get("chats")


class TestRefreshTokens:
    def test_it_works(self, alice: User) -> None:
        first = program_sessions.sign_in(alice, provider="test")
        new = done(refresh(first.refresh))
        assert done(bearer(new["access_token"]).get("auth/check")) == str(alice.pk)
        assert new["token_type"] == "bearer"
        newer = done(refresh(new["refresh_token"]["access_token"]))
        assert newer["refresh_token"] != new["refresh_token"]
        assert refresh(newer["refresh_token"]["access_token"])["Cache-Control"] == "no-store"

    def test_a_second_use_ends_the_whole_session(self, alice: User) -> None:
        stolen = program_sessions.sign_in(alice, provider="test")
        elsewhere = program_sessions.sign_in(alice, provider="test")
        new = done(refresh(stolen.refresh))
        assert refused(refresh(stolen.refresh), 401) == "Invalid token"
        assert refused(refresh(new["refresh_token"]["access_token"]), 401) == "Invalid token"
        for token in (stolen.access, new["access_token"]):
            assert refused(bearer(token).get("auth/check"), 401) == "Invalid token"
        assert done(bearer(elsewhere.access).get("auth/check")), "other sessions go on"

    @pytest.mark.django_db(transaction=True)
    def test_of_several_at_once_one_is_first(self, alice: User) -> None:
        pair = program_sessions.sign_in(alice, provider="test")
        results = at_once([lambda: program_sessions.refresh(pair.refresh)] * 4)
        assert sum(isinstance(one, program_sessions.IssuedTokens) for one in results) == 1
        assert ProgramSession.objects.get().ended_at is not None

    def test_what_is_stored_opens_nothing(self, alice: User) -> None:
        pair = program_sessions.sign_in(alice, provider="test")
        stored = RefreshToken.objects.get()
        assert stored.digest == Secret.digest_of(pair.refresh) and pair.refresh not in str(stored.__dict__)
        refused(refresh(stored.digest), 401)

    def test_others(self, alice: User) -> None:
        pair = program_sessions.sign_in(alice, provider="test")
        assert refused(NOBODY.get("auth/refresh"), 403) == "Not authenticated"
        assert refused(refresh("nonsense"), 401) == "Invalid token"
        assert refused(refresh(pair.access), 400) == "Invalid token type"
        RefreshToken.objects.update(expires_at=timezone.now())
        assert refused(refresh(pair.refresh), 401) == "Token expired"
        assert RefreshToken.objects.get().last_used_at is None

    def test_signing_in_again_forgets_what_is_over(self, alice: User) -> None:
        program_sessions.sign_in(alice, provider="test")
        RefreshToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        program_sessions.sign_in(alice, provider="test")
        assert ProgramSession.objects.count() == RefreshToken.objects.count() == 1

    def test_logging_out(self, alice: User) -> None:
        pair = program_sessions.sign_in(alice, provider="test")
        assert done(bearer(pair.access).post("auth/logout")) is None
        refused(bearer(pair.access).get("auth/check"), 401)
        refused(refresh(pair.refresh), 401)
        _, secret = tokens.new_token(alice)
        refused(bearer(secret).post("auth/logout"), 400)

    def test_an_operator_ends_all_sessions(self, alice: User, settings: Any) -> None:
        settings.ROOT_TOKENS = ["s3cret-of-the-site"]
        pair = program_sessions.sign_in(alice, provider="test")
        refused(bearer(pair.access).delete(f"admin/refresh_tokens/{alice.pk}"), 401)
        refused(bearer("wrong").delete(f"admin/users/{alice.pk}"), 401)
        assert done(bearer(pair.access).get("auth/check"))
        root = bearer("s3cret-of-the-site")
        assert done(root.delete(f"admin/refresh_tokens/{alice.pk}")) is None
        refused(bearer(pair.access).get("auth/check"), 401)
        refused(refresh(pair.refresh), 401)
        refused(root.delete("admin/refresh_tokens/00000000-0000-4000-8000-000000000000"), 404)

    def test_an_operator_erases_a_person(self, alice: User, mo: User, settings: Any) -> None:
        settings.ROOT_TOKENS = ["s3cret-of-the-site"]
        root = bearer("s3cret-of-the-site")
        new_chat(alice)
        refused(root.delete(f"admin/users/{mo.pk}"), 403)
        assert done(root.delete(f"admin/users/{alice.pk}")) is None
        alice.refresh_from_db()
        assert not alice.is_active and not Chat.objects.filter(deleted_at=None).exists()


class TestTrustedPrograms:
    def trusted(self, key: str, **claim: str) -> Api:
        return Api(TrustedClient=trusted_header(key, **claim))

    def test_a_new_person(self, website_key: str) -> None:
        ada = self.trusted(website_key)
        assert done(ada.get("chats"))["chats"] == []
        assert refused(ada.post("chats", {}), 404) and not User.objects.exists()
        made = done(ada.post("auth/trusted"))
        assert (made["provider"], made["display_name"], made["deleted"]) == ("website", "Ada", False)
        assert done(ada.post("auth/trusted"))["id"] == made["id"], "twice is once"
        chat = done(ada.post("chats", {}))["id"]
        assert done(ada.get("auth/check")) == made["id"]
        assert [one["id"] for one in done(ada.get("chats"))["chats"]] == [chat]

    def test_its_people_are_its_own(self, website_key: str) -> None:
        _, other_key = api_clients.create_api_client(name="other", trusted=True)
        ada = self.trusted(website_key)
        done(ada.post("auth/trusted"))
        chat = done(ada.post("chats", {}))["id"]
        stranger = self.trusted(other_key)
        assert done(stranger.post("auth/trusted")) and User.objects.count() == 2
        refused(stranger.get(f"chats/{chat}"), 404)

    def test_nobody_of_the_site_is_acted_for(self, website_key: str, alice: User) -> None:
        for user_id in (str(alice.pk), alice.email or ""):
            someone = self.trusted(website_key, user_id=user_id, account_id=str(alice.pk))
            assert done(someone.post("auth/trusted"))["id"] != str(alice.pk)

    def test_one_person_on_both_wires(self, website_key: str, alice: User) -> None:
        client = ApiClient.objects.get()
        Identity.objects.create(user=alice, api_client=client, auth_method="local", username="alice")
        caller = self.trusted(website_key, account_id=str(alice.pk))
        assert done(caller.get("auth/check")) == str(alice.pk)
        assert done(caller.post("auth/trusted"))["id"] == str(alice.pk)
        assert done(self.trusted(website_key).get("auth/check")) == str(alice.pk), "remembered by its own name"

    @pytest.mark.parametrize(
        "header", ["", "x", "bm90IGpzb24=", "W10=", "eyJhcGlfa2V5IjoieCJ9", trusted_header("wrong"), "[" * 99]
    )
    def test_headers_that_are_none(self, header: str) -> None:
        assert refused(Api(TrustedClient=header).get("chats"), 401) == "Unauthorized client"
        assert refused(Api(TrustedClient=header).post("auth/trusted"), 401) == "Unauthorized client"
        assert not User.objects.exists()

    def test_a_program_that_is_not_trusted(self, db: None) -> None:
        _, key = api_clients.create_api_client(name="bot", trusted=False)
        assert refused(self.trusted(key).get("chats"), 401) == "Unauthorized client"

    def test_the_suspended_are_suspended_here_too(self, website_key: str, mo: User) -> None:
        ada = self.trusted(website_key)
        person = User.objects.get(pk=done(ada.post("auth/trusted"))["id"])
        account_bans.ban(person, actor=mo, reason="Spam")
        for response in (ada.get("chats"), ada.post("chats", {}), ada.post("auth/trusted"), ada.get("auth/check")):
            refused(response, 403)


class TestTheEnd:
    def test_of_an_account(self, alice: User) -> None:
        ann = api_of(alice)
        done(ann.post("chats", {}))
        address = alice.email
        assert done(ann.delete("account/")) is None
        assert [(message.subject, message.to) for message in mail.outbox] == [("Your account is closed", [address])]
        alice.refresh_from_db()
        assert alice.deleted_at and not alice.is_active and not Chat.objects.filter(deleted_at=None).exists()
        refused(ann.get("chats"), 401)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("by_operator", [False, True])
    def test_while_an_answer_is_written(self, alice: User, chat_on: None, settings: Any, by_operator: bool) -> None:
        settings.ROOT_TOKENS = ["root-token"]
        ann = api_of(alice)
        written = ann.ask_anew()
        lifecycle.claim(owner="test", model="tiny", number=1, policy=ChatPolicy())
        waiting = ann.ask_anew()
        if by_operator:
            done(bearer("root-token").delete(f"admin/users/{alice.pk}"))
        else:
            done(ann.delete("account/"))
        assert not User.objects.filter(pk=alice.pk, is_active=True).exists()
        assert Turn.objects.get(pk=waiting["id"]).state == TurnState.STOPPED
        assert Turn.objects.get(pk=written["id"]).stop_asked_at is not None

    def test_needs_a_fresh_sign_in_as_on_the_pages(self, alice: User) -> None:
        ann = api_of(alice)
        ProgramSession.objects.update(created_at=timezone.now() - timedelta(minutes=16))
        _, secret = tokens.new_token(alice)
        for caller in (ann, bearer(secret)):
            assert "sign in again" in refused(caller.delete("account/"), 403)
        alice.refresh_from_db()
        assert alice.is_active

    def test_of_somebody_whom_a_program_speaks_for(self, website_key: str) -> None:
        ada = Api(TrustedClient=trusted_header(website_key))
        old = done(ada.post("auth/trusted"))["id"]
        assert done(ada.delete("account/")) is None
        refused(ada.get("auth/check"), 404)
        assert done(ada.post("auth/trusted"))["id"] != old
