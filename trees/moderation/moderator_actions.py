"""Moderators' actions on trees, messages and reports. Outer writers: each function is one transaction.

Every action can be undone, stores its actor and reason, locks the tree row, and ends in `transitions.advance`.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import appeals
from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.rights import require_language
from oasst.core.audit.acts import Act
from oasst.core.audit.putting_back import read_changes
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_pool_tag, clean_reason, clean_text
from trees.access import message_not_found
from trees.contributing import corrections, withdrawal_effects
from trees.enrichment import pairs
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Happening,
    Message,
    MessageTree,
    NearDuplicate,
    Proposal,
    Report,
    Revision,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import acts, answers, language_moves, offered_actions, proposals, removal
from trees.moderation.changes import recorded, revert
from trees.outbox import publishing


def halt(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy, pair_id: int | None = None) -> None:
    """Halt a tree so that it does not resume automatically; a repeat changes nothing. Raise NotAllowed, Invalid (no
    reason), NotFound. With `pair_id` it also closes a pair of near-duplicates: Conflict (`decided`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        with recorded(locked, acts.HALT, locked.tree, person_id=locked.root.author_id, actor=actor, reason=reason):
            if pair_id is not None:
                pairs.close(pair_id=pair_id, actor=actor, reason=reason, status=NearDuplicate.Status.REMOVED)
            transitions.halt_on_purpose(locked, reason=reason, actor=actor)
            transitions.advance(locked, actor=actor)


def resume(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Resume a tree that was halted, or that flags ended. The complaints that halted it become void. Raise NotAllowed
    (`own_message` too), Invalid, NotFound, Conflict (`not_halted`, `prompt_rejected`, `prompt_deleted`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        if locked.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
            raise Conflict("This conversation is not stopped.", code="not_halted")
        if locked.state == State.ABORTED_LOW_GRADE and locked.root.review_result is False:
            raise Conflict("Reviewers rejected its prompt, and that stands.", code="prompt_rejected")
        transitions.refuse_without_prompt(locked)
        for message in proposals.halting_messages(locked):
            _refuse_own(message, actor)
        with recorded(locked, acts.RESUME, locked.tree, person_id=locked.root.author_id, actor=actor, reason=reason):
            proposals.keep_halting_messages(locked, actor=actor, reason=reason)
            transitions.resume(locked, reason=reason, actor=actor)
            transitions.advance(locked, actor=actor)


def retry_scoring(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Compute the consensus again for a tree whose scoring failed. Raise NotAllowed, Invalid, NotFound, Conflict
    (`not_failed`, `failed_again` with the cause).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        if locked.state != State.SCORING_FAILED:
            raise Conflict("The scoring of this conversation did not fail.", code="not_failed")
        person_id = locked.root.author_id
        with recorded(locked, acts.RETRY_SCORING, locked.tree, person_id=person_id, actor=actor, reason=reason):
            transitions.retry_scoring(locked, reason=reason, actor=actor)
            transitions.advance(locked, actor=actor)
    if locked.state == State.SCORING_FAILED:
        last = TreeTransition.objects.filter(tree=tree_id).order_by("-id")[0]
        raise Conflict(f"It failed again. {last.reason}", code="failed_again")


def keep(*, message_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Decide that a message stays, and answer all that waits about it: it is shown again, its tree resumes, complaints
    become void. Raise NotAllowed (`own_message` too), Invalid, NotFound, Conflict (`already_deleted`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        _refuse_own(message, actor)
        proposals.refuse_deleted(message)
        with recorded(locked, acts.KEEP, message, person_id=message.author_id, actor=actor, reason=reason):
            answers.keep(locked, message, actor=actor, reason=reason)
            transitions.advance(locked, actor=actor)


def hide(*, message_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Hide a message until `keep`, an edit or undo shows it again: it and what is below it leave the conversation, but
    nothing is deleted; a prompt halts its tree. Raise NotAllowed, Invalid, NotFound, Conflict (`already_deleted`,
    `already_hidden`, `withdrawn`: the withdrawal is to be decided).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        proposals.refuse_deleted(message)
        withdrawal_effects.refuse_withdrawn([message])
        if message.kept_hidden:
            raise Conflict(gettext("This message is hidden already."), code="already_hidden")
        with recorded(locked, acts.HIDE, message, person_id=message.author_id, actor=actor, reason=reason):
            proposals.hide(locked, message, actor=actor, reason=reason)
            transitions.advance(locked, actor=actor)


def delete_message(
    *, message_id: UUID, actor: User, reason: str, policy: TreePolicy, pair_id: int | None = None
) -> Deletion:
    """Delete a message with everything below it, and answer all that waits about it. Raise NotAllowed, Invalid,
    NotFound, Conflict (`already_deleted`; `decided` if the pair of near-duplicates with `pair_id` is not open).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        proposals.refuse_deleted(message)
        with recorded(locked, acts.DELETE, message, person_id=message.author_id, actor=actor, reason=reason):
            if pair_id is not None:
                pairs.close(pair_id=pair_id, actor=actor, reason=reason, status=NearDuplicate.Status.REMOVED)
            deletion = _remove(locked, message, actor=actor, reason=reason)
            transitions.advance(locked, actor=actor)
        return deletion


def _remove(locked: LockedTree, message: Message, *, actor: User, reason: str) -> Deletion:
    deletion = removal.remove(locked, message, actor=actor, reason=reason)
    answers.remove(locked, message, actor=actor, reason=reason)
    return deletion


def move_to_language(*, tree_id: UUID, lang: str, actor: User, reason: str, policy: TreePolicy) -> None:
    """File a conversation under another language, whatever its state. Messages that were filed under a third language
    stay there; published snapshots stay as they are. Raise NotAllowed, Invalid (reason, `language`), NotFound, Conflict
    (`same_language`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    lang = clean_pool_tag(lang)
    texts = Message.objects.filter(tree=tree_id).values_list("pk", "text")
    found = {pk: language_detection.detect(text).differs_from(lang) or "" for pk, text in texts}  # before any lock
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        if locked.tree.lang == lang:
            raise Conflict(gettext("This conversation is filed under this language already."), code="same_language")
        with recorded(locked, acts.MOVE, locked.tree, person_id=locked.root.author_id, actor=actor, reason=reason):
            language_moves.move(locked, lang, looks_like=found, actor=actor)
            transitions.advance(locked, actor=actor)


def undelete(*, deletion_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Deletion:
    """Restore exactly what one deletion took. It resumes a tree that the deletion halted and voids complaints. Raise
    NotAllowed, Invalid, NotFound, Conflict (`already_undone`, `parent_deleted`, `withdrawn`, `purged`, `erased`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        try:
            tree_id = Deletion.objects.values_list("tree_id", flat=True).get(pk=deletion_id)
        except Deletion.DoesNotExist:
            raise NotFound("There is no such deletion.", code="deletion_not_found") from None
        locked = lock_tree(tree_id, policy)  # lock order: the tree, then the deletion
        deletion = Deletion.objects.select_for_update(of=("self",), no_key=True).get(pk=deletion_id)
        if deletion.undone_at is not None:
            raise Conflict("This deletion was undone already.", code="already_undone")
        message = locked.message(deletion.message_id)
        if message.parent_id is not None and locked.messages[message.parent_id].deleted:
            raise Conflict("The message above it is deleted; bring that back first.", code="parent_deleted")
        if deletion.actor_id != actor.pk or offered_actions.was_complained_about(message):
            _refuse_own(message, actor)
        withdrawal_effects.refuse_restoring(deletion.message_ids)
        removal.refuse_purged(deletion.message_ids)
        with recorded(locked, acts.UNDELETE, message, person_id=message.author_id, actor=actor, reason=reason):
            removal.restore(locked, deletion, actor=actor, reason=reason)
            transitions.advance(locked, actor=actor)
        return deletion


def edit_message(*, message_id: UUID, actor: User, text: str, reason: str, policy: TreePolicy) -> Revision:
    """Replace the text, as `corrections.replace_text`. Raise NotAllowed, NotFound, Invalid (text, reason, `unchanged`),
    Conflict (`purged`, `erased`, `withdrawn`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    text = clean_text(text, limit=policy.message_size_limit)
    detection = language_detection.detect(text)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        if offered_actions.has_open_proposal(message):
            _refuse_own(message, actor)
        with recorded(locked, acts.EDIT, message, person_id=message.author_id, actor=actor, reason=reason):
            revision = corrections.replace_text(
                locked, message, text=text, detection=detection, actor=actor, reason=reason
            )
            if revision is None:
                raise Invalid(gettext("The text is the same as before."), code="unchanged", field="text")
            transitions.advance(locked, actor=actor)
        return revision


def uphold(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Delete the message that many people complained about, as `delete_message`. Raise NotAllowed, Invalid, NotFound,
    Conflict (`already_decided`, `already_deleted`).
    """
    return _decide(Proposal, acts.UPHOLD, proposal_id, actor, reason, policy, _remove)


def dismiss(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Keep the message that many people complained about, as `keep`. Raise as `uphold`; NotAllowed `own_message` also
    for one's own message.
    """

    def act(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
        _refuse_own(message, actor)
        answers.keep(locked, message, actor=actor, reason=reason)

    return _decide(Proposal, acts.DISMISS, proposal_id, actor, reason, policy, act)


def grant_withdrawal(*, withdrawal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Withdrawal:
    """Delete what its author withdrew with everything below it, as `delete_message`. Raise NotAllowed, Invalid,
    NotFound, Conflict (`already_decided`, `already_deleted`).
    """
    return _decide(Withdrawal, acts.GRANT, withdrawal_id, actor, reason, policy, _remove)


def refuse_withdrawal(*, withdrawal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Withdrawal:
    """Show a withdrawn text again and resume its tree. The author gets a mail with the reason. Raise as
    `grant_withdrawal`; Conflict `in_data_set` for a finished tree, where the author decides.
    """

    def act(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
        if locked.state == State.READY_FOR_EXPORT:
            raise Conflict(
                "Its author withdrew it from the data set, which is theirs to decide. Only they can undo it.",
                code="in_data_set",
            )
        withdrawal_effects.show(locked, message, status=Withdrawal.Status.REFUSED, actor=actor, answer=reason)

    return _decide(Withdrawal, acts.REFUSE, withdrawal_id, actor, reason, policy, act)


_Waiting = TypeVar("_Waiting", Proposal, Withdrawal)
_DECIDED = {
    Proposal: "Somebody has decided about this already.",
    Withdrawal: "This is decided already, or its author has undone the withdrawal.",
}


def _decide(
    model: type[_Waiting],
    name: Act,
    row_id: UUID,
    actor: User,
    reason: str,
    policy: TreePolicy,
    act: Callable[..., object],
) -> _Waiting:
    """Run `act`, which the audit log calls `name`, on the message of an open row, with the tree locked and the reason
    checked.
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        message_id = model.objects.filter(pk=row_id).values_list("message_id", flat=True).first()
        if message_id is None:
            row_name = model._meta.model_name
            raise NotFound(f"There is no such {row_name}.", code=f"{row_name}_not_found")
        locked, message = lock_message(message_id, policy)
        # Every decision locks the tree, so the row cannot change now.
        if model.objects.get(pk=row_id).status != model.Status.OPEN:
            raise Conflict(_DECIDED[model], code="already_decided")
        proposals.refuse_deleted(message)
        with recorded(locked, name, message, person_id=message.author_id, actor=actor, reason=reason):
            act(locked, message, actor=actor, reason=reason)
            transitions.advance(locked, actor=actor)
        return model.objects.get(pk=row_id)


def settle_report(*, report_id: UUID, actor: User, status: str, outcome: str, policy: TreePolicy) -> Report:
    """Settle a report as `upheld` or `dismissed`, with a sentence about the outcome.

    To dismiss it is to decide that the message stays, so complaints become void; to uphold it only records that it was
    right. An outbox event tells the reporter. Locks the tree, then the message and the report. Raise NotAllowed
    (`own_message` to dismiss), Invalid (`unknown_status`, `outcome`), NotFound, Conflict (`already_settled`).
    """
    require_moderator(actor)
    if status not in (Report.Status.UPHELD, Report.Status.DISMISSED):
        raise Invalid("A report is upheld or dismissed.", code="unknown_status", field="status")
    outcome = clean_reason(outcome, limit=1000, field="outcome", ask="Please say what came of it")
    with transaction.atomic(durable=True):
        message_id = Report.objects.filter(pk=report_id).values_list("message_id", flat=True).first()
        if message_id is None:
            raise NotFound("There is no such report.", code="report_not_found")
        locked, message = lock_message(message_id, policy)
        if status == Report.Status.DISMISSED:
            _refuse_own(message, actor)
        # The same lock order as reporting: the message, then the report.
        list(Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=message_id).values_list("pk"))
        report = Report.objects.select_for_update(of=("self",), no_key=True).get(pk=report_id)
        if report.status != Report.Status.OPEN:
            raise Conflict("Somebody has answered this report already.", code="already_settled")
        with recorded(locked, acts.SETTLE, message, person_id=message.author_id, actor=actor, reason=outcome):
            _settle(locked, message, report, actor=actor, status=status, outcome=outcome)
        return report


def _settle(locked: LockedTree, message: Message, report: Report, *, actor: User, status: str, outcome: str) -> None:
    report.status, report.outcome = status, outcome
    report.handled_by, report.handled_at = actor, timezone.now()
    report.save(update_fields=["status", "outcome", "handled_by", "handled_at"])
    kind, data = Happening.Kind.REPORT_SETTLED, {"report": str(report.pk), "status": status}
    publishing.publish_about(message, kind, actor=actor, data=data, subject_id=report.reporter_id)
    if status == Report.Status.DISMISSED:  # also for a deleted message: an undo restores it as decided
        proposals.keep_message(locked, message, actor=actor, reason=outcome)
        transitions.advance(locked, actor=actor)


def undo(*, entry_id: int, actor: User, reason: str, policy: TreePolicy) -> None:
    """Undo one of the actor's own acts on a tree, given by its entry in the audit log: everything is as before it.

    What others have changed since stays. Raise NotAllowed (`not_yours`), Invalid, NotFound, Conflict
    (`already_undone`, `built_on`, `erased`, `purged`, and `not_undoable` for an act of another kind).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    entry = AuditEntry.objects.select_related("text").filter(pk=entry_id).first()
    if entry is None:
        raise NotFound(gettext("There is no such act."), code="act_not_found")
    if entry.act not in acts.UNDOABLE:
        raise not_undoable()
    if entry.actor_id != actor.pk:
        raise NotAllowed(gettext("Only those who did this can undo it here."), code="not_yours")
    with transaction.atomic(durable=True):
        undo_entry(entry, actor=actor, reason=reason, policy=policy)


def undo_entry(entry: AuditEntry, *, actor: User, reason: str, policy: TreePolicy) -> None:
    """Undo an act of any moderator, which also grants the open appeal against it. Inside the caller's transaction, for
    those who have checked that the actor may. Raise NotAllowed `other_language`, Conflict as `undo`.
    """
    if entry.act not in acts.UNDOABLE:
        raise not_undoable()
    locked = lock_tree(tree_of(entry), policy)
    require_language(actor, _lang_to_undo_in(entry, locked, actor))
    if is_undone(entry):
        raise Conflict(gettext("This was undone already."), code="already_undone")
    revert(locked, entry, actor=actor, reason=reason)
    record(acts.UNDO, entry, actor=actor, person_id=entry.person_id, reason=reason)
    appeals.grant_about(entry.pk, actor=actor, answer=reason)


def _lang_to_undo_in(entry: AuditEntry, locked: LockedTree, actor: User) -> str:
    """Return the language that the actor has to moderate: for their own move that from which they took it."""
    if entry.act != acts.MOVE.name or entry.actor_id != actor.pk:
        return locked.tree.lang
    before, _ = read_changes(entry).of("tree", locked.tree.pk)
    return str(before.get("lang", locked.tree.lang))


def is_undone(entry: AuditEntry) -> bool:
    undone = AuditEntry.objects.filter(act=acts.UNDO.name, target_id=str(entry.pk))
    return undone.filter(target_type=AuditEntry._meta.label_lower).exists()


def not_undoable() -> Conflict:
    return Conflict(gettext("This cannot be undone."), code="not_undoable")


def tree_of(entry: AuditEntry) -> UUID:
    """Return the tree that an act was about, or the tree of its message. Raise NotFound."""
    target = UUID(entry.target_id)
    if entry.target_type == MessageTree._meta.label_lower:
        return target
    tree_id = Message.objects.filter(pk=target).values_list("tree_id", flat=True).first()
    if tree_id is None:
        raise message_not_found()
    return tree_id


def _refuse_own(message: Message, actor: User) -> None:
    """Raise NotAllowed if the actor would decide about complaints against their own message."""
    if offered_actions.is_own(message, actor):
        raise NotAllowed(
            "You wrote this message yourself. Please let another moderator decide what people said against it.",
            code="own_message",
        )
