"""Everything that a user or an API client may write or do has a limit of size and rate (limits_table.py)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from allauth.account.models import EmailAddress
from allauth.core.context import request_context
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import GeneratedField
from django.test import Client
from django.utils import timezone
from limits import parse_many
from rest_framework import serializers

from inference.models import Chat, ChatMessage, Preset, Turn
from inference.routing import websocket_urlpatterns as chat_sockets
from inference.turns.states import TurnState
from oasst.accounts import api_clients
from oasst.accounts.authentication import program_sessions
from oasst.accounts.authentication.adapters import SocialAccountAdapter
from oasst.accounts.authentication.sessions import SessionStore
from oasst.accounts.models import ApiClient, Session, User
from oasst.accounts.tokens import new_token
from oasst.api.operations import Access, Operation
from oasst.core import ratelimit
from oasst.core.errors import Busy, Invalid
from oasst.core.ratelimit import RateLimit
from oasst.site.notices.routing import websocket_urlpatterns as bell_sockets
from oasst.site.schedules import clear_sessions
from tasks import assignment
from tasks.kinds import Kind
from tasks.models import Task
from tests.factories import decide, growing_tree, new_prompt, new_reply
from tests.security import limits_table
from tests.security.limits_table import OPERATIONS, PAGES, READS, SOCKETS, SOMETIMES, STORED, TAKEN, Write
from tests.security.urls_table import every_operation, every_url
from tests.wire.test_permissions import body_of, url
from trees.contributing import reactions
from trees.models import Message, Report, Review
from trees.policies.reading import current_policy

OURS = ("accounts", "core", "trees", "tasks", "inference", "leaderboard")


def name_of(prefix: str, operation: Operation) -> str:
    return f"{operation.method} {prefix}{operation.path}"


# --- The tables are complete ---


class TestTheTables:
    def test_every_operation_that_writes(self) -> None:
        writes = {name_of(prefix, one) for prefix, one in every_operation() if one.method != "GET"}
        assert set(OPERATIONS) == writes
        reads = {name_of(prefix, one) for prefix, one in every_operation() if one.method == "GET"}
        assert set(limits_table.OPERATIONS_THAT_WRITE_ON_GET) <= reads

    def test_every_page(self) -> None:
        pages = {url.route for url in every_url() if not url.is_admin}
        assert pages - {*PAGES, *SOMETIMES} == set(), "a page without a row: say how often people may write there"
        assert set(PAGES) - pages == set()

    def test_every_socket(self) -> None:
        assert {str(one.pattern) for one in (*chat_sockets, *bell_sockets)} == set(SOCKETS)

    def test_each_row_has_a_rule_or_a_reason(self) -> None:
        rows = {**OPERATIONS, **limits_table.OPERATIONS_THAT_WRITE_ON_GET, **PAGES, **SOMETIMES, **SOCKETS}
        for name, row in rows.items():
            assert row == READS or isinstance(row, Write), name
            assert isinstance(row, str) or bool(row.rules) != bool(row.why), name

    def test_each_rule_is_somebodys(self) -> None:
        rows = [*OPERATIONS.values(), *limits_table.OPERATIONS_THAT_WRITE_ON_GET.values(), *PAGES.values()]
        used = {rule for row in (*rows, *SOCKETS.values()) if isinstance(row, Write) for rule in row.rules}
        every = {rule for rule in vars(ratelimit).values() if isinstance(rule, RateLimit)}
        elsewhere = {
            ratelimit.CLIENT_WRITES,  # each change by an untrusted API client: TestPrograms
            *(ratelimit.WRONG_KEYS_FROM_ADDRESS, ratelimit.WRONG_TOKENS_FROM_ADDRESS),
            # any form with text: tests/accounts/test_kept_forms.py
            *(ratelimit.KEPT_FORMS_FROM_ADDRESS, ratelimit.KEPT_FORMS_IN_ALL),
        }
        assert every - used - elsewhere == set()

    def test_every_column_without_a_length(self) -> None:
        found = set()
        for model in apps.get_models():
            if model._meta.app_label not in OURS:
                continue
            for one in model._meta.concrete_fields:
                unbounded = isinstance(one, models.TextField | models.JSONField | models.BinaryField | ArrayField)
                if unbounded and not isinstance(one, GeneratedField):
                    found.add(f"{model._meta.app_label}.{model.__name__}.{one.name}")
        assert found == set(STORED)

    def test_every_member_of_a_body(self) -> None:
        found = set()
        for _, operation in every_operation():
            if operation.body:
                for shape in operation.body.one_of or (operation.body,):
                    found |= set(unbounded(shape(), shape.__name__))
        assert found == set(TAKEN)


def unbounded(shape: Any, path: str) -> Iterator[str]:
    """Return members without a maximum length. A list without a maximum length fails here."""
    for name, one in shape.fields.items():
        here = f"{path}.{name}"
        if isinstance(one, serializers.BaseSerializer):
            yield from unbounded(one, here)
        elif isinstance(one, serializers.ListField):
            assert one.max_length is not None, here
            if isinstance(one.child, serializers.BaseSerializer):
                yield from unbounded(one.child, here)
        elif isinstance(one, serializers.DictField | serializers.JSONField) or (
            isinstance(one, serializers.CharField)
            and one.max_length is None
            and type(one).__name__ != "LanguageTagField"
        ):
            yield here


@pytest.mark.django_db
def test_pages_that_read_take_no_post(alice: User, settings: Any) -> None:
    client = Client()
    client.force_login(alice)
    for route in (route for route, row in PAGES.items() if row == READS):
        path = route
        for name in ("<uuid:message_id>", "<uuid:chat_id>"):
            path = path.replace(name, str(uuid4()))
        path = path.replace("<slug:name>", "x").replace("<slug:page>", "x").replace("<path:name>", "x")
        assert client.post(f"/{path}").status_code in (403, 404, 405), route


# --- All requests of an API client together ---


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Callable[[RateLimit], None]:
    """tight(rule): from now on this rule allows one use an hour, and all others any number."""

    def only(rule: RateLimit) -> None:
        one = tuple(parse_many("1 per hour"))
        monkeypatch.setattr(ratelimit, "_rates", lambda asked: one if asked.name == rule.name else ())

    return only


def refused(response: Any, what: str) -> None:
    assert response.status_code == 429, (what, response.status_code, response.content[:300])
    if what.startswith("v1/"):  # not more than the client libraries wait for
        assert int(response["Retry-After"]) == 60, what
    else:
        assert 3000 < int(response["Retry-After"]) <= 3600, what


@pytest.mark.django_db
def test_a_program_that_is_not_trusted_has_a_limit_for_all_it_changes(
    alice: User, tight: Callable[[RateLimit], None]
) -> None:
    client, key = api_clients.create_api_client(name="bot")
    trusted, trusted_key = api_clients.create_api_client(name="site", trusted=True)
    own = Client(headers={"Authorization": f"Bearer {new_token(alice)[1]}"})
    message, other = str(growing_tree(alice).pk), str(uuid4())
    tight(ratelimit.CLIENT_WRITES)
    ratelimit.count_use(ratelimit.CLIENT_WRITES, client.pk)
    ratelimit.count_use(ratelimit.CLIENT_WRITES, ApiClient.objects.get(person=alice).pk)
    before = rows()
    for prefix, operation in every_operation():
        if operation.method == "GET" or prefix != "/api/v1/" or operation.access in (Access.ROOT, Access.TRUSTED):
            continue
        for sender in (Client(headers={"X-API-Key": key}), own):
            if sender is own and operation.access == Access.PROGRAM:
                continue
            named = {"id": "me", "display_name": "Me", "auth_method": "local"}
            refused(send(sender, operation, message, other, named), name_of(prefix, operation))
    assert rows() == before
    ratelimit.count_use(ratelimit.CLIENT_WRITES, trusted.pk)
    reply = Client(headers={"X-API-Key": trusted_key}).post(
        f"/api/v1/messages/{message}/emoji",
        {"user": {"id": "ada", "display_name": "Ada", "auth_method": "local"}, "emoji": "+1"},
        content_type="application/json",
    )
    assert reply.status_code == 202  # a front end of our own is not limited


def send(sender: Client, operation: Operation, message: str, other: str, named: dict[str, str]) -> Any:
    given: dict[str, Any] = {"query_params": {"halt": "false", "enabled": "true", "expires_date": "2090-01-01T00:00"}}
    if operation.body:
        given |= {"data": body_of(operation, message, named), "content_type": "application/json"}
    return getattr(sender, operation.method.lower())(url(operation, message, other, other, other), **given)


def rows() -> dict[str, int]:
    """Return the number of rows of each model."""
    counted = (model for model in apps.get_models() if model._meta.app_label in OURS)
    return {model.__name__: model._default_manager.count() for model in counted if model.__name__ != "Session"}


# --- Each rule counts each act that names it ---


@dataclass
class Stage:
    """The objects that acts need, made once: a refused act changes nothing, so the next one finds them unchanged."""

    person: User
    client: ApiClient
    key: str
    message: Message  # another user's reply, for which the actor can suggest a better text
    task: Task  # to write a first prompt, on the pages
    wire_task: str  # the same by the API client, acknowledged as "given"
    chat: Chat
    question: ChatMessage
    answer: ChatMessage
    second: ChatMessage  # another answer
    preset: Preset
    review: Review  # by the actor, of a message that is undecided
    page: Client = field(default_factory=Client)

    @property
    def named(self) -> dict[str, str]:
        return {"id": "ada", "display_name": "Ada", "auth_method": "local"}

    def wire(self, method: str, path: str, body: Any = None) -> Any:
        sender = Client(headers={"X-API-Key": self.key})
        more = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(sender, method)(f"/api/v1/{path}", **more)

    def chat_api(self, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        access = program_sessions.sign_in(self.person, provider="test").access
        sender = Client(headers=headers or {"Authorization": f"Bearer {access}"})
        more = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(sender, method)(f"/inference/{path}", **more)


@pytest.fixture
def stage(alice: User, bob: User, settings: Any) -> Stage:
    settings.OASST_CHAT_MODEL = "tiny"
    policy = current_policy()
    prompt = growing_tree(alice)
    reply = new_reply(prompt, alice)
    decide(reply)
    client, key = api_clients.create_api_client(name="bot")
    task = assignment.request_task(user=bob, lang="en", kind=Kind.INITIAL_PROMPT, policy=policy)
    chat = Chat.objects.create(user=bob, title="Bread")
    question = ChatMessage.objects.create(chat=chat, role="prompter", content="How do I bake?")
    answers = [
        ChatMessage.objects.create(chat=chat, role="assistant", parent=question, content="With flour.") for _ in "12"
    ]
    now = timezone.now()
    for answer in answers:
        Turn.objects.create(
            message=answer, user=bob, model="tiny", state=TurnState.COMPLETE, ended_at=now, deadline_at=now
        )
    preset = Preset.objects.create(user=bob, name="Calm", sampling={"temperature": 0.1})
    judged = new_prompt(alice, lang="eo")
    review = Review.objects.create(message=judged, revision_id=judged.revision_id, author=bob, labels={"spam": 0})
    Message.objects.filter(pk=judged.pk).update(review_count=1)
    found = Stage(bob, client, key, reply, task, "", chat, question, *answers, preset, review)
    found.page.force_login(bob)
    task_id = found.wire("post", "tasks/", {"type": "initial_prompt", "user": found.named}).json()["id"]
    assert found.wire("post", f"tasks/{task_id}/ack", {"message_id": "given"}).status_code == 204
    found.wire_task = task_id
    return found


Case = tuple[str, RateLimit, Callable[[Stage], object], Callable[[Stage], Any]]


def person_of(stage: Stage) -> UUID:
    return stage.person.pk


def ada_of(stage: Stage) -> UUID:
    return User.objects.get(identities__username="ada").pk


def program_of(stage: Stage) -> UUID:
    return stage.client.pk


def this_address(stage: Stage) -> str:
    return "127.0.0.1"


def on_the_wire() -> Iterator[Case]:
    labels = {"text": "", "labels": {"spam": 0}, "type": "text_labels"}

    def labelled(path: str, **more: Any) -> Callable[[Stage], Any]:
        return lambda s: s.wire("post", path, {"user": s.named, "message_id": str(s.message.pk), **labels, **more})

    def emoji(code: str) -> Callable[[Stage], Any]:
        return lambda s: s.wire("post", f"messages/{s.message.pk}/emoji", {"user": s.named, "emoji": code})

    reply = "POST /api/v1/messages/<message_id>/emoji"
    yield reply, ratelimit.REACTIONS, ada_of, emoji("+1")
    yield reply, ratelimit.REPORTS, ada_of, emoji("red_flag")
    yield reply, ratelimit.REPORTS_OF_CLIENT, program_of, emoji("red_flag")
    yield reply, ratelimit.SKIPS, ada_of, emoji("_skip_reply")
    for path in ("text_labels/", "tasks/interaction"):
        yield f"POST /api/v1/{path}", ratelimit.FREE_LABELS, ada_of, labelled(path)
        yield f"POST /api/v1/{path}", ratelimit.REPORTS, ada_of, labelled(path, is_report=True)
        yield f"POST /api/v1/{path}", ratelimit.REPORTS_OF_CLIENT, program_of, labelled(path, is_report=True)
    answer = {"type": "text_reply_to_message", "message_id": "given", "user_message_id": "m", "text": "How? Why?"}
    interact = lambda s: s.wire("post", "tasks/interaction", {"user": s.named, **answer})  # noqa: E731
    yield "POST /api/v1/tasks/interaction", ratelimit.ANSWERS, ada_of, interact
    nack = lambda s: s.wire("post", f"tasks/{s.wire_task}/nack", {})  # noqa: E731
    yield "POST /api/v1/tasks/<task_id>/nack", ratelimit.SKIPS, ada_of, nack
    ask = {"type": "initial_prompt"}
    yield (
        *("POST /api/v1/tasks/", ratelimit.TASK_REQUESTS, ada_of),
        lambda s: s.wire("post", "tasks/", {"user": s.named, **ask}),
    )
    yield (
        *("POST /api/v1/tasks/", ratelimit.TASK_REQUESTS_FROM_ADDRESS, this_address),
        lambda s: s.wire("post", "tasks/", {"user": s.named, **ask}),
    )
    stranger = {"id": "cy", "display_name": "Cy", "auth_method": "local"}
    yield (
        *("POST /api/v1/frontend_users/", ratelimit.NEW_PEOPLE_OF_CLIENT, program_of),
        lambda s: s.wire("post", "frontend_users/", stranger),
    )
    yield (
        *("POST /api/v1/tasks/availability", ratelimit.NEW_PEOPLE_OF_CLIENT, program_of),
        lambda s: s.wire("post", "tasks/availability", stranger),
    )
    hook = "webhooks/<webhook_id>"
    address, new = f"webhooks/{uuid4()}", {"url": "https://example.org/hook"}
    yield "POST /api/v1/webhooks", ratelimit.WEBHOOK_CHANGES, program_of, lambda s: s.wire("post", "webhooks", new)
    yield (
        *(f"PUT /api/v1/{hook}", ratelimit.WEBHOOK_CHANGES, program_of),
        lambda s: s.wire("put", f"{address}?enabled=true"),
    )
    yield f"DELETE /api/v1/{hook}", ratelimit.WEBHOOK_CHANGES, program_of, lambda s: s.wire("delete", address)
    yield (
        *(f"POST /api/v1/{hook}/secret", ratelimit.WEBHOOK_CHANGES, program_of),
        lambda s: s.wire("post", f"{address}/secret"),
    )
    yield "POST /api/v1/keys", ratelimit.NEW_KEYS, program_of, lambda s: s.wire("post", "keys", {"name": "Next"})


def on_pages() -> Iterator[Case]:
    def post(path: str, **data: Any) -> Callable[[Stage], Any]:
        return lambda s: s.page.post(f"/{path.format(s=s)}", {name: value.format(s=s) for name, value in data.items()})

    def get(path: str) -> Callable[[Stage], Any]:
        return lambda s: s.page.get(f"/{path}")

    me, message, task, chat = "me/", "messages/<uuid:message_id>/", "tasks/<uuid:task_id>/", "chat/<uuid:chat_id>/"
    in_chat, of_answer = "chat/{s.chat.pk}/", "chat/messages/{s.answer.pk}/"
    profile = {"display_name": "Bob", "time_zone": "UTC", "interface_language": "en"}
    yield me, ratelimit.PROFILE_CHANGES, person_of, post(me, **profile)
    yield "me/languages/", ratelimit.PROFILE_CHANGES, person_of, post("me/languages/", languages="de")
    yield "me/work-language/", ratelimit.PROFILE_CHANGES, person_of, post("me/work-language/", lang="en")
    yield "me/daily-goal/", ratelimit.PROFILE_CHANGES, person_of, post("me/daily-goal/", daily_goal="3")
    yield "me/tokens/", ratelimit.NEW_TOKENS, person_of, post("me/tokens/", name="laptop", days="30")
    yield f"{message}react/", ratelimit.REACTIONS, person_of, post("messages/{s.message.pk}/react/", emoji="+1")
    yield f"{message}report/", ratelimit.REPORTS, person_of, post("messages/{s.message.pk}/report/", category="spam")
    better = post("messages/{s.message.pk}/suggest/", text="A far better text")
    yield f"{message}suggest/", ratelimit.SUGGESTIONS, person_of, better
    masked = "messages/<uuid:own_message_id>/personal-data/"
    yield masked, ratelimit.MASKS, person_of, post("messages/{s.message.pk}/personal-data/", answer="keep")
    own = "messages/<uuid:own_message_id>/withdraw/"
    yield own, ratelimit.WITHDRAWALS, person_of, post("messages/{s.message.pk}/withdraw/")
    yield f"{own}undo/", ratelimit.WITHDRAWALS, person_of, post("messages/{s.message.pk}/withdraw/undo/")
    yield "tasks/next/", ratelimit.TASK_REQUESTS, person_of, post("tasks/next/", kind="initial_prompt")
    yield "explore/", ratelimit.EXPLORING, person_of, get("explore/?q=bread")
    yield "tasks/preview/", ratelimit.PREVIEWS, person_of, post("tasks/preview/", text="*Hi*")
    yield task, ratelimit.ANSWERS, person_of, post("tasks/{s.task.pk}/", text="How do I bake a cake?")
    yield f"{task}similar/", ratelimit.HINTS, person_of, post("tasks/{s.task.pk}/similar/", text="How")
    yield f"{task}skip/", ratelimit.SKIPS, person_of, post("tasks/{s.task.pk}/skip/")
    yield f"{task}give-back/", ratelimit.SKIPS, person_of, post("tasks/{s.task.pk}/give-back/")
    yield f"{task}draft/", ratelimit.DRAFTS, person_of, post("tasks/{s.task.pk}/draft/", text="How")
    yield f"{task}lease/", ratelimit.LEASES, person_of, post("tasks/{s.task.pk}/lease/")
    yield f"{task}undo/", ratelimit.UNDOS, person_of, post("tasks/{s.task.pk}/undo/")
    yield "me/reviews/<uuid:review_id>/", ratelimit.ANSWERS, person_of, post("me/reviews/{s.review.pk}/", spam="0")
    turns, changes = ratelimit.CHAT_TURNS, ratelimit.CHAT_CHANGES
    yield "chat/new/", turns, person_of, post("chat/new/", text="Why?")
    yield f"{chat}ask/", turns, person_of, post(f"{in_chat}ask/", text="Why?")
    yield "chat/messages/<uuid:message_id>/again/", turns, person_of, post("chat/messages/{s.question.pk}/again/")
    settings = {"set-model": "tiny", "set-temperature": "1"}
    yield "chat/new/settings/", ratelimit.NEW_CHATS, person_of, post("chat/new/settings/", **settings)
    yield "chat/new/preset/", ratelimit.NEW_CHATS, person_of, post("chat/new/preset/", preset="k50")
    gone = post("chat/presets/{s.preset.pk}/delete/")
    yield "chat/presets/<uuid:preset_id>/delete/", changes, person_of, gone
    for act, data in {
        "rename/": {"title": "Cakes"},
        "hide/": {"hidden": "1"},
        "delete/": {},
        "undelete/": {},
        "choose/": settings,
        "preset/": {"preset": "k50"},
    }.items():
        yield f"{chat}{act}", changes, person_of, post(f"{in_chat}{act}", **data)
    about = "chat/messages/<uuid:message_id>/"
    yield f"{about}look/", changes, person_of, post(f"{of_answer}look/")
    yield f"{about}stop/", ratelimit.CHAT_STOPS, person_of, post(f"{of_answer}stop/")
    yield f"{about}vote/", ratelimit.CHAT_VOTES, person_of, post(f"{of_answer}vote/", score="1")
    report = post(f"{of_answer}report/", kind="spam", reason="An advertisement")
    yield f"{about}report/", ratelimit.CHAT_REPORTS, person_of, report


def in_the_chat_api() -> Iterator[Case]:
    changes, about = ratelimit.CHAT_CHANGES, "/inference/chats/<chat_id>/messages/<message_id>"

    def call(method: str, path: str, body: Any = None) -> Callable[[Stage], Any]:
        return lambda s: s.chat_api(method, path.format(s=s), body(s) if callable(body) else body)

    def say(method: str, route: str, rule: RateLimit, path: str, body: Any = None) -> Case:
        return f"{method.upper()} {route}", rule, person_of, call(method, path, body)

    yield say("post", "/inference/chats", ratelimit.NEW_CHATS_OF_CLIENTS, "chats", {})
    yield say("post", "/inference/chats/batch", ratelimit.NEW_CHATS_OF_CLIENTS, "chats/batch", {"chats": [{}]})
    ids = lambda s: {"chat_ids": [str(s.chat.pk)]}  # noqa: E731
    yield say("post", "/inference/chats/batch_delete", changes, "chats/batch_delete", ids)
    yield say("put", "/inference/chats/hide_all", changes, "chats/hide_all")
    yield say("put", "/inference/chats/<chat_id>", changes, "chats/{s.chat.pk}", {"title": "Cakes"})
    yield say("delete", "/inference/chats/<chat_id>", changes, "chats/{s.chat.pk}")
    prompter = "/inference/chats/<chat_id>/prompter_message"
    yield say("post", prompter, ratelimit.CHAT_MESSAGES, "chats/{s.chat.pk}/prompter_message", {"content": "Why?"})
    ask = lambda s: {"parent_id": str(s.question.pk), "model_config_name": "tiny"}  # noqa: E731
    assistant = "/inference/chats/<chat_id>/assistant_message"
    yield say("post", assistant, ratelimit.CHAT_TURNS_OF_CLIENTS, "chats/{s.chat.pk}/assistant_message", ask)
    here = "chats/{s.chat.pk}/messages/{s.answer.pk}"
    worse = lambda s: {"inferior_message_ids": [str(s.second.pk)]}  # noqa: E731
    spam = {"report_type": "spam", "reason": "An advertisement"}
    yield say("post", f"{about}/stop", ratelimit.CHAT_STOPS, f"{here}/stop")
    yield say("post", f"{about}/votes", ratelimit.CHAT_VOTES, f"{here}/votes", {"score": 1})
    yield say("post", f"{about}/message_evals", ratelimit.CHAT_VOTES, f"{here}/message_evals", worse)
    yield say("post", f"{about}/reports", ratelimit.CHAT_REPORTS, f"{here}/reports", spam)

    def complete(stage: Stage) -> Any:
        sender = Client(headers={"Authorization": f"Bearer {new_token(stage.person)[1]}"})
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
        return sender.post("/v1/chat/completions", body, content_type="application/json")

    yield "v1/chat/completions", ratelimit.CHAT_TURNS_OF_CLIENTS, person_of, complete


DOORS: dict[str, Callable[[], Iterator[Case]]] = {
    "wire": on_the_wire,
    "pages": on_pages,
    "chat API": in_the_chat_api,
}


@pytest.mark.django_db
@pytest.mark.parametrize("door", DOORS)
def test_who_has_spent_a_limit_is_told_to_wait_and_nothing_is_stored(
    stage: Stage, tight: Callable[[RateLimit], None], redis_server: Any, door: str
) -> None:
    known = {**OPERATIONS, **{route: row for route, row in PAGES.items() if isinstance(row, Write)}}
    before = rows()
    for name, rule, who, act in DOORS[door]():
        assert rule in known[name].rules, f"{name} does not name {rule.name}"
        redis_server.flushdb()
        tight(rule)
        ratelimit.count_use(rule, who(stage))
        refused(act(stage), f"{name}, {rule.name}")
        # Signing in for the act itself leaves these.
        after = {model: number for model, number in rows().items() if model not in SIGNED_IN}
        assert after == {model: number for model, number in before.items() if model not in SIGNED_IN}, name


SIGNED_IN = ("ProgramSession", "RefreshToken", "Token", "ApiClient", "Identity")


@pytest.mark.django_db
class TestSessions:
    def test_beginning_to_sign_in_elsewhere(self, tight: Callable[[RateLimit], None], settings: Any) -> None:
        settings.SOCIALACCOUNT_PROVIDERS = {"discord": {}}
        tight(ratelimit.PROVIDER_SIGN_INS)
        assert Client().get("/inference/auth/login/discord").status_code == 302
        refused(Client().get("/inference/auth/login/discord"), "auth/login")

    def test_refreshing(self, alice: User, tight: Callable[[RateLimit], None]) -> None:
        pair = program_sessions.sign_in(alice, provider="test")
        tight(ratelimit.REFRESHES)
        again = program_sessions.refresh(pair.refresh)
        with pytest.raises(Busy):
            program_sessions.refresh(again.refresh)
        refused(Client(headers={"Refresh": again.refresh}).get("/inference/auth/refresh"), "auth/refresh")

    def test_a_state_of_allauth(self, tight: Callable[[RateLimit], None], rf: Any) -> None:
        tight(ratelimit.PROVIDER_SIGN_INS)
        request = rf.post("/accounts/discord/login/")
        request.session = SessionStore()
        with request_context(request):
            assert SocialAccountAdapter().generate_state_param({})
            with pytest.raises(Busy):
                SocialAccountAdapter().generate_state_param({})


# --- Deep nesting ---


@pytest.mark.django_db
@pytest.mark.parametrize("deep", [101, 500, *range(880, 892), 2000])
def test_a_body_that_is_nested_deeper_than_python_can_write(alice: User, deep: int) -> None:
    """A crash of the server fails this test: 883 to 889 levels once caused one."""
    stack = f"{'[' * deep}{']' * deep}"
    body = f'{{"parent_id": "{uuid4()}", "model_config_name": "m", "used_plugin": {stack}}}'
    sender = Client(headers={"Authorization": f"Bearer {program_sessions.sign_in(alice, provider='test').access}"})
    path = f"/inference/chats/{uuid4()}/assistant_message"
    assert sender.post(path, body, content_type="application/json").status_code == 422
    assert sender.post(path, body.replace(stack, "[[{}]]"), content_type="application/json").status_code == 404


# --- Data that grows with each further write ---


@pytest.mark.django_db
class TestAccounts:
    def test_addresses_of_one_person(self, alice: User) -> None:
        for number in range(9):
            EmailAddress.objects.create(user=alice, email=f"another{number}@example.org", verified=True)
        client = Client()
        client.force_login(alice)
        client.post("/accounts/email/", {"action_add": "", "email": "one.more@example.org"})
        assert EmailAddress.objects.filter(user=alice).count() == 10

    def test_sessions_that_are_over_are_removed(self, alice: User) -> None:
        for _ in range(2):
            Client().force_login(alice)
        over = Session.objects.first()
        assert over is not None
        Session.objects.filter(pk=over.pk).update(expire_date=timezone.now() - timedelta(seconds=1))
        clear_sessions()
        assert Session.objects.count() == 1 and not Session.objects.filter(pk=over.pk).exists()


@pytest.mark.django_db
class TestReports:
    def test_all_that_one_person_says_about_a_message_is_bounded(self, alice: User, bob: User) -> None:
        message = growing_tree(alice)
        say = partial(reactions.report, message_id=message.pk, reporter=bob, category="spam")
        say(text="a" * 1500)
        say(text="b" * 498)
        with pytest.raises(Invalid) as refusal:
            say(text="c")
        assert (refusal.value.code, refusal.value.field) == ("too_long", "text")
        assert len(Report.objects.get().text) == 2000
        say(text="")  # the category can still be changed

    def test_the_same_words_again_add_nothing(self, alice: User, bob: User) -> None:
        message = growing_tree(alice)
        for _ in range(3):
            reactions.report(message_id=message.pk, reporter=bob, category="spam", text="x" * 2000)
        assert len(Report.objects.get().text) == 2000

    def test_reports_of_a_day(self, alice: User, bob: User) -> None:
        message = growing_tree(alice)
        for number in range(30):
            reactions.report(message_id=message.pk, reporter=bob, category="spam", text=f"No. {number}")
        with pytest.raises(Busy) as refusal:
            reactions.report(message_id=message.pk, reporter=bob, category="spam", text="One more")
        assert timedelta(minutes=58) < timedelta(seconds=refusal.value.retry_after) <= timedelta(hours=1)
        assert "One more" not in Report.objects.get().text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/text_labels/", "/api/v1/tasks/interaction"])
@pytest.mark.parametrize("value", ["x", 1])
def test_a_body_of_many_unknown_labels_is_refused_in_few_words(client: Client, path: str, value: object) -> None:
    """Without a key: there the body is checked first."""
    body = {
        "type": "text_labels",
        "user": {"id": "u", "display_name": "U", "auth_method": "local"},
        "message_id": str(uuid4()),
        "text": "",
        "labels": {str(number): value for number in range(20_000)} | {"l" * 20_000: value},
    }
    response = client.post(path, json.dumps(body), content_type="application/json")
    assert response.status_code == 422
    assert len(response.content) < 2000


@pytest.mark.django_db
def test_problems_of_a_body_are_told_up_to_a_number(client: Client) -> None:
    body = {"type": "message_ranking", "message_id": "x", "ranking": ["n"] * 1000, "user": {}}
    response = client.post("/api/v1/tasks/interaction", json.dumps(body), content_type="application/json")
    assert response.status_code == 422 and len(response.json()["detail"]) == 100
