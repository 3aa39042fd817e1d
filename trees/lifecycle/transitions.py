"""The one mover of tree states.

Every event (a review, a reply, a ranking, an import, a draw of the lottery) locks the tree by `lock_tree`,
changes messages in memory, and ends in `advance`, which takes every step that is due, makes the openings agree with
the facts and writes everything once. Calling it again does nothing. Needs an open transaction; the tree row is locked,
so nothing here races.
"""

import logging
from collections.abc import Sequence

from django.db import transaction

from oasst.accounts.models import User
from oasst.core.errors import Conflict
from trees.lifecycle import demand, openings, reply_ranks
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State, may_go
from trees.models import Happening, Message, TreeTransition

log = logging.getLogger(__name__)


def start_growing(locked: LockedTree, *, reason: str) -> None:
    """Let a drawn prompt grow. The caller goes on to `advance`."""
    _enter(locked, State.GROWING, reason, None)
    locked.tree.won_prompt_lottery_at = locked.tree.won_prompt_lottery_at or locked.now


def start_ranking(locked: LockedTree, *, reason: str) -> None:
    """Bring a tree from the backlog to the rankers. The caller goes on to `advance`."""
    _enter(locked, State.RANKING, reason, None)


def halt(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Stop the tree where it is. The caller goes on to `advance`."""
    _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)


def halt_on_purpose(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Stop the tree so that only somebody who may do so lets it go on. One that had stopped by itself, and would go on
    by itself, is stopped once more; one that was stopped on purpose stays as it is. The caller goes on to `advance`.
    """
    if locked.state != State.HALTED_BY_MODERATOR or _halted_because(locked, *BY_ITSELF):
        _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)


def was_halted_on_purpose(locked: LockedTree) -> bool:
    """Did somebody stop the tree, so that nothing lets it go on by itself?"""
    return locked.state == State.HALTED_BY_MODERATOR and not _halted_because(locked, *BY_ITSELF)


def abort(locked: LockedTree, *, reason: str) -> None:
    """End a tree that is unfit for the data set. The caller goes on to `advance`."""
    _enter(locked, State.ABORTED_LOW_GRADE, reason, None)


def resume(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Go back to the state that the tree was stopped in. The caller goes on to `advance`."""
    _enter(locked, _state_before_halt(locked), reason, actor)
    rescore(locked)  # replies may have gone or come back while it was stopped


def retry_scoring(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Let the consensus be computed once more. The caller goes on to `advance`."""
    _enter(locked, State.READY_FOR_SCORING, reason, actor)


def put_back(locked: LockedTree, target: State, *, reason: str, actor: User | None = None) -> None:
    """Return to an earlier state because what led out of it was undone. The caller goes on to `advance`.

    A step that the table does not have goes by way of a stop, which can be left for anywhere.
    """
    if locked.state == target:
        return
    if not may_go(locked.state, target):
        _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)
    _enter(locked, target, reason, actor)


def refuse_without_prompt(locked: LockedTree) -> None:
    """Raises Conflict `prompt_deleted`: a tree without its prompt can not go on."""
    if locked.root.deleted:
        raise Conflict("Its prompt is deleted; bring that back first.", code="prompt_deleted")


def rescore(locked: LockedTree) -> None:
    """Order the replies of a finished tree again after some went or came back. The caller goes on to `advance`."""
    if locked.state == State.READY_FOR_EXPORT:
        locked.changed_messages |= reply_ranks.score(locked.tree, locked.messages)


def was_halted_by_deletion(locked: LockedTree) -> bool:
    """Did the tree stop only because its prompt was deleted?"""
    return _halted_because(locked, PROMPT_DELETED)


def was_stopped_by_ban(locked: LockedTree) -> bool:
    """Did the tree stop only because its author was banned?"""
    return _halted_because(locked, AUTHOR_BANNED)


def was_stopped_by_complaints(locked: LockedTree) -> bool:
    """Did the tree stop only because many people complained?"""
    return _halted_because(locked, FLAGGED, UNWANTED)


def _halted_because(locked: LockedTree, *reasons: str) -> bool:
    if locked.state != State.HALTED_BY_MODERATOR:
        return False
    stored = TreeTransition.objects.filter(tree=locked.tree).order_by("-id")
    last = locked.new_transitions[-1] if locked.new_transitions else stored.first()
    return last is not None and last.to_state == State.HALTED_BY_MODERATOR and last.reason in reasons


def _state_before_halt(locked: LockedTree) -> State:
    """What was noted at the halt; for a tree that flags ended or a file brought stopped, what its messages tell."""
    return State(locked.tree.halted_from) if locked.tree.halted_from else state_of_contents(locked)


def state_of_contents(locked: LockedTree) -> State:
    """Where a tree belongs of which nothing is known but its messages; `advance` takes it on from there."""
    if locked.root.review_result is None:
        return State.INITIAL_PROMPT_REVIEW
    if not locked.root.review_result:
        return State.ABORTED_LOW_GRADE
    grows = len(locked.messages) > 1 or locked.tree.won_prompt_lottery_at is not None
    return State.GROWING if grows else State.PROMPT_LOTTERY_WAITING


def advance(locked: LockedTree, *, actor: User | None = None) -> bool:
    """Decide what can be decided, take every step that is due, make the openings agree, and write all of it.

    Returns whether that changed the tree: took a decision or a step, or had told what the caller did.
    """
    _decide(locked)
    for _ in State:  # no chain of steps is longer than the number of states
        step = due_step(locked)
        if step is None:
            break
        _enter(locked, *step, actor)
    return write_without_step(locked)


def write_without_step(locked: LockedTree) -> bool:
    """Write what was changed in memory and make the openings agree, without taking a step. Returns as `advance`."""
    openings.reconcile(locked)
    changed = bool(locked.changed_messages or locked.new_transitions)
    locked.save()
    return changed


def _decide(locked: LockedTree) -> None:
    """Accept or reject each message whose reviews suffice.

    Not only the one that was just reviewed: a policy that asks for fewer reviews makes those suffice that are there,
    and nobody is asked for more.
    """
    for message in [m for m in locked.messages.values() if m.review_result is None]:
        votes = locked.votes().get(message.pk, [])
        message.review_result = locked.policy.review_rule(message).verdict(votes)
        if message.review_result is None:
            continue
        locked.changed_messages.add(message.pk)
        record_decision(locked, message, votes)


def record_decision(locked: LockedTree, message: Message, votes: Sequence[bool]) -> None:
    """Tell that a message was decided, and by which rule: a later policy is no reason to doubt it."""
    rule = locked.policy.review_rule(message)
    locked.record(
        Happening.Kind.MESSAGE_ACCEPTED if message.review_result else Happening.Kind.MESSAGE_REJECTED,
        message=message,
        data={
            "rejecting": sum(votes),
            "reviews": len(votes),
            "wanted": rule.wanted,
            "threshold": rule.threshold,
        },
    )


Step = tuple[State, str]
PROMPT_DELETED = "The prompt was deleted."
FLAGGED = "Many people flagged the prompt. A moderator decides."
UNWANTED = "Many people did not want to answer one message. A moderator decides."
AUTHOR_BANNED = "Its author was banned."
NOTHING_LEFT = "Nothing of the conversation is left."
BY_ITSELF = (PROMPT_DELETED, FLAGGED, UNWANTED, AUTHOR_BANNED, NOTHING_LEFT)
"""Why trees stop without anybody who wants them to: they go on when the cause is gone."""


def due_step(locked: LockedTree) -> Step | None:
    """The step that the facts ask for, and the reason for the history. `check_invariants` asks too, and takes none."""
    if locked.root.deleted and locked.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
        return State.HALTED_BY_MODERATOR, PROMPT_DELETED
    match locked.state:
        case State.INITIAL_PROMPT_REVIEW:
            return _after_prompt_review(locked)
        case State.GROWING:
            return _after_growing(locked)
        case State.RANKING if not demand.paused(locked) and not any(
            missing for _, missing in demand.missing_rankings(locked)
        ):
            return State.READY_FOR_SCORING, "Every set of replies has enough rankings."
        case State.READY_FOR_SCORING:
            return _after_scoring(locked)
    return None


def _after_prompt_review(locked: LockedTree) -> Step | None:
    if locked.root.review_result is None:
        return None
    if locked.root.review_result:
        return State.PROMPT_LOTTERY_WAITING, "Reviewers accepted the prompt."
    return State.ABORTED_LOW_GRADE, "Reviewers rejected the prompt."


def _after_growing(locked: LockedTree) -> Step | None:
    size = demand.size(locked)
    if size == 0:
        return State.HALTED_BY_MODERATOR, NOTHING_LEFT
    if demand.awaiting_review(locked) or demand.paused(locked):
        return None  # what is hidden may come back, with everything below it
    if size >= locked.tree.goal_tree_size:
        return State.RANKING, "The conversation has the wanted size and everything is reviewed."
    if not demand.reply_places(locked) and not demand.held_replies(locked):
        return State.RANKING, "Everything is reviewed and no reply can be added."
    return None


def _after_scoring(locked: LockedTree) -> Step:
    try:
        with transaction.atomic():  # an error of the database must not take the rest of the transaction with it
            locked.changed_messages |= reply_ranks.score(locked.tree, locked.messages)
    except Exception as error:
        # Whatever went wrong, the vote that led here must be kept; the clock tries again (trees.lifecycle.reranking).
        log.exception("scoring failed", extra={"tree": str(locked.tree.pk)})
        return State.SCORING_FAILED, f"The consensus could not be computed: {error!r}"[:500]
    return State.READY_FOR_EXPORT, "The replies are ranked."


def _enter(locked: LockedTree, target: State, reason: str, actor: User | None) -> None:
    source = locked.state
    if not may_go(source, target):
        raise AssertionError(f"a tree can not go from {source} to {target}")
    if source != target:
        # Kept on the way in, so that resuming knows the way back.
        locked.tree.halted_from = source.value if target == State.HALTED_BY_MODERATOR else ""
        locked.tree.state = target.value
        locked.tree.state_since = locked.now
    locked.new_transitions.append(
        TreeTransition(tree=locked.tree, from_state=source, to_state=target, reason=reason, actor=actor, at=locked.now)
    )
    locked.record(
        Happening.Kind.TREE_MOVED,
        message=locked.root,
        actor=actor,
        data={"from": source.value, "to": target.value},
    )
