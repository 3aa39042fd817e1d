"""What each decision of the desk does: it calls the services."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from inference.chats import moderation as chats
from inference.models import ChatMessage, ChatReport
from oasst.accounts import warnings
from oasst.accounts.models import Appeal, User
from oasst.accounts.rights import require_language
from oasst.core.audit.acts import Act
from oasst.core.audit.rows import Recorded, Watched, recorded_rows
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.models import AuditEntry
from oasst.core.text.languages import LANGUAGES
from oasst.site import acts
from oasst.site.desk.subjects import TARGETS, Subject, SubjectKind
from oasst.site.models import Escalation
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, MessageTree, ReadingKind, Report
from trees.moderation import appealing, bans, moderator_actions, personal_data
from trees.policies.reading import current_policy

DAYS = (1, 3, 7, 30, 90)
"""How long a suspension may last."""
MESSAGE, TREE, PERSON, CHAT = SubjectKind.MESSAGE, SubjectKind.TREE, SubjectKind.PERSON, SubjectKind.CHAT
_MODELS: Mapping[str, type[Model]] = {MESSAGE: Message, TREE: MessageTree, PERSON: User, CHAT: ChatMessage}


@dataclass(frozen=True)
class Order:
    """One decision, with what its form says."""

    moderator: User
    subject: Subject
    reason: str
    fields: Mapping[str, str]
    policy: TreePolicy = field(default_factory=current_policy)

    @property
    def uuid(self) -> UUID:
        try:
            return UUID(self.subject.id)
        except ValueError:
            raise NotFound(gettext("There is no such item."), code="no_such_item") from None

    @property
    def about(self) -> dict[str, str]:
        """The columns by which the desk's own tables name the item."""
        return {"subject_kind": self.subject.kind, "subject_id": self.subject.id}

    @property
    def act(self) -> dict[str, Any]:
        """Arguments of all services of `moderator_actions`."""
        return {"actor": self.moderator, "reason": self.reason, "policy": self.policy}

    def until(self) -> datetime:
        """Return when a suspension ends. Raise Invalid `until`."""
        days = self.fields.get("days", "")
        if days not in map(str, DAYS):
            raise Invalid(gettext("Please choose how long the suspension lasts."), code="until", field="days")
        return timezone.now() + timedelta(days=int(days))

    def person(self) -> User:
        """Return the person, or the author of the message. Raise NotFound."""
        rows = User.objects.filter(pk=self.uuid)
        if self.subject.kind == MESSAGE:
            rows = User.objects.filter(messages=self.uuid)
        found = rows.first()
        if found is None:
            raise NotFound(gettext("There is no such person."), code="no_such_person")
        return found


def keep_message(order: Order) -> None:
    moderator_actions.keep(message_id=order.uuid, **order.act)


def hide(order: Order) -> None:
    moderator_actions.hide(message_id=order.uuid, **order.act)


def delete(order: Order) -> None:
    """Delete the message, or say that the reports about a deleted one were right."""
    if Message.objects.filter(pk=order.uuid, deleted=True).exists():
        _uphold_reports(order)
    else:
        moderator_actions.delete_message(message_id=order.uuid, **order.act)


def _uphold_reports(order: Order) -> None:
    """Answer the open reports: they were right. For acts that do not answer them themselves."""
    waiting = Report.objects.filter(message=order.uuid, status=Report.Status.OPEN).order_by("pk")
    for report_id in waiting.values_list("pk", flat=True):
        moderator_actions.settle_report(
            report_id=report_id,
            actor=order.moderator,
            status=Report.Status.UPHELD,
            outcome=order.reason,
            policy=order.policy,
        )


def edit(order: Order) -> None:
    moderator_actions.edit_message(message_id=order.uuid, text=order.fields.get("text", ""), **order.act)
    _uphold_reports(order)


def mask(order: Order) -> None:
    rows = MessageReading.objects.filter(revision__message=order.uuid, kind=ReadingKind.PERSONAL_DATA, flagged=True)
    revision = rows.order_by("-pk").values_list("revision", flat=True).first()
    personal_data.mask(
        message_id=order.uuid, revision_id=str(revision or ""), actor=order.moderator, policy=order.policy
    )
    _uphold_reports(order)


def move(order: Order) -> None:
    lang = order.fields.get("lang", "")
    if lang not in {one.code for one in LANGUAGES}:
        raise Invalid(gettext("Please choose the language that it is in."), code="lang", field="lang")
    moderator_actions.move_to_language(tree_id=_tree_of(order), lang=lang, **order.act)
    if order.subject.kind == MESSAGE:
        _uphold_reports(order)


def stop(order: Order) -> None:
    moderator_actions.halt(tree_id=_tree_of(order), **order.act)
    if order.subject.kind == MESSAGE:
        _uphold_reports(order)


def _tree_of(order: Order) -> UUID:
    if order.subject.kind == TREE:
        return order.uuid
    found = Message.objects.filter(pk=order.uuid).values_list("tree_id", flat=True).first()
    if found is None:
        raise NotFound(gettext("There is no such message."), code="message_not_found")
    return found


def go_on(order: Order) -> None:
    """Let the conversation go on: rank its answers again if that had failed."""
    failed = MessageTree.objects.filter(pk=order.uuid, state=State.SCORING_FAILED.value).exists()
    (moderator_actions.retry_scoring if failed else moderator_actions.resume)(tree_id=order.uuid, **order.act)


def delete_tree(order: Order) -> None:
    moderator_actions.delete_message(message_id=order.uuid, **order.act)


def open_appeals(subject: Subject) -> QuerySet[Appeal]:
    """Return the open appeals about a message, a conversation, or else about a person, oldest first."""
    rows = Appeal.objects.filter(status=Appeal.Status.OPEN).order_by("created_at")
    label = TARGETS.get(SubjectKind(subject.kind))
    if label is not None:
        return rows.filter(entry__target_type=label, entry__target_id=subject.id)
    return rows.filter(user=UUID(subject.id)).exclude(entry__target_type__in=TARGETS.values())


def grant(order: Order) -> None:
    row = _open_appeal(order)
    if row.entry_id is None:
        bans.unban(order.person(), actor=order.moderator, reason=order.reason)
    else:
        appealing.grant(row.pk, actor=order.moderator, answer=order.reason, policy=order.policy)


def refuse(order: Order) -> None:
    appealing.refuse(_open_appeal(order).pk, actor=order.moderator, answer=order.reason)


def _open_appeal(order: Order) -> Appeal:
    found = open_appeals(Subject(order.subject.kind, str(order.uuid))).first()
    if found is None:
        raise Conflict(gettext("This appeal was answered already."), code="appeal_decided")
    return found


def warn(order: Order) -> None:
    person = order.person()
    about: dict[str, Any] = {}
    if order.subject.kind == MESSAGE:
        text = Message.objects.filter(pk=order.uuid).values_list("text", flat=True).first() or ""
        about = {"about": plain_excerpt(text, 100), "subject_id": order.uuid}
    warnings.warn(user=person, actor=order.moderator, reason=order.reason, **about)


def suspend(order: Order) -> None:
    bans.ban(order.person(), actor=order.moderator, reason=order.reason, until=order.until())


def ban(order: Order) -> None:
    bans.ban(order.person(), actor=order.moderator, reason=order.reason)


def answer_chat_reports(order: Order) -> None:
    rows = ChatReport.objects.filter(message=order.uuid, resolved_at=None).order_by("pk")
    waiting = list(rows.values_list("pk", flat=True))
    if not waiting:
        raise Conflict(gettext("Somebody has resolved this report already."), code="already_resolved")
    for report_id in waiting:
        chats.resolve_report(report_id=report_id, actor=order.moderator, outcome=order.reason)


def nothing(order: Order) -> None:
    """Only the decision is stored: it closes what has no status of its own, such as a stopped conversation."""
    _refuse_strangers(order)
    if order.subject.kind == PERSON and order.uuid == order.moderator.pk:
        raise NotAllowed(gettext("This is about yourself. Please let another moderator decide."), code="about_yourself")
    if open_appeals(Subject(order.subject.kind, str(order.uuid))).exists():
        raise Conflict(gettext("An appeal waits here. Please grant or refuse it."), code="appeal_waits")


def _refuse_strangers(order: Order) -> None:
    """Raise NotFound for what is not there, NotAllowed `other_language`. The services check that for their acts."""
    if order.subject.kind in TARGETS:
        tree_id = _tree_of(order)
        lang = MessageTree.objects.filter(pk=tree_id).values_list("lang", flat=True).first()
        if lang is None:
            raise NotFound(gettext("There is no such item."), code="no_such_item")
        require_language(order.moderator, lang)
        return
    model = User if order.subject.kind == PERSON else ChatMessage
    if not model.objects.filter(pk=order.uuid).exists():
        raise NotFound(gettext("There is no such item."), code="no_such_item")


def pass_on(order: Order) -> None:
    _refuse_strangers(order)
    try:
        with transaction.atomic(), _recorded(acts.PASS_ON, order, "passed_by_id", "note", "closed_at"):
            _passed_on(order).create(**order.about, passed_by=order.moderator, note=order.reason)
    except IntegrityError:
        raise Conflict(gettext("This waits for an administrator already."), code="passed_on") from None


def answer_passed_on(order: Order) -> AuditEntry | None:
    """What an administrator decides answers what was passed on. Return the entry of the audit log, if anything was."""
    with _recorded(acts.ANSWER_PASSED_ON, order, "closed_at") as recorded:
        _passed_on(order).filter(closed_at=None).update(closed_at=timezone.now())
    return recorded.entry


def _passed_on(order: Order) -> QuerySet[Escalation]:
    return Escalation.objects.filter(**order.about)


def _recorded(act: Act, order: Order, *columns: str) -> AbstractContextManager[Recorded]:
    """Write what changes in these columns of what was passed on into the audit log, with the item as its target."""
    target = _MODELS[SubjectKind(order.subject.kind)](pk=order.uuid)
    watched = {"escalation": Watched(_passed_on(order), columns)}
    return recorded_rows(act, target, watched, actor=order.moderator, person_id=_concerned(order), reason=order.reason)


def _concerned(order: Order) -> UUID | None:
    """Return the person whom the item is about, or who wrote it."""
    if order.subject.kind == PERSON:
        return order.uuid
    if order.subject.kind == CHAT:
        return ChatMessage.objects.filter(pk=order.uuid).values_list("chat__user_id", flat=True).first()
    # A conversation has the id of its prompt.
    return Message.objects.filter(pk=order.uuid).values_list("author_id", flat=True).first()
