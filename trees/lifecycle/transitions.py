"""The only place that changes the state of a tree.

Every event (a review, reply, ranking, import or lottery draw) locks the tree by `lock_tree`, changes messages in
memory, and ends in `advance`, which takes every due step, reconciles the openings and writes everything once. Calling
it again does nothing. Needs an open transaction; the lock on the tree row prevents races.
"""

import logging
from collections.abc import Sequence

from django.db import transaction

from oasst.accounts.models import User
from oasst.core.errors import Conflict
from trees.lifecycle import demand, openings, reply_ranks
from trees.lifecycle.consensus import Vote, count_rejecting
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State, is_allowed
from trees.models import Happening, Message, TreeTransition

log = logging.getLogger(__name__)


def start_growing(locked: LockedTree, *, reason: str) -> None:
    """Move a drawn prompt to growing. The caller goes on to `advance`."""
    _enter(locked, State.GROWING, reason, None)
    locked.tree.won_prompt_lottery_at = locked.tree.won_prompt_lottery_at or locked.now


def start_ranking(locked: LockedTree, *, reason: str) -> None:
    """Move a tree from the backlog to ranking. The caller goes on to `advance`."""
    _enter(locked, State.RANKING, reason, None)


def halt(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Halt the tree in its present state. The caller goes on to `advance`."""
    _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)


def halt_on_purpose(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Halt the tree so that it does not resume automatically. The caller goes on to `advance`.

    An automatic halt becomes one on purpose; a tree already halted on purpose stays as it is.
    """
    if locked.state != State.HALTED_BY_MODERATOR or halted_because(locked, *AUTOMATIC_HALTS):
        _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)


def was_halted_on_purpose(locked: LockedTree) -> bool:
    """Return True if a person halted the tree, so that it does not resume automatically."""
    return locked.state == State.HALTED_BY_MODERATOR and not halted_because(locked, *AUTOMATIC_HALTS)


def abort(locked: LockedTree, *, reason: str) -> None:
    """End a tree that is unfit for the data set. The caller goes on to `advance`."""
    _enter(locked, State.ABORTED_LOW_GRADE, reason, None)


def resume(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Return to the state in which the tree was halted. The caller goes on to `advance`."""
    _enter(locked, _state_before_halt(locked), reason, actor)
    rescore(locked)  # replies may have been deleted or restored meanwhile


def retry_scoring(locked: LockedTree, *, reason: str, actor: User | None = None) -> None:
    """Compute the consensus again. The caller goes on to `advance`."""
    _enter(locked, State.READY_FOR_SCORING, reason, actor)


def return_to_state(locked: LockedTree, target: State, *, reason: str, actor: User | None = None) -> None:
    """Return to an earlier state: the change that ended it was undone. The caller goes on to `advance`.

    If the table lacks the step, the tree goes by way of a halt, from which every state may follow.
    """
    if locked.state == target:
        return
    if not is_allowed(locked.state, target):
        _enter(locked, State.HALTED_BY_MODERATOR, reason, actor)
    _enter(locked, target, reason, actor)


def refuse_without_prompt(locked: LockedTree) -> None:
    """Raise Conflict `prompt_deleted`: a tree without its prompt cannot go on."""
    if locked.root.deleted:
        raise Conflict("Its prompt is deleted; bring that back first.", code="prompt_deleted")


def rescore(locked: LockedTree) -> None:
    """Rank the replies of a finished tree again after deletions or restores. The caller goes on to `advance`."""
    if locked.state == State.READY_FOR_EXPORT:
        locked.changed_messages |= reply_ranks.score(locked.tree, locked.messages)


def raise_sizes(locked: LockedTree) -> None:
    """Raise the sizes of a tree that grew beyond them by restored messages. The caller goes on to `advance`."""
    grown = demand.sizes_at_least(locked, goal=locked.tree.goal_tree_size, children=locked.tree.max_children_count)
    if grown != (locked.tree.goal_tree_size, locked.tree.max_children_count):
        locked.tree.goal_tree_size, locked.tree.max_children_count = grown
        locked.tree.save(update_fields=["goal_tree_size", "max_children_count"])


def halted_because(locked: LockedTree, *reasons: str) -> bool:
    """Return True if the tree is halted, the last time for one of these reasons."""
    if locked.state != State.HALTED_BY_MODERATOR:
        return False
    stored = TreeTransition.objects.filter(tree=locked.tree).order_by("-id")
    last = locked.new_transitions[-1] if locked.new_transitions else stored.first()
    return last is not None and last.to_state == State.HALTED_BY_MODERATOR and last.reason in reasons


def _state_before_halt(locked: LockedTree) -> State:
    """Return the state noted at the halt; without a note (old or imported trees) derive it from the messages."""
    return State(locked.tree.halted_from) if locked.tree.halted_from else state_from_messages(locked)


def state_from_messages(locked: LockedTree) -> State:
    """Return the state that fits the messages of a tree; `advance` takes it on from there."""
    if locked.root.review_result is None:
        return State.INITIAL_PROMPT_REVIEW
    if not locked.root.review_result:
        return State.ABORTED_LOW_GRADE
    grows = len(locked.messages) > 1 or locked.tree.won_prompt_lottery_at is not None
    return State.GROWING if grows else State.PROMPT_LOTTERY_WAITING


def advance(locked: LockedTree, *, actor: User | None = None) -> bool:
    """Decide messages, take every due step, reconcile openings and save it all. Return True if the tree changed."""
    _decide(locked)
    for _ in State:  # no chain of steps is longer than the number of states
        step = due_step(locked)
        if step is None:
            break
        _enter(locked, *step, actor)
    return save_without_step(locked)


def save_without_step(locked: LockedTree) -> bool:
    """Reconcile the openings and save, without taking a step. Return True if the tree changed."""
    openings.reconcile(locked)
    changed = bool(locked.changed_messages or locked.new_transitions)
    locked.save()
    return changed


def _decide(locked: LockedTree) -> None:
    """Accept or reject every message with enough reviews; a changed policy may make existing reviews suffice."""
    for message in [m for m in locked.messages.values() if m.review_result is None]:
        votes = locked.votes().get(message.pk, [])
        # In their order, as `check_invariants` does: a new policy may be one by which the first votes decided already.
        message.review_result = locked.policy.review_rule(message).decision(votes)
        if message.review_result is None:
            continue
        locked.changed_messages.add(message.pk)
        record_decision(locked, message, votes)


def record_decision(locked: LockedTree, message: Message, votes: Sequence[Vote]) -> None:
    """Record the decision as an event, with its rule: under a later policy the votes may look like another decision."""
    rule = locked.policy.review_rule(message)
    locked.record(
        Happening.Kind.MESSAGE_ACCEPTED if message.review_result else Happening.Kind.MESSAGE_REJECTED,
        message=message,
        data={"rejecting": count_rejecting(votes), "reviews": len(votes), **rule.as_data()},
    )


Step = tuple[State, str]
PROMPT_DELETED = "The prompt was deleted."
PROMPT_HIDDEN = "A moderator hid the prompt."
TOO_MANY_FLAGS = "Many people flagged the prompt. A moderator decides."
TOO_MANY_SKIPS = "Many people did not want to answer one message. A moderator decides."
AUTHOR_BANNED = "Its author was banned."
NOTHING_LEFT = "Nothing of the conversation is left."
AUTOMATIC_HALTS = (PROMPT_DELETED, PROMPT_HIDDEN, TOO_MANY_FLAGS, TOO_MANY_SKIPS, AUTHOR_BANNED, NOTHING_LEFT)
"""Reasons of automatic halts. Such a tree goes on when the cause is gone."""


def due_step(locked: LockedTree) -> Step | None:
    """Return the step that the facts require, with its reason, or None. `check_invariants` calls this too."""
    if locked.root.is_out and locked.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
        return State.HALTED_BY_MODERATOR, PROMPT_DELETED if locked.root.deleted else PROMPT_HIDDEN
    match locked.state:
        case State.INITIAL_PROMPT_REVIEW:
            return _after_prompt_review(locked)
        case State.GROWING:
            return _after_growing(locked)
        case State.RANKING if not demand.find_waiting(locked) and not any(
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
    size = demand.accepted_count(locked)
    if size == 0:
        return State.HALTED_BY_MODERATOR, NOTHING_LEFT
    if demand.awaiting_review(locked) or demand.find_waiting(locked):
        return None  # hidden messages may return with everything below them
    if size >= locked.tree.goal_tree_size:
        return State.RANKING, "The conversation has the wanted size and everything is reviewed."
    if not demand.reply_openings_wanted(locked) and not demand.count_held_replies(locked):
        return State.RANKING, "Everything is reviewed and no reply can be added."
    return None


def _after_scoring(locked: LockedTree) -> Step:
    try:
        with transaction.atomic():  # a database error must not abort the surrounding transaction
            locked.changed_messages |= reply_ranks.score(locked.tree, locked.messages)
    except Exception as error:
        # Keep the vote that led here; a job tries the scoring again (trees.lifecycle.reranking).
        log.exception("scoring failed", extra={"tree": str(locked.tree.pk)})
        return State.SCORING_FAILED, f"The consensus could not be computed: {error!r}"[:500]
    return State.READY_FOR_EXPORT, "The replies are ranked."


def _enter(locked: LockedTree, target: State, reason: str, actor: User | None) -> None:
    source = locked.state
    if not is_allowed(source, target):
        raise AssertionError(f"a tree cannot go from {source} to {target}")
    if source != target:
        # Resuming needs to know where to return.
        locked.tree.halted_from = source.value if target == State.HALTED_BY_MODERATOR else ""
        locked.tree.state = target.value
        locked.tree.state_since = locked.now
    locked.new_transitions.append(
        TreeTransition(tree=locked.tree, from_state=source, to_state=target, reason=reason, actor=actor, at=locked.now)
    )
    locked.record(
        Happening.Kind.TREE_MOVED, message=locked.root, actor=actor, data={"from": source.value, "to": target.value}
    )
