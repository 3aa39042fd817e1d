"""Roles, objects and the result of one request, for the matrix of roles."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

from inference.models import (
    BattleBoard,
    Chat,
    ChatMessage,
    ChatReport,
    Evaluation,
    Preset,
    ServedModel,
    TrainingRun,
    Turn,
    Vote,
)
from inference.registry.stages import set_stage
from leaderboard.models import TrollStanding
from oasst.accounts import account_bans, api_clients, tokens, warnings
from oasst.accounts.authentication import program_sessions
from oasst.accounts.authentication.sessions import SessionStore, session_handle
from oasst.accounts.models import Appeal, SiteSettings, User
from oasst.core.models import AuditEntry, JobRecord, WaitingJob
from oasst.site import purging
from oasst.site.models import BulkAct, DeskDecision
from tasks import assignment
from tasks.kinds import Kind
from tests.factories import PASSWORD, growing_tree, new_person, new_prompt, new_reply
from tests.inference.battles.making import answered
from tests.inference.talking import ask
from trees.contributing import reactions, withdrawal
from trees.models import (
    Deletion,
    GoldMessage,
    HardPrompt,
    Message,
    MessageReading,
    NearDuplicate,
    Opening,
    PolicyVersion,
    PracticeText,
    Proposal,
    QualityModel,
    Review,
    Snapshot,
)
from trees.moderation import moderator_actions
from trees.outbox import webhooks
from trees.policies.reading import current_policy

PEOPLE = ("anonymous", "owner", "contributor", "suspended", "moderator", "administrator")
PROGRAMS = ("untrusted", "trusted", "token")
ROLES = (*PEOPLE, *PROGRAMS)
"""`owner` is the contributor whose task, chat, token … the address names; `token` is one of theirs."""
WRITES = ("INSERT", "UPDATE", "DELETE")
OF_SESSIONS = ('"django_session"', '"accounts_session"', 'SET "last_used_at"')
"""What a refused request may write: its own session, and the last use of its key."""


@dataclass
class World:
    clients: dict[str, Client] = field(default_factory=dict)
    """On pages and in the admin: signed in by a cookie, or with a key or token in every header that may have it."""
    callers: dict[str, Client] = field(default_factory=dict)
    """On the chat API: users by an access token of one of their programs."""
    ids: dict[str, Any] = field(default_factory=dict)
    """By the name of a path parameter, after the first part of the path if that matters."""
    rows: dict[str, Any] = field(default_factory=dict)
    """One row of each model of the admin, by the model's label."""


def new_world() -> World:
    world = World()
    owner = new_person("Owner")
    people = {
        "owner": owner,
        "contributor": new_person("Contributor"),
        "suspended": new_person("Suspended"),
        "moderator": new_person("Mo", "moderator"),
        "administrator": new_person("Ida", "admin"),
    }
    world.clients = {"anonymous": Client(), **{role: signed_in(person) for role, person in people.items()}}
    world.callers = {"anonymous": Client(), **{role: bearer(access_of(person)) for role, person in people.items()}}
    for name in ("untrusted", "trusted"):
        _, key = api_clients.create_api_client(name=f"a {name} one", trusted=name == "trusted")
        world.clients[name] = world.callers[name] = Client(headers={"X-API-Key": key, "Authorization": f"Bearer {key}"})
    token, secret = tokens.create_token(owner, name="notebook", days=None)
    world.clients["token"] = world.callers["token"] = bearer(secret)
    account_bans.ban(people["suspended"], actor=people["administrator"], reason="Spam.")
    world.ids |= {"token_id": token.pk, "user_id": owner.pk, "person_id": owner.pk}
    _fill_sign_ins(world, owner)
    _fill_trees(world, owner, people["moderator"])
    _fill_chat(world, owner)
    for caller in world.callers.values():  # their last use is recorded, now and then
        caller.get("/inference/auth/check")
    return world


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def bearer(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def access_of(person: User) -> str:
    return program_sessions.sign_in(person, provider="test").access


def _fill_sign_ins(world: World, owner: User) -> None:
    for kind, data in (
        (Authenticator.Type.TOTP, {"secret": "JBSWY3DPEHPK3PXP"}),
        (Authenticator.Type.RECOVERY_CODES, {"seed": "ab" * 40, "used_mask": 0, "viewed_at": 1}),
    ):
        Authenticator.objects.create(user=owner, type=kind, data=data)
    key = Authenticator.objects.create(user=owner, type=Authenticator.Type.WEBAUTHN, data=security_key())
    other = SessionStore()
    other[SESSION_KEY] = str(owner.pk)
    other.save()
    world.ids |= {"pk": key.pk, "handle": session_handle(other.session_key)}


def security_key() -> dict[str, Any]:
    """Return what is stored of a key that a browser registered."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    data = AttestedCredentialData.create(Aaguid.NONE, b"a key", public)
    flags = AuthenticatorData.FLAG.AT | AuthenticatorData.FLAG.UP
    found = AuthenticatorData.create(sha256(b"localhost").digest(), flags, 0, data)
    told = json.dumps({"type": "webauthn.create", "challenge": "AAAA", "origin": "http://localhost"})
    credential_id = websafe_encode(b"a key")
    credential = {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {
            "clientDataJSON": websafe_encode(told.encode()),
            "attestationObject": websafe_encode(AttestationObject.create("none", found, {})),
        },
    }
    return {"name": "A key", "credential": credential}


def _fill_trees(world: World, owner: User, moderator: User) -> None:
    policy = current_policy()
    prompt = growing_tree(new_person("Author"))
    task = assignment.request_task(user=owner, lang="en", kind=Kind.ASSISTANT_REPLY, policy=policy)
    reactions.report(message_id=prompt.pk, reporter=owner, category="spam")
    spam = new_prompt(new_person("Spammer"))
    moderator_actions.delete_message(message_id=spam.pk, actor=moderator, reason="Spam.", policy=policy)
    purged = new_person("Purged")
    done = purging.start_purge(user=purged, actor=moderator, reason="Spam.")
    program, _ = api_clients.create_api_client(name="hooked", trusted=False)
    hook = webhooks.create(program, "https://example.org/hook")
    delivery = webhooks.ping(hook)
    own = new_prompt(owner, lang="eo")
    found_in = {"kind": "personal_data", "result": {"spans": [[0, 3, "phone"]]}, "flagged": True}
    MessageReading.objects.create(revision_id=own.revision_id, due_at=None, **found_in)
    removed = new_prompt(owner, lang="eo")
    moderator_actions.delete_message(message_id=removed.pk, actor=moderator, reason="Copied.", policy=policy)
    warning = warnings.warn(user=owner, actor=moderator, reason="Please write.")
    warnings.confirm(owner, warning.pk)
    FORM["warning"] = str(warning.pk)
    world.ids |= {"entry_id": AuditEntry.objects.get(target_id=str(removed.pk)).pk}
    world.ids |= {"message_id": prompt.pk, "own_message_id": own.pk, "task_id": task.pk}
    judged = new_prompt(new_person("Judged"), lang="eo")
    review = Review.objects.create(message=judged, revision_id=judged.revision_id, author=owner, labels={"spam": 0})
    Message.objects.filter(pk=judged.pk).update(review_count=1)
    world.ids |= {"review_id": review.pk}
    bulk = BulkAct.objects.create(
        moderator=moderator,
        act=BulkAct.Act.DELETE,
        chosen_by="Some of them",
        preview={"rows": 1, "left_out": {}, "below": 0, "stopping": 0, "authors": [], "number_of_authors": 1},
    )
    bulk.rows.create(subject_id=own.pk)
    decision = DeskDecision.objects.create(
        moderator=moderator, session="x", subject_kind="message", subject_id=str(own.pk), act="keep", reason="Fine."
    )
    world.ids |= {"bulk_id": bulk.pk, "decision_id": decision.pk, "client_id": program.pk}
    world.ids["ban_proposal_id"] = 0  # nobody proposes anything
    asker = new_person("Asker")
    asked = growing_tree(asker, lang="eo")
    new_reply(asked, new_person("Answerer"))
    tree = Message.objects.select_related("tree").get(pk=prompt.pk).tree
    version = PolicyVersion.objects.create(lang="eo", changes={"goal_tree_size": 5}, was={"goal_tree_size": None})
    version.runs.create(
        kind="preview", stage="done", lang="eo", running_trees=1, to_do=1, last=1, counts={"eo": {"trees": 1}}
    )
    world.ids |= {"version_id": version.pk}
    facts = ("id", "frame", "person", "updated_at")
    zeros = {one.name: 0 for one in TrollStanding._meta.fields if one.name not in facts}
    found = {
        "leaderboard.trollstanding": TrollStanding.objects.create(
            frame="day", person=purged, updated_at=timezone.now(), **zeros
        ),
        "trees.deletion": Deletion.objects.get(message=spam),
        "accounts.user": new_person("Somebody"),
        "accounts.appeal": Appeal.objects.create(user=purged, text="That was not me."),
        "accounts.accountwarning": warnings.warn(user=new_person("Warned"), actor=moderator, reason="Please write."),
        "accounts.apiclient": program,
        "accounts.apikey": program.keys.get(),
        "trees.messagetree": tree,
        "trees.treetransition": tree.transitions.first(),
        "trees.message": prompt,
        "trees.goldmessage": GoldMessage.objects.create(
            message=prompt,
            revision_id=prompt.revision_id,
            lang="en",
            work="label_initial_prompt",
            good=True,
            source=GoldMessage.Source.MARKED,
            draw=0.5,
            reason="Right.",
        ),
        "trees.practicetext": PracticeText.objects.create(
            message=asked,
            exercise=PracticeText.Exercise.REVIEW,
            revision_id=asked.revision_id,
            lang="en",
            work="label_initial_prompt",
            explanation="One clear request.",
            actor=moderator,
        ),
        "trees.opening": Opening.objects.create(
            tree=tree, message=prompt, work="label_initial_prompt", lang=prompt.lang
        ),
        "trees.report": prompt.reports.get(),
        "trees.proposal": prompt.proposals.create(
            tree=tree, revision_id=prompt.revision_id, kind=Proposal.Kind.FLAGS, voices=4
        ),
        "trees.withdrawal": withdrawal.withdraw(message_id=asked.pk, author=asker, policy=policy),
        "trees.nearduplicate": NearDuplicate.objects.create(
            **dict(zip(("first", "second"), sorted((prompt, asked), key=lambda message: message.pk), strict=True))
        ),
        "accounts.sitesettings": SiteSettings.objects.create(),
        "trees.qualitymodel": QualityModel.objects.create(
            target="accepted", state="too_few", weights=[], texts=0, learned_at=timezone.now()
        ),
        "trees.purge": done,
        "trees.snapshot": Snapshot.objects.create(
            name="2026.1",
            format_version=1,
            cutoff=timezone.now(),
            published_at=timezone.now(),
            manifest={"files": {}, "filters": {}, "bases": {}, "left_out": {}, "counts": {"rows": {}, "withdrawn": 0}},
        ),
        "trees.policyversion": version,
        "trees.policyrun": version.runs.get(),
        "trees.webhook": hook,
        "trees.delivery": delivery,
    }
    world.rows |= found
    world.ids |= {"row_id": found["accounts.sitesettings"].pk}


def _fill_chat(world: World, owner: User) -> None:
    turn = ask(owner)
    ChatMessage.objects.filter(pk=turn.pk).update(content="An answer.")
    Turn.objects.filter(pk=turn.pk).update(state="complete", ended_at=timezone.now())
    preset = Preset.objects.create(user=owner, name="Mine")
    vote = Vote.objects.create(message_id=turn.pk, user=owner, score=1)
    report = ChatReport.objects.create(message_id=turn.pk, user=owner, kind="spam", reason="Spam")
    chat: Chat = turn.message.chat
    world.ids["parent_id"] = turn.message.parent_id
    world.ids |= {"chat:message_id": turn.pk, "inference:message_id": turn.pk}
    world.ids |= {"chat_id": chat.pk, "preset_id": preset.pk}
    FORM["preset"] = str(preset.pk)
    battle = answered(owner)
    world.ids["battle_id"] = battle.pk
    found: dict[str, Any] = {
        "inference.battle": battle,
        "inference.battleboard": BattleBoard.objects.create(lang="", battles=1, people=1),
        "inference.preset": preset,
        "inference.vote": vote,
        "inference.chatreport": report,
        "inference.turn": turn,
    }
    found["inference.trainingrun"] = TrainingRun.objects.create(
        key="0" * 64, method="sft", base="tiny", base_digest="0" * 64, snapshot="2026.1", snapshot_digest="0" * 64
    )
    question = turn.message.parent
    hard = HardPrompt.objects.create(question=question, text=question.content, lang="en", why=["thumb_down"])
    found["trees.hardprompt"] = hard
    model = found["inference.servedmodel"] = ServedModel.objects.get_or_create(name="better")[0]
    found["inference.evaluation"] = Evaluation.objects.create(model=model, key="k", snapshot="2026.1", passed=True)
    world.ids["evaluation_id"] = found["inference.evaluation"].pk
    world.rows |= found
    JobRecord.objects.create(job="a.job", ended_at=timezone.now(), seconds=1, result="ok")
    clock = {"name": "Refresh the statistics", "task": "leaderboard.schedules.refresh_statistics"}
    PeriodicTask.objects.create(**clock, crontab=CrontabSchedule.objects.create(minute="*/10"))
    world.rows["core.auditentry"] = AuditEntry.objects.latest("pk")
    world.rows["core.waitingjob"] = WaitingJob.objects.create(
        job="trees.moderation.notices.mail_author", due_at=timezone.now(), attempts=1, sent_at=None
    )


# --- Addresses ---


@dataclass(frozen=True)
class Address:
    name: str
    """The name of the URL, or its route if it has none."""
    route: str
    view: Any


NAMES = {
    "data/<str:name>/<path:path>": "data/2026.1/manifest.json",
    "data/<str:name>/": "data/2026.1/",
    "export/<slug:form>/": "export/csv/",
    "statistics/<slug:name>.csv": "statistics/messages.csv",
    "sitemap-<slug:section>.xml": "sitemap-pages.xml",
    "guidelines/<slug:slug>/": "guidelines/everybody/",
    "practice/<str:name>/": "practice/example-moon-and-tides/",
    "practice/order/<str:name>/": "practice/order/example-rank-moon/",
    "practice/accepted/<str:name>/": "practice/accepted/example-moon-and-tides/",
    "styleguide/<slug:page>": "styleguide/dashboard",
    "models/<path:name>": "models/unknown",
    "jobs/<path:job>/": "jobs/leaderboard.schedules.refresh_statistics/",
    r"^confirm-email/(?P<key>[-:\w]+)/$": "confirm-email/x/",
    "confirm-email/<str:key>/": "confirm-email/x/",
    r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "password/reset/key/1-x/",
    r"^(?P<app_label>": "unknown/",
}
"""Values for path parameters that are no ids."""


def addresses() -> list[Address]:
    return list(_walk(get_resolver(), ""))


def _walk(resolver: URLResolver, before: str) -> Iterator[Address]:
    for one in resolver.url_patterns:
        route = f"{before}{one.pattern}"
        if isinstance(one, URLPattern):
            yield Address(one.name or route, route, one.callback)
        else:
            yield from _walk(one, route)


def path_of(address: Address, world: World) -> str:
    """Return the path with the ids of the owner's objects."""
    first, path = address.route.partition("/")[0], address.route
    for part, value in NAMES.items():
        path = path.replace(part, value)
    for name, value in world.ids.items():
        where, _, part = name.rpartition(":")
        if where in ("", first):
            value = world.ids.get(f"{first}:{part}", value)
            for kind in ("uuid:", "int:", "str:", ""):
                path = path.replace(f"<{kind}{part}>", str(value))
    assert not re.search(r"<(uuid|slug|int|str|path):|\(\?P<", path) or path.startswith("admin/"), path
    return f"/{path}"


# --- One request ---

FORM = {
    "text": "Some words that say enough.",
    "title": "New",
    "name": "New",
    "display_name": "New",
    "reason": "Because.",
    "note": "x",
    "message": "x",
    "category": "spam",
    "kind": "spam",
    "report_type": "spam",
    "emoji": "+1",
    "score": "1",
    "hidden": "true",
    "lang": "en",
    "days": "30",
    "email": "new@example.org",
    "password": PASSWORD,
    "action": "none",
    "message_id": str(uuid4()),
    "subject_kind": "message",
    "subject_id": str(uuid4()),
}


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back everything that happens inside."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # so that services may open their outermost one
    with block:
        yield
        transaction.set_rollback(True)


def outcome(client: Client, method: str, path: str, data: Any = None, **more: Any) -> str:
    """Return `ok` if the request was let in, whatever its result, else what refused it, which must change nothing."""
    cookies = client.cookies.copy()
    written: list[str] = []
    with rolled_back(), connection.execute_wrapper(record_writes(written)):
        if method == "POST":
            response: Any = client.post(path, FORM if data is None else data, **more)
        else:
            response = client.generic(method, path, data or "", **more)
    client.cookies = cookies
    found = verdict(response)
    assert response.status_code != 500, (method, path)
    assert found == "ok" or not written, (method, path, found, written)
    return found


def record_writes(written: list[str]) -> Callable[..., Any]:
    """Record each statement that changed a row."""

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = run(sql, params, many, context)
        if sql.startswith(WRITES) and context["cursor"].rowcount and not any(one in sql for one in OF_SESSIONS):
            written.append(sql)
        return result

    return execute


def verdict(response: Any) -> str:
    if response.status_code in (301, 302):
        target = urlsplit(response["Location"]).path
        if target == "/suspended/" and response.request["PATH_INFO"].startswith(target):  # back to its own page
            return "ok"
        return {"/accounts/login/": "login", "/suspended/": "suspended"}.get(target, "ok")
    return str(response.status_code) if response.status_code in (401, 403, 404, 405) else "ok"


def model_with_files(world: World) -> None:
    """Give the model of the world files, without which it cannot be offered."""
    folder = settings.OASST_HOME / "models" / "better"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")


def staged_model(world: World) -> None:
    model_with_files(world)
    set_stage("better", "staff", by=None)
