"""The second factor: setting it up, asking at each sign-in, losing it, and requiring it of moderators."""

import json
import re
import time
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.test import Client, RequestFactory

from oasst.accounts import closing, registration, tokens
from oasst.accounts.authentication import second_factor
from oasst.accounts.authentication.known_devices import known_device
from oasst.accounts.authentication.second_factor_forms import MAX_KEYS, AddKeyForm, KeyAgainForm, RenameKeyForm
from oasst.accounts.authentication.sign_in_links import make_link
from oasst.accounts.models import Role, User
from oasst.site import merging
from tests.accounts.authentication.other_service import other_service
from tests.factories import PASSWORD, new_prompt
from trees.access import reads_everything
from trees.models import Message

pytestmark = pytest.mark.django_db

STEP, DOOR = "/accounts/2fa/authenticate/", "/accounts/login/"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(after: int = 0, secret: str = SECRET) -> str:
    """The code of the app, now or some half minutes later."""
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + after))


def give_app(person: User) -> None:
    Authenticator.objects.create(user=person, type="totp", data={"secret": SECRET})
    Authenticator.objects.create(user=person, type="recovery_codes", data={"seed": "ab" * 40, "used_mask": 0})


def recovery_codes(person: User) -> list[str]:
    found: list[str] = Authenticator.objects.get(user=person, type="recovery_codes").wrap().get_unused_codes()
    return found


@pytest.fixture
def ann(alice: User) -> User:
    """Alice with an authenticator app."""
    give_app(alice)
    return alice


@pytest.fixture
def at_the_step(ann: User, client: Client) -> Client:
    """A sign-in after the right password, before the second factor."""
    assert client.post(DOOR, {"login": ann.email, "password": PASSWORD})["Location"] == STEP
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


class TestSettingItUp:
    def test_by_an_app(self, client: Client, alice: User, django_capture_on_commit_callbacks: Any) -> None:
        client.force_login(alice)
        page = client.get("/accounts/2fa/totp/activate/")
        groups = re.findall(r'class="secret-group">(\w+)<', page.text)
        secret = "".join(groups)
        assert {len(group) for group in groups} == {4}
        assert len(secret) == 32 and "<svg" in page.text and "data:" not in page.text
        assert "img-src" not in page["Content-Security-Policy"]
        wrong = client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
        assert wrong.status_code == 200 and not Authenticator.objects.exists()
        outer = context.request_context(RequestFactory().get("/"))  # on_commit callbacks run after the request
        with outer, django_capture_on_commit_callbacks(execute=True):
            answer = client.post("/accounts/2fa/totp/activate/", {"code": code(secret=secret)})
        assert answer["Location"] == "/accounts/2fa/recovery-codes/"
        page = client.get("/accounts/2fa/recovery-codes/")
        assert len(re.findall(r"<li><code>\d{8}</code>", page.text)) == 10
        assert mail.outbox[-1].subject == "An authenticator app was added"
        assert client.get("/accounts/2fa/").text.count("badge--good") == 1

    def test_taking_it_off(self, client: Client, ann: User) -> None:
        client.force_login(ann)
        assert "Switch the app off?" in client.get("/accounts/2fa/totp/deactivate/").text
        client.post("/accounts/2fa/totp/deactivate/")
        assert not Authenticator.objects.exists(), "recovery codes end with the last factor"
        assert mail.outbox[-1].subject == "The authenticator app was removed"

    def test_tries_are_limited(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        client.get("/accounts/2fa/totp/activate/")
        answers = [client.post("/accounts/2fa/totp/activate/", {"code": "000000"}).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]

    def test_names_and_numbers_of_keys_are_bounded(self, alice: User) -> None:
        with context.request_context(RequestFactory().get("/")):
            assert "name" in AddKeyForm({"name": "x" * 61, "credential": "{}"}, user=alice).errors
            for number in range(MAX_KEYS):
                Authenticator.objects.create(user=alice, type="webauthn", data={"name": f"{number}"})
            assert AddKeyForm({"name": "x"}, user=alice).has_error("__all__", "too_many_keys")
        assert "name" in RenameKeyForm({"name": "x" * 61}, instance=Authenticator.objects.first()).errors

    @pytest.mark.parametrize("page", ["/accounts/2fa/webauthn/add/", STEP])
    def test_what_no_key_says_is_refused(self, client: Client, ann: User, page: str) -> None:
        if page == STEP:
            client.post(DOOR, {"login": ann.email, "password": PASSWORD})
        else:
            client.force_login(ann)
        client.get(page)
        before = Authenticator.objects.count()
        answer = {"clientDataJSON": "e30", "attestationObject": "oA", "authenticatorData": "AA", "signature": "AA"}
        for credential in (
            *("[]", "null", "3", '{"id": null}', '{"id": [], "response": 1}', '{"id": "AA", "rawId": "AA"}'),
            json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": answer}),
        ):
            told = client.post(page, {"name": "Stick", "credential": credential})
            assert told.status_code == 200, credential
            with context.request_context(told.wsgi_request):
                assert KeyAgainForm({"credential": credential}, user=ann).errors.keys() == {"credential"}
        assert Authenticator.objects.count() == before

    def test_another_address_may_still_be_added(self, client: Client, ann: User) -> None:
        client.force_login(ann)
        client.post("/accounts/email/", {"action_add": "", "email": "second@example.org"})
        assert ann.emailaddress_set.filter(email="second@example.org").exists()


class TestEveryWayInAsks:
    def test_password(self, at_the_step: Client, ann: User) -> None:
        assert not is_in(at_the_step)
        assert "One more step" in at_the_step.get(STEP).text
        assert at_the_step.get("/dashboard/")["Location"].startswith(DOOR)
        assert at_the_step.post(STEP, {"code": code()})["Location"] == "/dashboard/"
        assert is_in(at_the_step)

    def test_code_by_mail(self, client: Client, ann: User) -> None:
        client.post("/accounts/login/code/", {"email": ann.email})
        found = re.search(r"^ {4}(\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
        assert found
        assert client.post("/accounts/login/code/confirm/", {"code": found[1]})["Location"] == STEP
        assert not is_in(client)
        client.post(STEP, {"code": code()})
        assert is_in(client)

    def test_another_service(self, client: Client, ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
        with other_service(monkeypatch.setattr) as service:
            service.email = str(ann.email)
            there = client.post("/accounts/discord/login/")["Location"]
            state = there.partition("state=")[2].partition("&")[0]
            answer = client.get("/accounts/discord/login/callback/", {"code": "x", "state": state})
        assert answer["Location"] == STEP and not is_in(client)

    def test_a_link_of_the_operator(self, client: Client, ann: User) -> None:
        key = make_link(ann, minutes=15).partition("key=")[2]
        assert client.post("/accounts/link/", {"key": key})["Location"] == STEP
        assert not is_in(client)

    def test_the_step_stands_for_nobody_else(self, client: Client, ann: User) -> None:
        assert client.get(STEP)["Location"] == DOOR
        assert client.post(STEP, {"code": code()})["Location"] == DOOR
        assert not is_in(client)


class TestCodes:
    @pytest.mark.parametrize("after", [-1, 0, 1])
    def test_of_this_half_minute_and_its_neighbours(self, at_the_step: Client, after: int) -> None:
        at_the_step.post(STEP, {"code": code(after)})
        assert is_in(at_the_step)

    @pytest.mark.parametrize("after", [-3, 3])
    def test_no_others(self, at_the_step: Client, after: int) -> None:
        assert "Incorrect code" in at_the_step.post(STEP, {"code": code(after)}).text
        assert not is_in(at_the_step)

    def test_each_is_good_once(self, at_the_step: Client, ann: User) -> None:
        given = code(1)
        at_the_step.post(STEP, {"code": given})
        thief = Client()
        thief.post(DOOR, {"login": ann.email, "password": PASSWORD})
        for seen in (given, code(0)):
            thief.post(STEP, {"code": seen})
        assert not is_in(thief)

    def test_without_redis_they_still_work(self, at_the_step: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("django.core.cache.cache.add", lambda *args, **kwargs: False)
        at_the_step.post(STEP, {"code": code()})
        assert is_in(at_the_step)

    def test_recovery_codes_are_good_once(self, at_the_step: Client, ann: User) -> None:
        given = recovery_codes(ann)[0]
        at_the_step.post(STEP, {"code": given})
        assert is_in(at_the_step) and given not in recovery_codes(ann)
        again = Client()
        again.post(DOOR, {"login": ann.email, "password": PASSWORD})
        again.post(STEP, {"code": given})
        assert not is_in(again)

    def test_guesses_are_counted_by_account(self, ann: User) -> None:
        for number in range(3):
            client = Client(REMOTE_ADDR=f"203.0.113.{number}")
            client.post(DOOR, {"login": ann.email, "password": PASSWORD})
            answers = [client.post(STEP, {"code": "000000"}).status_code for _ in range(4)]
        assert answers == [200, 200, 429, 429]

    def test_a_thief_of_the_password_uses_up_no_tries_of_a_browser_that_signed_in_before(
        self, at_the_step: Client, ann: User
    ) -> None:
        at_the_step.post(STEP, {"code": recovery_codes(ann)[0]})
        at_the_step.post("/accounts/logout/")
        thief = Client(REMOTE_ADDR="203.0.113.9")
        thief.post(DOOR, {"login": ann.email, "password": PASSWORD})
        assert [thief.post(STEP, {"code": "000000"}).status_code for _ in range(11)][-1] == 429
        at_the_step.post(DOOR, {"login": ann.email, "password": PASSWORD})
        at_the_step.post(STEP, {"code": recovery_codes(ann)[0]})
        assert is_in(at_the_step)


class TestWhatThePageSays:
    AGAIN = "/accounts/2fa/reauthenticate/"

    def test_whom_to_write_to_who_lost_it(self, client: Client, ann: User, settings: Any) -> None:
        client.post(DOOR, {"login": ann.email, "password": PASSWORD})
        assert "Write to whoever runs this site" in client.get(STEP).text
        settings.CONTACT_EMAIL = "team@example.org"
        assert '<a href="mailto:team@example.org">team@example.org</a>' in client.get(STEP).text

    @pytest.mark.parametrize("page", [STEP, AGAIN])
    def test_how_many_tries_are_left_and_when_they_come_back(self, client: Client, ann: User, page: str) -> None:
        if page == STEP:
            client.post(DOOR, {"login": ann.email, "password": PASSWORD})
        else:
            client.force_login(ann)
        wrong = client.post(page, {"code": "000000"}).text
        assert "9 tries</strong> left" in wrong
        assert 'aria-describedby="id_code_helptext id_code_error"' in wrong and 'id="id_code_helptext"' in wrong
        for _ in range(9):
            last = client.post(page, {"code": "000000"})
        assert last.status_code == 200 and "That was the last try for now" in last.text
        refused = client.post(page, {"code": recovery_codes(ann)[0]})
        assert refused.status_code == 429 and 0 < int(refused["Retry-After"]) <= 600
        assert "Not yet" in refused.text and 'name="code"' in refused.text
        assert len(recovery_codes(ann)) == 10

    @pytest.mark.parametrize("has_codes", [True, False])
    def test_who_has_only_a_key_is_asked_for_no_app(self, client: Client, ann: User, has_codes: bool) -> None:
        Authenticator.objects.filter(type="totp").update(type="webauthn", data={"name": "stick", "credential": {}})
        if not has_codes:
            Authenticator.objects.exclude(type="webauthn").delete()
        ways = get_adapter().get_reauthentication_methods(ann)
        assert [way["description"] for way in ways if way["id"] != "sign_in_again"] == [
            "With your security key",
            *(["With a recovery code"] if has_codes else []),
        ]
        page = render_to_string("mfa/authenticate.html", {"factors": second_factor.factor_types(ann)})
        assert "your security key" in page and "authenticator app" not in page
        assert ("recovery codes" in page, 'name="code"' in page) == (has_codes, has_codes)
        if has_codes:
            client.force_login(ann)
            page = client.get(self.AGAIN).text
            assert "One of your recovery codes" in page and "authenticator app" not in page

    def test_a_reset_password_brings_no_new_tries(self, client: Client, ann: User, rf: RequestFactory) -> None:
        """Otherwise a thief of the mailbox could guess forever, because each reset would make the browser known."""
        for word in ("one", "two"):
            client.post("/accounts/password/reset/", {"email": ann.email})
            link = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[-1].body)
            assert link
            page = client.get(link[0], follow=True).redirect_chain[-1][0]
            new = f"a wholly new password, number {word}"
            client.post(page, {"password1": new, "password2": new})
            request = rf.get("/")
            request.COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}
            assert known_device(request, str(ann.email)) is None


class TestProvingItOnceMore:
    def test_only_the_second_factor_counts(self, client: Client, ann: User, settings: Any) -> None:
        settings.SENDS_MAIL = True
        client.force_login(ann)
        session = client.session
        session["signed_in_at"] = 0
        session.save()
        there = client.get("/me/tokens/")["Location"]
        assert there.startswith("/accounts/2fa/reauthenticate/")
        page = client.get(there).text
        assert "recovery codes" in page and "code by e-mail" not in page and "With your password" not in page
        for url, given in (("/accounts/reauthenticate/", {"password": PASSWORD}),):
            assert client.post(url, given)["Location"].startswith("/accounts/2fa/reauthenticate/")
        assert client.post("/accounts/reauthenticate/code/", {"action": "send"})["Location"].startswith("/accounts/2fa")
        assert not mail.outbox
        assert client.get("/me/tokens/").status_code == 302
        assert client.post(there, {"code": code()})["Location"] == "/me/tokens/"
        assert client.get("/me/tokens/").status_code == 200


class TestModeratorsMust:
    @pytest.fixture
    def demanded(self, settings: Any) -> None:
        settings.REQUIRE_MFA = "staff"

    @pytest.mark.usefixtures("demanded")
    @pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
    def test_set_one_up_first(self, client: Client, alice: User, role: Role) -> None:
        alice.role = role
        alice.save()
        client.force_login(alice)
        for url in ("/admin/", "/admin/accounts/user/"):
            assert client.get(url)["Location"] == "/accounts/2fa/"
            assert client.post(url)["Location"] == "/accounts/2fa/"
        assert "needs a second factor" in client.get("/accounts/2fa/").text
        assert client.get("/dashboard/").status_code == 200
        give_app(alice)
        assert client.get("/admin/").status_code == 200

    @pytest.mark.usefixtures("demanded")
    def test_until_then_they_read_no_more_than_others(self, client: Client, alice: User, mo: User) -> None:
        """Also outside the admin: on pages, and with their own token."""
        message = new_prompt(alice, text="What was taken away is nobody's to read.")
        Message.objects.filter(pk=message.pk).update(deleted=True)
        _, secret = tokens.create_token(mo, name="notebook", days=7)
        client.force_login(mo)

        def read() -> list[bool]:
            program = Client(headers={"Authorization": f"Bearer {secret}"})
            answers = client.get(f"/messages/{message.pk}/"), program.get(f"/api/v1/messages/{message.pk}")
            return ["What was taken away" in answer.text for answer in answers]

        assert read() == [False, False]
        give_app(mo)
        assert read() == [True, True]

    def test_it_costs_no_statement_where_nobody_must(
        self, mo: User, settings: Any, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            assert reads_everything(mo)
        settings.REQUIRE_MFA = "staff"
        with django_assert_num_queries(1):
            assert not any(reads_everything(mo) for _ in range(3))

    def test_by_default_nobody_must(self, client: Client, mo: User) -> None:
        client.force_login(mo)
        assert client.get("/admin/").status_code == 200

    @pytest.mark.usefixtures("demanded")
    def test_contributors_need_none(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.get("/dashboard/").status_code == 200


class TestLostOrLeft:
    def test_an_operator_takes_it_off(self, client: Client, ann: User) -> None:
        client.force_login(ann)
        call_command("remove_second_factor", str(ann.email))
        assert not second_factor.has_second_factor(ann)
        assert client.get("/me/")["Location"].startswith(DOOR), "signed out everywhere"
        assert mail.outbox[-1].to == [ann.email]

    @pytest.mark.parametrize("email", ["nobody@example.org", "bob@example.org"])
    def test_the_command_says_what_is_wrong(self, bob: User, email: str) -> None:
        registration.create_user(email="bob@example.org")
        with pytest.raises(CommandError, match=r"Nobody has the address|has no second factor"):
            call_command("remove_second_factor", email)

    def test_a_closed_account_keeps_none(self, ann: User) -> None:
        closing.close_account(ann)
        assert not Authenticator.objects.exists()

    def test_merging_gives_nobody_the_factor_of_another(self, ann: User, bob: User) -> None:
        merging.merge_users(destination_id=bob.pk, source_ids=[ann.pk])
        assert not second_factor.has_second_factor(bob) and not Authenticator.objects.exists()
