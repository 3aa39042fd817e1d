"""What moderators do to trees, messages and reports. Outer writers: each function is one transaction.

Everything done to a tree can be undone, names its actor and its reason, and ends in `transitions.advance`: the tree
goes on from where the change leaves it. Locks the tree row.
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
from trees.lifecycle import reranking, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Happening,
    Message,
    MessageTree,
    Proposal,
    Report,
    Revision,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import offered_actions, proposals, removal
from trees.outbox import publishing


def halt(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Stop a tree where it is. One that complaints, a deletion or a ban had stopped does not go on by itself any more;
    stopping it again changes nothing. Raises NotAllowed, Invalid (no reason), NotFound."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        transitions.halt_on_purpose(locked, reason=reason, actor=actor)
        transitions.advance(locked, actor=actor)


def resume(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Let a tree that was stopped, or that flags ended, go on from where it was. What people said to stop it is void.

    Raises NotAllowed (`own_message` too), Invalid, NotFound, Conflict (`not_halted`, `prompt_rejected`,
    `prompt_deleted`).
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
        for message in proposals.what_stopped(locked):
            _refuse_own(message, actor)
        proposals.keep_what_stopped(locked, actor=actor, reason=reason)
        transitions.resume(locked, reason=reason, actor=actor)
        transitions.advance(locked, actor=actor)


def retry_scoring(*, tree_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """Compute the consensus of a tree whose scoring failed once more.

    Raises NotAllowed, Invalid, NotFound, Conflict (`not_failed`, `failed_again` with the cause).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    if not reranking.retry(tree_id=tree_id, policy=policy, reason=reason, actor=actor):
        if not MessageTree.objects.filter(pk=tree_id, state=State.SCORING_FAILED.value).exists():
            raise Conflict("The scoring of this conversation did not fail.", code="not_failed")
        last = TreeTransition.objects.filter(tree=tree_id).order_by("-id")[0]
        raise Conflict(f"It failed again. {last.reason}", code="failed_again")


def delete_message(*, message_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Deletion:
    """Take a message with everything below it out of sight.

    Raises NotAllowed, Invalid, NotFound, Conflict (`already_deleted`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        if message.deleted:
            raise Conflict("This message is deleted already.", code="already_deleted")
        deletion = removal.remove(locked, message, actor=actor, reason=reason)
        transitions.advance(locked, actor=actor)
        return deletion


def undelete(*, deletion_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Deletion:
    """Bring back exactly what one deletion took. A tree that it had stopped goes on, and complaints about the message
    are void.

    Raises NotAllowed, Invalid, NotFound, Conflict (`already_undone`, `parent_deleted`, `withdrawn`, `purged`,
    `erased`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        try:
            tree_id = Deletion.objects.values_list("tree_id", flat=True).get(pk=deletion_id)
        except Deletion.DoesNotExist:
            raise NotFound("There is no such deletion.", code="deletion_not_found") from None
        locked = lock_tree(tree_id, policy)  # the tree before the deletion, as all lock who bring back
        deletion = Deletion.objects.select_for_update(of=("self",), no_key=True).get(pk=deletion_id)
        if deletion.undone_at is not None:
            raise Conflict("This deletion was undone already.", code="already_undone")
        message = locked.message(deletion.message_id)
        if message.parent_id is not None and locked.messages[message.parent_id].deleted:
            raise Conflict("The message above it is deleted; bring that back first.", code="parent_deleted")
        if deletion.actor_id != actor.pk or offered_actions.was_complained_about(message):
            _refuse_own(message, actor)
        withdrawal_effects.refuse_to_bring_back(deletion.message_ids)
        removal.refuse_purged(deletion.message_ids)
        removal.bring_back(locked, deletion, actor=actor, reason=reason)
        transitions.advance(locked, actor=actor)
        return deletion


def edit_message(*, message_id: UUID, actor: User, text: str, reason: str, policy: TreePolicy) -> Revision:
    """Replace the text. What people said stays with the text that they saw; while reviewers can still be asked, the
    new text is reviewed anew.

    Raises NotAllowed, NotFound, Invalid (text, reason, `unchanged`), Conflict (`purged`, `erased`, `withdrawn`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    text = clean_text(text, limit=policy.message_size_limit)
    reading = language_detection.read(text)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        if offered_actions.waits_for_a_moderator(message):
            _refuse_own(message, actor)
        revision = corrections.revise(locked, message, text=text, reading=reading, actor=actor, reason=reason)
        if revision is None:
            raise Invalid("The text is the same as before.", code="unchanged", field="text")
        transitions.advance(locked, actor=actor)
        return revision


def uphold(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Take away the message that many people complained about, with everything below, as `delete_message` does.

    Raises NotAllowed, Invalid, NotFound, Conflict (`already_decided`, `already_deleted`).
    """

    def act(locked: LockedTree, message: Message, reason: str) -> None:
        removal.remove(locked, message, actor=actor, reason=reason)

    return _decide(Proposal, proposal_id, actor, reason, policy, act)


def dismiss(*, proposal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Proposal:
    """Let the message stay that many people complained about: it is shown again, its conversation goes on, and what
    they said is void. Raises as `uphold`; NotAllowed `own_message` also of one's own message.
    """

    def act(locked: LockedTree, message: Message, reason: str) -> None:
        _refuse_own(message, actor)
        proposals.keep(locked, message, actor=actor, reason=reason)

    return _decide(Proposal, proposal_id, actor, reason, policy, act)


def grant_withdrawal(*, withdrawal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Withdrawal:
    """Delete what its author withdrew, with what others wrote below it, as `delete_message` does.

    Raises NotAllowed, Invalid, NotFound, Conflict (`already_decided`, `already_deleted`).
    """

    def act(locked: LockedTree, message: Message, reason: str) -> None:
        removal.remove(locked, message, actor=actor, reason=reason)

    return _decide(Withdrawal, withdrawal_id, actor, reason, policy, act)


def refuse_withdrawal(*, withdrawal_id: UUID, actor: User, reason: str, policy: TreePolicy) -> Withdrawal:
    """Let the text stay that its author withdrew: it is shown again and its conversation goes on. The author gets a
    mail with the reason. Raises as `grant_withdrawal`; Conflict `in_data_set` of a finished conversation, whose texts
    are their authors' to withdraw.
    """

    def act(locked: LockedTree, message: Message, reason: str) -> None:
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
    model: type[_Waiting],
    row_id: UUID,
    actor: User,
    reason: str,
    policy: TreePolicy,
    act: Callable[[LockedTree, Message, str], None],
) -> _Waiting:
    """Do `act` about the message of a row that waits for a moderator, with the tree locked and a reason in words."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        message_id = model.objects.filter(pk=row_id).values_list("message_id", flat=True).first()
        if message_id is None:
            name = model._meta.model_name
            raise NotFound(f"There is no such {name}.", code=f"{name}_not_found")
        locked, message = lock_message(message_id, policy)
        # Nothing changes it now: whoever decides has locked the tree.
        if model.objects.get(pk=row_id).status != model.Status.OPEN:
            raise Conflict(_DECIDED[model], code="already_decided")
        proposals.refuse_deleted(message)
        act(locked, message, reason)
        transitions.advance(locked, actor=actor)
        return model.objects.get(pk=row_id)


def settle_report(*, report_id: UUID, actor: User, status: str, outcome: str, policy: TreePolicy) -> Report:
    """Answer a report for good: `upheld` or `dismissed`, with a sentence about what came of it.

    What has to be done about the message is done by the functions above. To dismiss it is to decide that the message
    stays: everything that people said against it is void. The outbox tells it, so that the reporter can hear of it.
    Locks the tree, then the message and the report.
    Raises NotAllowed (`own_message` where it is dismissed), Invalid (`unknown_status`, `outcome`), NotFound, Conflict
    (`already_settled`).
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
        # The message before the report, as those lock who report.
        list(Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=message_id).values_list("pk"))
        report = Report.objects.select_for_update(of=("self",), no_key=True).get(pk=report_id)
        if report.status != Report.Status.OPEN:
            raise Conflict("Somebody has answered this report already.", code="already_settled")
        report.status, report.outcome = status, outcome
        report.handled_by, report.handled_at = actor, timezone.now()
        report.save(update_fields=["status", "outcome", "handled_by", "handled_at"])
        publishing.tell(
            [
                Happening(
                    kind=Happening.Kind.REPORT_SETTLED,
                    actor=actor,
                    subject_id=report.reporter_id,
                    tree_id=locked.tree.pk,
                    message_id=report.message_id,
                    data={"report": str(report.pk), "status": status},
                )
            ]
        )
        if status == Report.Status.DISMISSED:  # also of what is away for now: an undo brings it back as decided
            proposals.keep(locked, message, actor=actor, reason=outcome)
            transitions.advance(locked, actor=actor)
        return report


def _refuse_own(message: Message, actor: User) -> None:
    """Nobody decides for themselves that complaints are wrong."""
    if offered_actions.is_own(message, actor):
        raise NotAllowed(
            "You wrote this message yourself. Please let another moderator decide what people said against it.",
            code="own_message",
        )
