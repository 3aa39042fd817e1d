"""Undo decisions of the desk: all that a decision did, newest first, in one transaction, so all of it or nothing.

Each kind of act has one function that undoes it, in the module that does it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import F, Model, OuterRef
from django.utils import timezone
from django.utils.translation import gettext

from inference import acts as chat_acts
from inference.models import ChatReport
from oasst.accounts import account_changes, appeals, names, warnings
from oasst.accounts import acts as account_acts
from oasst.accounts.access import require_moderator
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import User
from oasst.core.array_lookups import IsAnyOf
from oasst.core.audit.putting_back import put_back, read_changes
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason
from oasst.site import acts as site_acts
from oasst.site import purging
from oasst.site.models import DeskDecision, Escalation
from trees import acts as data_acts
from trees.lifecycle.policy import TreePolicy
from trees.models import MessageReading, MessageTree, NearDuplicate
from trees.moderation import acts as tree_acts
from trees.moderation import bans, moderator_actions
from trees.policies.reading import current_policy

SHOWN = 10
"""How many of their last decisions a moderator sees and can undo."""


@dataclass(frozen=True)
class _Undo:
    entry: AuditEntry
    actor: User
    reason: str
    policy: TreePolicy
    of_another: bool = False
    """An administrator undoes what somebody else did."""

    def require_right(self) -> None:
        if self.entry.actor_id != self.actor.pk and not (self.of_another and self.actor.is_superuser):
            raise NotAllowed(gettext("Only those who did this can undo it here."), code="not_yours")


def undo_decision(decision: DeskDecision, *, actor: User, reason: str, policy: TreePolicy | None = None) -> None:
    """Undo all that this decision did, so that everything is as before; what others have changed since stays.

    Raise NotAllowed (`moderators_only`, `not_yours`, `rank`), Invalid (the reason, `name_taken`), NotFound, Gone
    (`too_late`, for a purge), Conflict (`already_undone`, `not_undoable`, `built_on`, `erased`, `purged`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    policy = policy or current_policy()
    with transaction.atomic(durable=True):
        row = DeskDecision.objects.select_for_update(of=("self",)).get(pk=decision.pk)
        if row.moderator_id != actor.pk:
            raise NotAllowed(gettext("Only those who decided this can undo it here."), code="not_yours")
        if row.undone_at is not None:
            raise Conflict(gettext("This was undone already."), code="already_undone")
        entries = _entries_of(row)
        if any(entry.act not in _UNDOES for entry in entries):
            raise moderator_actions.not_undoable()
        _lock(entries)
        for entry in entries:
            _undo_entry(_Undo(entry, actor, reason, policy))
        row.undone_at = timezone.now()
        row.save(update_fields=["undone_at"])
    decision.undone_at = row.undone_at


def undo_entry(entry_id: int, *, actor: User, reason: str, of_another: bool = False) -> None:
    """Undo one act, given by its entry in the audit log, in a transaction of its own. With `of_another` administrators
    undo what somebody else did. Raise as `undo_decision`.
    """
    require_moderator(actor)
    entry = AuditEntry.objects.select_related("text").get(pk=entry_id)
    if entry.act not in _UNDOES:
        raise moderator_actions.not_undoable()
    with transaction.atomic(durable=True):
        _lock([entry])
        _undo_entry(_Undo(entry, actor, clean_reason(reason), current_policy(), of_another))


def latest_decisions(moderator: User, session: str | None = None) -> list[tuple[DeskDecision, bool]]:
    """Return the last SHOWN decisions of a moderator, newest first, each with whether it can be undone: those of one
    session that are in force, or without `session` all of them. One statement.
    """
    undoable = AuditEntry.objects.filter(IsAnyOf(F("pk"), OuterRef("entries")), act__in=UNDOABLE)
    rows = DeskDecision.objects.filter(moderator=moderator).annotate(undoable=ArraySubquery(undoable.values("pk")))
    if session is not None:
        rows = rows.filter(session=session, undone_at=None)
    latest = rows.order_by("-pk")[:SHOWN]
    return [(one, one.undone_at is None and set(one.undoable) == set(one.entries)) for one in latest]


# --- Entries ---


def _entries_of(decision: DeskDecision) -> list[AuditEntry]:
    """Return the entries to undo, newest first. A purge undoes the ban that it set, so that entry is left out."""
    rows = AuditEntry.objects.select_related("text").filter(pk__in=decision.entries).order_by("-pk")
    purged = {entry.person_id for entry in rows if entry.act == site_acts.PURGE.name}
    return [one for one in rows if not (one.act == account_acts.BAN.name and one.person_id in purged)]


def _lock(entries: Sequence[AuditEntry]) -> None:
    """Lock users, then trees, each in one order, since the entries come in any order."""
    people = {UUID(entry.target_id) for entry in entries if entry.target_type == User._meta.label_lower}
    if people:
        lock_administrators()
    for user in User.objects.filter(pk__in=people).order_by("pk"):
        lock_user(user)
    trees = {moderator_actions.tree_of(entry) for entry in entries if entry.act in tree_acts.UNDOABLE}
    for tree_id in sorted(trees):
        MessageTree.objects.locked(tree_id)


def _undo_entry(undo: _Undo) -> None:
    undoes = _UNDOES[undo.entry.act]
    undo.require_right()
    if undo.entry.act in tree_acts.UNDOABLE:  # it checks the rest and records that itself, under the lock of the tree
        undoes(undo)
        return
    if moderator_actions.is_undone(undo.entry):
        raise Conflict(gettext("This was undone already."), code="already_undone")
    undoes(undo)
    record(tree_acts.UNDO, undo.entry, actor=undo.actor, person_id=undo.entry.person_id, reason=undo.reason)


def _undo_on_tree(undo: _Undo) -> None:
    moderator_actions.undo_entry(undo.entry, actor=undo.actor, reason=undo.reason, policy=undo.policy)


def _undo_ban(undo: _Undo) -> None:
    bans.undo(undo.entry, actor=undo.actor, reason=undo.reason)


def _undo_change(undo: _Undo) -> None:
    user = User.objects.filter(pk=undo.entry.target_id).first()
    if user is None:
        raise NotFound(gettext("There is no such person."), code="no_such_person")
    with names.naming(user):
        account_changes.undo_change(user, undo.entry, actor=undo.actor)


def _undo_warning(undo: _Undo) -> None:
    warnings.withdraw_warning(int(undo.entry.target_id), undo.actor, undo.reason)


def _undo_refusal(undo: _Undo) -> None:
    appeals.undo_refusal(undo.entry, actor=undo.actor)


def _undo_purge(undo: _Undo) -> None:
    """Begin to give everything back; a job does the rest."""
    purging.begin_undo(UUID(undo.entry.target_id), actor=undo.actor, reason=undo.reason)


def _put_back(table: str, model: type[Model]) -> Callable[[_Undo], None]:
    return lambda undo: put_back(read_changes(undo.entry), {table: model})


def _pass_on_again(undo: _Undo) -> None:
    """Let what was passed on wait again, unless it was passed on once more meanwhile and waits anyway."""
    if not Escalation.objects.filter(subject_id=undo.entry.target_id, closed_at=None).exists():
        _put_back("escalation", Escalation)(undo)


_UNDOES: Mapping[str, Callable[[_Undo], None]] = {
    **dict.fromkeys(tree_acts.UNDOABLE, _undo_on_tree),
    account_acts.BAN.name: _undo_ban,
    account_acts.UNBAN.name: _undo_ban,
    account_acts.CHANGE.name: _undo_change,
    account_acts.WARN.name: _undo_warning,
    account_acts.REFUSE_APPEAL.name: _undo_refusal,
    site_acts.PURGE.name: _undo_purge,
    chat_acts.SETTLE_REPORT.name: _put_back("chat_report", ChatReport),
    data_acts.KEEP_PERSONAL_DATA.name: _put_back("reading", MessageReading),
    data_acts.DECIDE_PAIR.name: _put_back("near_duplicate", NearDuplicate),
    site_acts.PASS_ON.name: _put_back("escalation", Escalation),
    site_acts.ANSWER_PASSED_ON.name: _pass_on_again,
}


UNDOABLE = frozenset(_UNDOES)
"""The names of acts that can be undone."""
