"""Decisions about what somebody wrote, as those see them whom they concern, and their appeals against them.

A decision is an entry of the audit log. Another moderator answers the appeal (`accounts.appeals`); to grant it undoes
the decision.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import acts as account_acts
from oasst.accounts import appeals, warnings
from oasst.accounts.models import AccountWarning, Appeal, User
from oasst.accounts.rights import may_act_in, require_language
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, MessageTree
from trees.moderation import moderator_actions
from trees.moderation.effect_words import sentence_of
from trees.moderation.telling import Effect

WITHIN = timedelta(days=30)
"""How long after a decision somebody can appeal against it."""
APPEALABLE = (Effect.DELETED, Effect.HIDDEN, Effect.EDITED, Effect.STOPPED)
_MESSAGE, _TREE = Message._meta.label_lower, MessageTree._meta.label_lower


@dataclass(frozen=True)
class Decision:
    """A decision as the person sees it whom it concerns: never who decided, or who complained."""

    entry: AuditEntry
    effect: str
    """An `Effect`, or "warned"."""
    sentence: str
    reason: str
    """As the moderator wrote it: plain text. Empty if it is about another person's message, or was erased."""
    message: Message | None
    about: str
    """Of a warning: what it is about, in words."""
    undone: bool
    appeals: list[Appeal]
    """Newest first."""

    @property
    def at(self) -> datetime:
        return self.entry.at

    @property
    def is_warning(self) -> bool:
        return self.effect == "warned"

    @property
    def until(self) -> datetime:
        """Until when an appeal can be sent."""
        return self.entry.at + WITHIN

    @property
    def again_at(self) -> datetime | None:
        """When the next appeal can be sent after a refusal; None for at once."""
        return appeals.next_appeal_at(self.appeals[0] if self.appeals else None)

    @property
    def is_open(self) -> bool:
        return bool(self.appeals) and self.appeals[0].status == Appeal.Status.OPEN

    @property
    def can_be_appealed(self) -> bool:
        """Whether this kind of decision can be appealed against at all, for this person."""
        return not self.undone and (self.is_warning or self.effect in APPEALABLE)

    @property
    def may_appeal(self) -> bool:
        """Whether an appeal can be sent now."""
        is_late = self.until <= timezone.now()
        return self.can_be_appealed and not is_late and not self.is_open and self.again_at is None


def find_decision(user: User, entry_id: int) -> Decision:
    """Return a decision that concerns this user. Five statements. Raise NotFound, also for those of other people."""
    entry = AuditEntry.objects.select_related("text").filter(pk=entry_id).first()
    if entry is None:
        raise _not_found()
    told = list(Appeal.objects.filter(user=user, entry=entry).order_by("-created_at"))
    if entry.act == account_acts.WARN.name:
        return _warning(user, entry, told)
    effect, message_id, is_about_it = _told_to(user, entry)
    message = Message.objects.select_related("tree").defer("search", "imported").filter(pk=message_id).first()
    reason = entry.text.reason if is_about_it else ""
    undone = moderator_actions.is_undone(entry)
    return Decision(entry, effect, sentence_of(effect, message), reason, message, "", undone, told)


def _warning(user: User, entry: AuditEntry, told: list[Appeal]) -> Decision:
    row = AccountWarning.objects.filter(user=user, pk=entry.target_id).first()
    if row is None or entry.person_id != user.pk:
        raise _not_found()
    sentence = gettext("You have a warning from a moderator.")
    undone = row.withdrawn_at is not None
    return Decision(entry, "warned", sentence, row.reason, None, row.about, undone, told)


def _told_to(user: User, entry: AuditEntry) -> tuple[str, str, bool]:
    """Return the effect on this user's text, the id of that, and whether the act was about it. Raise NotFound."""
    tree = Message.objects.filter(pk=entry.target_id).values("tree") if entry.target_type == _MESSAGE else None
    if tree is None and entry.target_type != _TREE:
        raise _not_found()
    events = Happening.objects.filter(kind=Happening.Kind.MODERATED, data__entry=entry.pk)
    event = events.filter(tree__in=tree if tree is not None else [entry.target_id]).first()
    for person_id, effect, message_id, is_about_it in event.data["told"] if event else ():
        if person_id == str(user.pk):
            return effect, message_id, is_about_it
    raise _not_found()


def _not_found() -> NotFound:
    return NotFound(gettext("There is no such decision."), code="decision_not_found")


def decisions_about(user: User, message_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return message → the newest decision about it that this user was told of. One statement."""
    trees = Message.objects.filter(pk__in=message_ids, author=user).values("tree")
    events = Happening.objects.filter(kind=Happening.Kind.MODERATED, tree__in=trees).order_by("pk")
    return {
        UUID(message_id): data["entry"]
        for data in (events.values_list("data", flat=True) if message_ids else ())
        for person_id, _, message_id, _ in data["told"]
        if person_id == str(user.pk)
    }


# --- Appeals ---


def appeal(user: User, entry_id: int, text: str) -> Appeal:
    """Appeal against a decision about what this user wrote, or a warning. Raise NotFound, Invalid (the text), Busy,
    Conflict (`decision_undone`, `not_appealable`, `too_late`, `appeal_open`, `appeal_refused`).
    """
    decision = find_decision(user, entry_id)
    if decision.undone:
        raise Conflict(gettext("This decision was taken back already."), code="decision_undone")
    if not decision.can_be_appealed:
        raise Conflict(gettext("There is nothing to appeal against here."), code="not_appealable")
    if decision.until <= timezone.now():
        raise Conflict(gettext("An appeal is possible in the month after a decision."), code="too_late")
    return appeals.appeal_decision(user, entry_id=entry_id, text=text)


def grant(appeal_id: UUID, *, actor: User, answer: str, policy: TreePolicy, undoes: bool = True) -> None:
    """Grant an appeal against a decision, and undo the decision; or, without `undoes`, only say so, where others have
    built on it and the moderator has done what can be done.

    Raise NotAllowed (`moderators_only`, `own_decision`, `own_appeal`, `other_language`, `rank` for a warning), Invalid
    (the answer), NotFound, Conflict (`appeal_decided`, `about_suspension`, or why undo is impossible, as
    `moderator_actions.undo`).
    """
    answer = clean_reason(answer)
    with transaction.atomic(durable=True):
        row = Appeal.objects.select_related("entry__text").filter(pk=appeal_id).first()
        if row is None:
            raise NotFound(gettext("There is no such appeal."), code="no_such_appeal")
        if row.entry is None:
            raise Conflict(gettext("This appeal is about a suspension. Lift that instead."), code="about_suspension")
        if row.status != Appeal.Status.OPEN:
            raise Conflict(gettext("This appeal was answered already."), code="appeal_decided")
        appeals.require_other_moderator(row, actor)
        _require_language(row, actor)
        if undoes and not _is_undone(row.entry):
            _undo(row.entry, actor, answer, policy)
        appeals.grant_about(row.entry.pk, actor=actor, answer=answer)
        row.refresh_from_db(fields=["status", "decided_by"])
        if row.status != Appeal.Status.GRANTED or row.decided_by_id != actor.pk:  # another moderator was quicker
            raise Conflict(gettext("This appeal was answered already."), code="appeal_decided")
        record(account_acts.GRANT_APPEAL, row, actor=actor, person_id=row.user_id, reason=answer)


def refuse(appeal_id: UUID, *, actor: User, answer: str) -> None:
    """Refuse any appeal, as `appeals.refuse`. Raise also NotAllowed `other_language`, if it is about a text."""
    row = Appeal.objects.select_related("entry").filter(pk=appeal_id).first()
    if row is not None:
        _require_language(row, actor)
    appeals.refuse(appeal_id, actor=actor, answer=answer)


def may_answer(row: Appeal, actor: User) -> bool:
    """Return False for appeals about texts in languages that the actor does not moderate."""
    lang = _lang_of(row)
    return lang is None or may_act_in(actor, lang)


def _require_language(row: Appeal, actor: User) -> None:
    lang = _lang_of(row)
    if lang is not None:
        require_language(actor, lang)


def _lang_of(row: Appeal) -> str | None:
    if row.entry is None or row.entry.target_type not in (_MESSAGE, _TREE):
        return None
    tree_id = moderator_actions.tree_of(row.entry)
    return MessageTree.objects.filter(pk=tree_id).values_list("lang", flat=True).first()


def _is_undone(entry: AuditEntry) -> bool:
    if entry.act == account_acts.WARN.name:
        return AccountWarning.objects.filter(pk=entry.target_id, withdrawn_at__isnull=False).exists()
    return moderator_actions.is_undone(entry)


def _undo(entry: AuditEntry, actor: User, answer: str, policy: TreePolicy) -> None:
    if entry.act == account_acts.WARN.name:
        warnings.withdraw_warning(int(entry.target_id), actor, answer)
    else:
        moderator_actions.undo_entry(entry, actor=actor, reason=answer, policy=policy)
