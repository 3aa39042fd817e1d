"""Moderators' actions on trees, messages and reports. Outer writers: each function is one transaction.

Every action can be undone, stores its actor and reason, locks the tree row, and ends in `transitions.advance`.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_reason, clean_text
from trees.contributing import corrections, withdrawal_effects
from trees.enrichment import pairs
from trees.lifecycle import reranking, transitions
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
from trees.moderation import offered_actions, proposals, removal
from trees.outbox import publishing


def halt(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy, pair_id: int | None = None) -> None:
    """Halt a tree so that it does not resume automatically; a repeat changes nothing. Raise NotAllowed, Invalid (no
    reason), NotFound. With `pair_id` it also closes a pair of near-duplicates: Conflict (`decided`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
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
        proposals.keep_halting_messages(locked, actor=actor, reason=reason)
        transitions.resume(locked, reason=reason, actor=actor)
        transitions.advance(locked, actor=actor)


def retry_scoring(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Compute the consensus again for a tree whose scoring failed. Raise NotAllowed, Invalid, NotFound, Conflict
    (`not_failed`, `failed_again` with the cause).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    if not reranking.retry(tree_id=tree_id, policy=policy, reason=reason, actor=actor):
        if not MessageTree.objects.filter(pk=tree_id, state=State.SCORING_FAILED.value).exists():
            raise Conflict("The scoring of this conversation did not fail.", code="not_failed")
        last = TreeTransition.objects.filter(tree=tree_id).order_by("-id")[0]
        raise Conflict(f"It failed again. {last.reason}", code="failed_again")


def delete_message(
    *, message_id: UUID, actor: User, reason: str, policy: TreePolicy, pair_id: int | None = None
) -> Deletion:
    """Delete a message with everything below it. Raise NotAllowed, Invalid, NotFound, Conflict (`already_deleted`).
    With `pair_id` it also closes a pair of near-duplicates: Conflict (`decided`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        if pair_id is not None:
            pairs.close(pair_id=pair_id, actor=actor, reason=reason, status=NearDuplicate.Status.REMOVED)
        if message.deleted:
            raise Conflict("This message is deleted already.", code="already_deleted")
        deletion = removal.remove(locked, message, actor=actor, reason=reason)
        transitions.advance(locked, actor=actor)
        return deletion


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
        revision = corrections.replace_text(locked, message, text=text, detection=detection, actor=actor, reason=reason)
        if revision is None:
            raise Invalid("The text is the same as before.", code="unchanged", field="text")
        transitions.advance(locked, actor=actor)
        return revision


def uphold(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Delete the message that many people complained about, as `delete_message`. Raise NotAllowed, Invalid, NotFound,
    Conflict (`already_decided`, `already_deleted`).
    """
    return _decide(Proposal, proposal_id, actor, reason, policy, removal.remove)


def dismiss(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Keep the message that many people complained about: show it again, resume its tree, void the complaints. Raise as
    `uphold`; NotAllowed `own_message` also for one's own message.
    """

    def act(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
        _refuse_own(message, actor)
        proposals.keep_message(locked, message, actor=actor, reason=reason)

    return _decide(Proposal, proposal_id, actor, reason, policy, act)


def grant_withdrawal(*, withdrawal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Withdrawal:
    """Delete what its author withdrew with everything below it, as `delete_message`. Raise NotAllowed, Invalid,
    NotFound, Conflict (`already_decided`, `already_deleted`).
    """
    return _decide(Withdrawal, withdrawal_id, actor, reason, policy, removal.remove)


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

    return _decide(Withdrawal, withdrawal_id, actor, reason, policy, act)


_Waiting = TypeVar("_Waiting", Proposal, Withdrawal)
_DECIDED = {
    Proposal: "Somebody has decided about this already.",
    Withdrawal: "This is decided already, or its author has undone the withdrawal.",
}


def _decide(
    model: type[_Waiting], row_id: UUID, actor: User, reason: str, policy: TreePolicy, act: Callable[..., object]
) -> _Waiting:
    """Run `act` on the message of an open row, with the tree locked and the reason checked."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        message_id = model.objects.filter(pk=row_id).values_list("message_id", flat=True).first()
        if message_id is None:
            name = model._meta.model_name
            raise NotFound(f"There is no such {name}.", code=f"{name}_not_found")
        locked, message = lock_message(message_id, policy)
        # Every decision locks the tree, so the row cannot change now.
        if model.objects.get(pk=row_id).status != model.Status.OPEN:
            raise Conflict(_DECIDED[model], code="already_decided")
        proposals.refuse_deleted(message)
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
        report.status, report.outcome = status, outcome
        report.handled_by, report.handled_at = actor, timezone.now()
        report.save(update_fields=["status", "outcome", "handled_by", "handled_at"])
        kind, data = Happening.Kind.REPORT_SETTLED, {"report": str(report.pk), "status": status}
        publishing.publish_about(message, kind, actor=actor, data=data, subject_id=report.reporter_id)
        if status == Report.Status.DISMISSED:  # also for a deleted message: an undo restores it as decided
            proposals.keep_message(locked, message, actor=actor, reason=outcome)
            transitions.advance(locked, actor=actor)
        return report


def _refuse_own(message: Message, actor: User) -> None:
    """Raise NotAllowed if the actor would decide about complaints against their own message."""
    if offered_actions.is_own(message, actor):
        raise NotAllowed(
            "You wrote this message yourself. Please let another moderator decide what people said against it.",
            code="own_message",
        )
