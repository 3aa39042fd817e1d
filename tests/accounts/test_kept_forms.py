"""A text sent after the session ended is kept for its author, in its form, and for nobody else."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inference.models import Chat, ChatMessage, ChatReport, Turn
from oasst.accounts import account_bans
from oasst.accounts.authentication.sessions import SessionStore
from oasst.accounts.models import Session, User
from oasst.core.http import kept_forms
from oasst.core.models import AuditEntry
from oasst.core.ratelimit import KEPT_FORMS_IN_ALL
from oasst.site.beat_schedule import SCHEDULES
from oasst.site.schedules import clear_sessions_of_nobody
from tasks.models import Task
from tests.factories import PASSWORD, decide, growing_tree, new_person, new_prompt, new_reply, work_until_state
from tests.inference.battles.making import answered
from tests.inference.conftest import chat_on  # noqa: F401
from tests.inference.talking import ask
from tests.security.pages import addresses
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Report, Review, Skip, Withdrawal
from trees.moderation import moderator_actions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]
WORDS = "Half an hour of work,\n    indented & <kept>"
SHOWN = "Half an hour of work,\n    indented &amp; &lt;kept&gt;"


@dataclass
class Form:
    """A form, and how its page shows the kept content."""

    page: str
    action: str
    fields: dict[str, Any]
    shown: list[str] = field(default_factory=lambda: [SHOWN])


def sign_in(person: User, client: Client | None = None, then: str = "/dashboard/") -> Client:
    """Sign in on the page, because `force_login` skips what a sign-in does to the session."""
    client = client or Client()
    client.post("/accounts/login/", {"login": person.email, "password": PASSWORD, "next": then})
    assert client.session["_auth_user_id"] == str(person.pk)
    return client


def take(client: Client, kind: str) -> str:
    response = client.post(reverse("task_next"), {"kind": kind, "lang": "en", "idempotency_key": uuid4()})
    assert Task.objects.exists()
    return response["Location"]


def writing(client: Client, bob: User, alice: User) -> Form:
    url = take(client, "initial_prompt")
    return Form(url, url, {"text": WORDS})


def judging(client: Client, bob: User, alice: User) -> Form:
    new_prompt(alice)
    url = take(client, "label_initial_prompt")
    shown = [
        r'name="quality" value="0.75"[^>]* checked',
        r'name="pii" value="1"[^>]* checked',
        r'value="0"[^>]* checked',
    ]
    return Form(url, url, {"spam": "0", "quality": "0.75", "pii": "1"}, shown)


def ranking(client: Client, bob: User, alice: User) -> Form:
    policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
    work_until_state(growing_tree(alice, policy).pk, State.RANKING, policy)
    url = take(client, "rank_assistant_replies")
    replies = Task.objects.get().reply_ids
    places = dict(zip(replies, ("3", "1", "2"), strict=True))
    shown = [rf'name="rank_{pk}"(?:(?!</select>)[\s\S])*value="{place}" selected' for pk, place in places.items()]
    return Form(url, url, {f"rank_{pk}": place for pk, place in places.items()}, shown)


def skipping(client: Client, bob: User, alice: User) -> Form:
    new_prompt(alice)
    url = take(client, "label_initial_prompt")
    return Form(url, f"{url}skip/", {"reason": "unclear", "note": WORDS}, [SHOWN, r'<details class="skip"[^>]* open'])


def reporting(client: Client, bob: User, alice: User) -> Form:
    prompt = new_prompt(alice)
    decide(prompt)
    page = reverse("tree", args=[prompt.pk])
    shown = [SHOWN, r'value="spam" required checked', r'<details class="report" open']
    return Form(page, reverse("message_report", args=[prompt.pk]), {"category": "spam", "text": WORDS}, shown)


def suggesting(client: Client, bob: User, alice: User) -> Form:
    reply = new_reply(growing_tree(alice), alice)
    decide(reply)
    page = reverse("message_suggest", args=[reply.pk])
    return Form(page, page, {"text": WORDS})


def withdrawing(client: Client, bob: User, alice: User) -> Form:
    prompt = growing_tree(bob)
    decide(new_reply(prompt, alice))
    page = reverse("message_withdraw", args=[prompt.pk])
    return Form(page, page, {"reason": WORDS})


def beginning_a_chat(client: Client, bob: User, alice: User) -> Form:
    return Form(reverse("chats"), reverse("chat_begin"), {"text": WORDS, "parent": ""})


def chat_of(bob: User) -> ChatMessage:
    turn = ask(bob, "Why is the sky blue?")
    ChatMessage.objects.filter(pk=turn.pk).update(content="It is not.")
    Turn.objects.filter(pk=turn.pk).update(state="complete", ended_at=timezone.now())
    return turn.message


def asking(client: Client, bob: User, alice: User) -> Form:
    message = chat_of(bob)
    page = reverse("chat", args=[message.chat_id])
    return Form(page, f"{page}ask/", {"text": WORDS, "parent": str(message.pk)})


def rewording(client: Client, bob: User, alice: User) -> Form:
    message = chat_of(bob)
    page = reverse("chat", args=[message.chat_id])
    fields = {"text": WORDS, "parent": "", "editing": str(message.parent_id)}
    return Form(page, f"{page}ask/", fields, [SHOWN, r"data-rewrite open"])


def reporting_an_answer(client: Client, bob: User, alice: User) -> Form:
    message = chat_of(bob)
    action = reverse("chat_report", args=[message.pk])
    shown = [SHOWN, r'value="offensive" required checked']
    return Form(reverse("chat", args=[message.chat_id]), action, {"kind": "offensive", "reason": WORDS}, shown)


def setting(client: Client, bob: User, alice: User) -> Form:
    page = reverse("chat", args=[chat_of(bob).chat_id])
    fields = {"set-user_profile": WORDS, "set-temperature": "1.25", "preset_name": "My own way"}
    return Form(page, f"{page}choose/", fields, [SHOWN, 'value="1.25"', 'value="My own way"'])


def naming_a_chat(client: Client, bob: User, alice: User) -> Form:
    page = reverse("chat", args=[chat_of(bob).chat_id])
    return Form(page, f"{page}rename/", {"title": "About the sky", "next": page}, ['value="About the sky"'])


def comparing(client: Client, bob: User, alice: User) -> Form:
    return Form(
        reverse("battles"),
        reverse("battle_begin"),
        {"text": WORDS, "kind": "drafts"},
        [SHOWN, 'value="drafts" checked'],
    )


def deciding(client: Client, bob: User, alice: User) -> Form:
    page = reverse("battle", args=[answered(bob).pk])
    fields = {"outcome": "left", "why": "tone", "comment": "Shorter and better"}
    return Form(page, f"{page}decide/", fields, ['value="Shorter and better"', 'value="tone" checked'])


def describing_oneself(client: Client, bob: User, alice: User) -> Form:
    fields = {"display_name": "Bobby", "time_zone": "Asia/Tokyo", "contribution_languages": ["de", "pt-BR"]}
    shown = ['value="Bobby"', 'value="Asia/Tokyo"', 'value="de" selected', 'value="pt-BR" selected']
    return Form("/me/", "/me/", fields, shown)


def appealing(client: Client, bob: User, alice: User) -> Form:
    entry_id = removed_from(bob)
    page = f"/me/decisions/{entry_id}/"
    return Form(page, f"{page}appeal/", {"text": WORDS})


def removed_from(person: User) -> int:
    prompt = new_prompt(person)
    mo = new_person("Mona", "moderator")
    moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Copied.", policy=TreePolicy())
    return AuditEntry.objects.get(target_id=str(prompt.pk)).pk


FORMS = [
    *(writing, judging, ranking, skipping, reporting, suggesting, withdrawing, describing_oneself, appealing),
    *(beginning_a_chat, asking, rewording, reporting_an_answer, setting, naming_a_chat),
    *(comparing, deciding),
]


def written() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Message, Review, Report, Skip, Chat, ChatMessage, ChatReport))


def stands(form: Form, page: str) -> bool:
    return all(one in page or re.search(one, page) for one in form.shown)


def send(client: Client, form: Form, **headers: str) -> Any:
    return client.post(form.action, form.fields, headers={"Referer": f"http://testserver{form.page}", **headers})


@pytest.mark.parametrize("make", FORMS, ids=lambda one: one.__name__)
def test_it_waits_in_its_form(make: Callable[..., Form], bob: User, alice: User) -> None:
    client = sign_in(bob)
    form = make(client, bob, alice)
    assert not stands(form, client.get(form.page).text)
    client.cookies.pop("sessionid")
    before = written()

    door = send(client, form)["Location"]
    assert (urlsplit(door).path, parse_qs(urlsplit(door).query)) == ("/accounts/login/", {"next": [form.page]})
    assert "What you wrote is kept for an hour. Sign in as before" in client.get(door).text
    answer = client.post("/accounts/login/", {"login": bob.email, "password": PASSWORD, "next": form.page})
    assert answer["Location"] == form.page
    for _ in range(2):  # reading does not use it up
        page = client.get(form.page).text
        assert stands(form, page) and "It is not sent yet" in page
    assert written() == before, "nothing is sent by itself"

    answer = send(client, form)
    if answer.status_code == 302:  # otherwise it is refused, with the text in the form and in the session
        assert "kept_form" not in client.session
        assert "It is not sent yet" not in client.get(form.page, follow=True).text


@pytest.mark.parametrize("make", [writing, judging, skipping, beginning_a_chat], ids=lambda one: one.__name__)
def test_new_terms(make: Callable[..., Form], bob: User, alice: User) -> None:
    client = sign_in(bob)
    form = make(client, bob, alice)
    agreed = bob.terms_version
    User.objects.filter(pk=bob.pk).update(terms_version="0")
    there = send(client, form)["Location"]
    assert there.startswith("/terms/accept/?next=")
    assert "What you wrote is kept" in client.get(there).text
    client.post("/terms/accept/", {"version": agreed, "next": form.page})
    assert stands(form, client.get(form.page).text)


MACHINES = ("healthz", "readyz", "metrics", "static/", "styleguide/")
NO_WORDS_OF_ITS_OWN = {
    "a password, a code or an address of a sign-in, which is never kept": (
        *("account_login", "account_request_login_code", "account_confirm_login_code", "account_signup"),
        *("account_reauthenticate", "account_reauthenticate_code", "sign_in_again", "sign_in_link"),
        *(
            "mailed_sign_in",
            "account_email",
        ),
        *("account_change_password", "account_set_password", "account_reset_password"),
        *("account_reset_password_from_key", "account_confirm_email", "profile_delete", "mfa_authenticate"),
        *("mfa_reauthenticate", "mfa_activate_totp", "mfa_add_webauthn", "mfa_edit_webauthn"),
        *("mfa_reauthenticate_webauthn", "socialaccount_signup"),
    ),
    "a button or a choice": (
        *(
            "account_logout",
            "terms_accept",
            "languages",
            "work_language",
            "time_zone",
            "token_revoke",
            "programs_leave",
        ),
        *("sessions_end_others", "session_end", "mfa_deactivate_totp", "mfa_generate_recovery_codes"),
        *(
            "mfa_download_recovery_codes",
            "mfa_remove_webauthn",
            "socialaccount_connections",
            "message_react",
            "message_withdraw_undo",
            "message_personal_data",
            "chat_give",
        ),
        *("chat_preset_new", "chat_preset", "chat_preset_delete", "chat_again", "chat_stop", "chat_look", "chat_vote"),
        *("battle_give_up", "chat_hide", "chat_delete", "chat_undelete", "task_next", "task_undo", "review_change"),
        *("task_give_back", "daily_goal"),
        *("announcement_dismiss", "notices_read", "notices_settings", "notices_stop", "practice_item"),
        *("practice_ranking", "practice_verdict", "onboarding", "warning_confirm"),
    ),
    "the name of a token, of which the answer shows a secret": ("tokens",),
    "our own script asks, and keeps the words in the browser": (
        "task_preview",
        "task_draft",
        "task_lease",
        "task_similar",
    ),
}


def test_each_form_with_words_is_kept(bob: User) -> None:
    """All views of the URL configuration except the admin: a form is kept, or is listed here with a reason."""
    client = sign_in(bob)
    excused = {name for names in NO_WORDS_OF_ITS_OWN.values() for name in names}
    taking = {}
    for one in addresses():
        if (
            one.is_page
            and one.name
            and not one.template.startswith(("admin/", "healthz", "readyz", "metrics", "static/", "styleguide"))
        ):
            path = one.filled({name: str(uuid4()) for name in one.parameters})
            answer = client.options(path)  # does nothing, and says what the URL accepts
            if answer.status_code == 404:  # for a number
                answer = client.options(one.filled(dict.fromkeys(one.parameters, "1")))
            if "POST" in answer.headers.get("Allow", "POST"):
                taking[one.name] = taking.get(one.name, False) or hasattr(one.view, "form_page_name")
    assert sum(taking.values()) >= 11
    assert {name for name, is_kept in taking.items() if not is_kept} == excused


def test_a_withdrawal_that_is_refused_shows_why_and_keeps_the_words(bob: User, alice: User) -> None:
    client = sign_in(bob)
    form = withdrawing(client, bob, alice)
    words = "x" * 501
    refused = client.post(form.action, {"reason": words})
    assert refused.status_code == 422 and f"{words}</textarea>" in refused.text and "1 too many" in refused.text
    assert 'data-limit="500"' in refused.text
    assert client.post(form.action, {"reason": " \u200b\n"}).status_code == 302
    assert Withdrawal.objects.get().reason == "", "nobody sees anything in it"


class TestStaleToken:
    @pytest.mark.parametrize("is_in", [True, False], ids=["signed-in", "signed-out"])
    def test_the_page_shows_the_words_and_the_form_has_them(self, bob: User, alice: User, is_in: bool) -> None:
        client = sign_in(bob, Client(enforce_csrf_checks=False))
        form = writing(client, bob, alice)
        if not is_in:
            client.cookies.pop("sessionid")
        client.handler.enforce_csrf_checks = True
        refused = send(client, form)
        assert refused.status_code == 403 and SHOWN in refused.text and f'href="{form.page}"' in refused.text
        client.handler.enforce_csrf_checks = False
        if not is_in:
            sign_in(bob, client)
        assert stands(form, client.get(form.page).text)

    def test_nothing_of_a_form_on_another_site(self, bob: User, alice: User) -> None:
        client = sign_in(bob, Client(enforce_csrf_checks=False))
        form = writing(client, bob, alice)
        client.handler.enforce_csrf_checks = True
        for elsewhere in ("https://evil.example/", ""):
            refused = client.post(form.action, form.fields, headers={"Referer": elsewhere})
            assert refused.status_code == 403 and SHOWN not in refused.text
        assert "kept_form" not in client.session


class TestForNobodyElse:
    def test_another_person_who_signs_in_with_this_browser(self, bob: User, eve: User, alice: User) -> None:
        client = sign_in(bob)
        form = beginning_a_chat(client, bob, alice)
        client.post("/accounts/logout/")
        send(client, form)
        sign_in(eve, client)
        assert not stands(form, client.get(form.page).text)
        assert WORDS not in str(dict(client.session))

    def test_a_task_of_somebody_else(self, bob: User, eve: User, alice: User) -> None:
        form = writing(sign_in(bob), bob, alice)
        stranger = Client()
        send(stranger, form)
        sign_in(eve, stranger)
        assert stranger.get(form.page).status_code == 404

    def test_after_an_hour_it_is_gone(self, bob: User, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        client = sign_in(bob)
        form = beginning_a_chat(client, bob, alice)
        client.cookies.pop("sessionid")
        send(client, form)
        sign_in(bob, client)
        monkeypatch.setattr(kept_forms, "LIFETIME", -1)
        assert not stands(form, client.get(form.page).text)

    def test_no_password_and_no_token(self, bob: User, alice: User) -> None:
        client = Client()
        client.post("/accounts/login/", {"login": bob.email, "password": "wrong one"})
        client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": "x"})
        assert "kept_form" not in client.session
        send(client, Form("/chat/", "/chat/new/", {"text": "Hi", "csrfmiddlewaretoken": "secret"}))
        assert client.session["kept_form"]["fields"] == [["text", "Hi"]]

    def test_where_nobody_is_known_nobody_gets_it(self, bob: User, alice: User) -> None:
        client = sign_in(bob)
        form = beginning_a_chat(client, bob, alice)
        stranger = Client()
        send(stranger, form)
        sign_in(bob, stranger)
        assert not stands(form, stranger.get(form.page).text)
        assert WORDS not in str(dict(stranger.session))

    @pytest.mark.parametrize("sign", ["x", "\u4f60", "\U0001f389"])
    def test_the_longest_question_is_kept_and_no_more(self, sign: str) -> None:
        send(client := Client(), Form("/chat/", "/chat/new/", {"text": sign * 20_000, "parent": ""}))
        assert client.session["kept_form"]["fields"][0] == ["text", sign * 20_000]
        send(client := Client(), Form("/chat/", "/chat/new/", {"text": sign * kept_forms.MAX_ANONYMOUS_LENGTH}))
        assert "kept_form" not in client.session

    def test_of_somebody_who_is_signed_in_more_is_kept(self, bob: User) -> None:
        client = sign_in(bob)
        User.objects.filter(pk=bob.pk).update(terms_version="0")
        send(client, Form("/chat/", "/chat/new/", {"text": "x" * 100_000}))
        assert client.session["kept_form"]["person"] == str(bob.pk)
        assert client.session.get_expiry_age() == settings.SESSION_COOKIE_AGE
        send(client, Form("/chat/", "/chat/new/", {"text": "y" * kept_forms.MAX_LENGTH}))
        assert client.session["kept_form"]["fields"][0][1][0] == "x"

    def test_the_session_of_nobody_lives_for_an_hour(self, bob: User, alice: User) -> None:
        client = sign_in(bob)
        form = beginning_a_chat(client, bob, alice)
        client.cookies.pop("sessionid")
        answer = send(client, form)
        assert answer.cookies["sessionid"]["max-age"] == kept_forms.LIFETIME
        assert Session.objects.get(account=None).expire_date <= timezone.now() + timedelta(hours=1)
        sign_in(bob, client)
        assert client.session.get_expiry_age() == settings.SESSION_COOKIE_AGE
        assert stands(form, client.get(form.page).text)

    def test_whoever_came_in_without_a_password_stays_as_long(self, bob: User) -> None:
        """allauth sets its own lifetime only after a password."""
        request = HttpRequest()
        request.session = SessionStore()
        request.session["kept_form"] = {"person": None}
        request.session.set_expiry(kept_forms.LIFETIME)
        kept_forms.assign_to(request, str(bob.pk), None)
        assert request.session.get_expiry_age() == settings.SESSION_COOKIE_AGE
        assert "kept_form" not in request.session

    def test_sessions_of_nobody_go_each_hour(self, bob: User, alice: User) -> None:
        sign_in(bob)
        send(Client(), Form("/chat/", "/chat/new/", {"text": WORDS}))
        clear_sessions_of_nobody()
        assert Session.objects.count() == 2
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        clear_sessions_of_nobody()
        assert Session.objects.get().account == bob.pk
        assert [one.job for one in SCHEDULES].count("oasst.site.schedules.clear_sessions_of_nobody") == 1

    def test_strangers_fill_no_table(self, settings: Any) -> None:
        settings.RATE_LIMITS = True
        for _ in range(70):
            Client(REMOTE_ADDR="203.0.113.9").post("/chat/new/", {"text": "spam"})
        assert Session.objects.count() <= 60

    def test_not_from_many_addresses_either(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.RATE_LIMITS = True
        monkeypatch.setattr(kept_forms, "KEPT_FORMS_IN_ALL", replace(KEPT_FORMS_IN_ALL, rates="3 per hour"))
        for end in range(5):
            Client(REMOTE_ADDR=f"203.0.113.{end}").post("/chat/new/", {"text": "spam"})
        assert Session.objects.exclude(expire_date__gt=timezone.now() + timedelta(hours=1)).count() == 3


@pytest.mark.parametrize("path", ["/terms/accept/", "/accounts/logout/"])
def test_every_page_that_signs_out_forgets_what_the_browser_keeps(bob: User, path: str) -> None:
    client = sign_in(bob)
    if path == "/terms/accept/":
        User.objects.filter(pk=bob.pk).update(terms_version="0")
    page = client.get(path).text
    assert "data-forget" in page and "js/keep.js" in page and f'data-person="{bob.pk}"' in page


def test_every_form_that_signs_out_forgets() -> None:
    forms = [
        tag
        for template in Path("templates").rglob("*.html")
        for tag in re.findall(r"<form (?:%}|[^>])*>", template.read_text())
        if "account_logout" in tag or "logout_url" in tag or 'id="decline"' in tag
    ]
    assert len(forms) >= 6
    assert [tag for tag in forms if "data-forget" not in tag] == []


class TestScripts:
    """The responses for static/js/keep.js: codes, never pages."""

    ASKS = {"X-Requested-With": "fetch"}

    @pytest.mark.parametrize("path", ["draft/", "lease/", "skip/", ""])
    def test_signed_out(self, bob: User, path: str) -> None:
        url = take(sign_in(bob), "initial_prompt")
        answer = Client().post(f"{url}{path}", {"text": WORDS}, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")
        assert "Location" not in answer and not answer.cookies, "the script keeps it"

    @pytest.mark.parametrize("path", ["/tasks/preview/", "/chat/new/", "/tasks/next/"])
    def test_signed_out_elsewhere(self, path: str) -> None:
        assert Client().post(path, headers=self.ASKS).status_code == 401

    @pytest.mark.parametrize("path", ["/chat/", "/me/present/", "/dashboard/"])
    def test_signed_out_reading(self, path: str) -> None:
        answer = Client().get(path, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")
        assert Client().get(path)["Location"] == f"/accounts/login/?next={path}"

    def test_new_terms_and_suspension(self, bob: User, mo: User) -> None:
        client = sign_in(bob)
        url = take(client, "initial_prompt")
        User.objects.filter(pk=bob.pk).update(terms_version="0")
        answer = client.post(f"{url}draft/", {"text": WORDS}, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (403, "terms_missing")
        bob.refresh_from_db()
        account_bans.ban(bob, actor=mo, reason="Spam")
        answer = client.post(f"{url}draft/", {"text": WORDS}, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (403, "suspended")

    def test_a_stale_token_and_the_new_one(self, bob: User) -> None:
        client = sign_in(bob, Client(enforce_csrf_checks=False))
        url = take(client, "initial_prompt")
        client.handler.enforce_csrf_checks = True
        answer = client.post(f"{url}draft/", {"text": WORDS}, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
        who = client.get("/me/present/", headers=self.ASKS).json()
        assert who["person"] == str(bob.pk)
        answer = client.post(f"{url}draft/", {"text": WORDS}, headers={**self.ASKS, "X-CSRFToken": who["token"]})
        assert answer.status_code == 204

    def test_a_browser_that_lost_all_its_cookies_is_signed_out(self, bob: User) -> None:
        url = take(sign_in(bob), "initial_prompt")
        answer = Client(enforce_csrf_checks=True).post(f"{url}draft/", {"text": WORDS}, headers=self.ASKS)
        assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")

    def test_what_was_taken_is_told_by_a_cookie(self, bob: User) -> None:
        client = sign_in(bob)
        url = take(client, "initial_prompt")
        refused = client.post(url, {"text": " ", "kept_as": "abcdefgh12"})
        assert refused.status_code == 422 and "kept_as_abcdefgh12" not in refused.cookies
        taken = client.post(url, {"text": "How do plants drink?", "kept_as": "abcdefgh12"})
        assert taken.status_code == 302 and taken.cookies["kept_as_abcdefgh12"].value == "1"
        for odd in ("x; Path=/", "A" * 10, "short", "a" * 99):
            assert not [one for one in client.post(url, {"text": "How?", "kept_as": odd}).cookies if "kept_as" in one]
