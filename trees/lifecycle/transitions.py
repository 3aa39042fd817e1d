"""The one mover of tree states.

Every event (a review, a reply, a ranking, an import, a draw of the lottery) takes the tree in hand with `lock_tree`,
changes messages in memory, and ends in `advance`, which takes every step that is due, makes the openings agree with
the facts and writes everything once. Calling it again does nothing. Needs an open transaction; the tree row is locked,
so nothing here races.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from oasst.accounts.models import User
from oasst.core import prepared
from oasst.core.errors import Conflict
from trees.lifecycle import demand, reply_ranks
from trees.lifecycle.locked_tree import TreeInHand
from trees.lifecycle.states import REPLY_WORK, TABLE, State, Work, may_go
from trees.models import Happening, Message, TreeTransition
from trees.outbox import publishing

log = logging.getLogger(__name__)


def start_growing(hand: TreeInHand, *, reason: str, actor: User | None = None) -> None:
    """Let a drawn prompt grow. The caller goes on to `advance`."""
    _enter(hand, State.GROWING, reason, actor)
    hand.tree.won_prompt_lottery_at = hand.tree.won_prompt_lottery_at or hand.now


def start_ranking(hand: TreeInHand, *, reason: str) -> None:
    """Bring a tree from the backlog to the rankers. The caller goes on to `advance`."""
    _enter(hand, State.RANKING, reason, None)


def halt(hand: TreeInHand, *, reason: str, actor: User | None = None) -> None:
    """Stop the tree where it is. The caller goes on to `advance`."""
    _enter(hand, State.HALTED_BY_MODERATOR, reason, actor)


def halt_on_purpose(hand: TreeInHand, *, reason: str, actor: User | None = None) -> None:
    """Stop the tree so that only somebody who may do so lets it go on. One that had stopped by itself, and would go on
    by itself, is stopped once more; one that was stopped on purpose stays as it is. The caller goes on to `advance`.
    """
    if hand.state != State.HALTED_BY_MODERATOR or _halted_because(hand, *BY_ITSELF):
        _enter(hand, State.HALTED_BY_MODERATOR, reason, actor)


def was_halted_on_purpose(hand: TreeInHand) -> bool:
    """Did somebody stop the tree, so that nothing lets it go on by itself?"""
    return hand.state == State.HALTED_BY_MODERATOR and not _halted_because(hand, *BY_ITSELF)


def abort(hand: TreeInHand, *, reason: str) -> None:
    """End a tree that is unfit for the data set. The caller goes on to `advance`."""
    _enter(hand, State.ABORTED_LOW_GRADE, reason, None)


def resume(hand: TreeInHand, *, reason: str, actor: User | None = None) -> None:
    """Go back to the state that the tree was stopped in. The caller goes on to `advance`."""
    _enter(hand, _state_before_halt(hand), reason, actor)
    rescore(hand)  # replies may have gone or come back while it was stopped


def retry_scoring(hand: TreeInHand, *, reason: str, actor: User | None = None) -> None:
    """Let the consensus be computed once more. The caller goes on to `advance`."""
    _enter(hand, State.READY_FOR_SCORING, reason, actor)


def put_back(hand: TreeInHand, target: State, *, reason: str, actor: User | None = None) -> None:
    """Return to an earlier state because what led out of it was undone. The caller goes on to `advance`.

    A step that the table does not have goes by way of a stop, which can be left for anywhere.
    """
    if hand.state == target:
        return
    if not may_go(hand.state, target):
        _enter(hand, State.HALTED_BY_MODERATOR, reason, actor)
    _enter(hand, target, reason, actor)


def refuse_without_prompt(hand: TreeInHand) -> None:
    """Raises Conflict `prompt_deleted`: a tree without its prompt can not go on."""
    if hand.root.deleted:
        raise Conflict("Its prompt is deleted; bring that back first.", code="prompt_deleted")


def rescore(hand: TreeInHand) -> None:
    """Order the replies of a finished tree again after some went or came back. The caller goes on to `advance`."""
    if hand.state == State.READY_FOR_EXPORT:
        hand.changed |= reply_ranks.score(hand.tree, hand.messages)


def was_halted_by_deletion(hand: TreeInHand) -> bool:
    """Did the tree stop only because its prompt was deleted?"""
    return _halted_because(hand, PROMPT_DELETED)


def was_stopped_by_ban(hand: TreeInHand) -> bool:
    """Did the tree stop only because its author was banned?"""
    return _halted_because(hand, AUTHOR_BANNED)


def was_stopped_by_complaints(hand: TreeInHand) -> bool:
    """Did the tree stop only because many people complained?"""
    return _halted_because(hand, FLAGGED, UNWANTED)


def _halted_because(hand: TreeInHand, *reasons: str) -> bool:
    if hand.state != State.HALTED_BY_MODERATOR:
        return False
    stored = TreeTransition.objects.filter(tree=hand.tree).order_by("-id")
    last = hand.moves[-1] if hand.moves else stored.first()
    return last is not None and last.to_state == State.HALTED_BY_MODERATOR and last.reason in reasons


def _state_before_halt(hand: TreeInHand) -> State:
    """What was noted at the halt; for a tree that flags ended or a file brought stopped, what its messages tell."""
    return State(hand.tree.halted_from) if hand.tree.halted_from else state_of_contents(hand)


def state_of_contents(hand: TreeInHand) -> State:
    """Where a tree belongs of which nothing is known but its messages; `advance` takes it on from there."""
    if hand.root.review_result is None:
        return State.INITIAL_PROMPT_REVIEW
    if not hand.root.review_result:
        return State.ABORTED_LOW_GRADE
    grows = len(hand.messages) > 1 or hand.tree.won_prompt_lottery_at is not None
    return State.GROWING if grows else State.PROMPT_LOTTERY_WAITING


def advance(hand: TreeInHand, *, actor: User | None = None) -> bool:
    """Decide what can be decided, take every step that is due, make the openings agree, and write all of it.

    Returns whether that changed the tree: took a decision or a step, or had told what the caller did.
    """
    _decide(hand)
    for _ in State:  # no chain of steps is longer than the number of states
        step = due_step(hand)
        if step is None:
            break
        _enter(hand, *step, actor)
    return write(hand)


def write(hand: TreeInHand) -> bool:
    """Write what was changed in memory and make the openings agree, without taking a step. Returns as `advance`."""
    open_places(hand)
    moved = bool(hand.changed or hand.moves)
    _write_rest(hand)
    return moved


def _decide(hand: TreeInHand) -> None:
    """Accept or reject each message whose reviews suffice.

    Not only the one that was just reviewed: a policy that asks for fewer reviews makes those suffice that are there,
    and nobody is asked for more.
    """
    for message in [m for m in hand.messages.values() if m.review_result is None]:
        votes = hand.votes().get(message.pk, [])
        message.review_result = hand.policy.review_rule(message).verdict(votes)
        if message.review_result is None:
            continue
        hand.changed.add(message.pk)
        record_decision(hand, message, votes)


def record_decision(hand: TreeInHand, message: Message, votes: Sequence[bool]) -> None:
    """Tell that a message was decided, and by which rule: a later policy is no reason to doubt it."""
    rule = hand.policy.review_rule(message)
    hand.record(
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


def due_step(hand: TreeInHand) -> Step | None:
    """The step that the facts ask for, and the reason for the history. `check_invariants` asks too, and takes none."""
    if hand.root.deleted and hand.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
        return State.HALTED_BY_MODERATOR, PROMPT_DELETED
    match hand.state:
        case State.INITIAL_PROMPT_REVIEW:
            return _after_prompt_review(hand)
        case State.GROWING:
            return _after_growing(hand)
        case State.RANKING if not demand.paused(hand) and not any(
            missing for _, missing in demand.missing_rankings(hand)
        ):
            return State.READY_FOR_SCORING, "Every set of replies has enough rankings."
        case State.READY_FOR_SCORING:
            return _after_scoring(hand)
    return None


def _after_prompt_review(hand: TreeInHand) -> Step | None:
    if hand.root.review_result is None:
        return None
    if hand.root.review_result:
        return State.PROMPT_LOTTERY_WAITING, "Reviewers accepted the prompt."
    return State.ABORTED_LOW_GRADE, "Reviewers rejected the prompt."


def _after_growing(hand: TreeInHand) -> Step | None:
    size = demand.size(hand)
    if size == 0:
        return State.HALTED_BY_MODERATOR, NOTHING_LEFT
    if demand.awaiting_review(hand) or demand.paused(hand):
        return None  # what is hidden may come back, with everything below it
    if size >= hand.tree.goal_tree_size:
        return State.RANKING, "The conversation has the wanted size and everything is reviewed."
    if not demand.reply_places(hand) and not demand.held_replies(hand):
        return State.RANKING, "Everything is reviewed and no reply can be added."
    return None


def _after_scoring(hand: TreeInHand) -> Step:
    try:
        with transaction.atomic():  # an error of the database must not take the rest of the transaction with it
            hand.changed |= reply_ranks.score(hand.tree, hand.messages)
    except Exception as error:
        # Whatever went wrong, the vote that led here must be kept; the clock tries again (trees.lifecycle.reranking).
        log.exception("scoring failed", extra={"tree": str(hand.tree.pk)})
        return State.SCORING_FAILED, f"The consensus could not be computed: {error!r}"[:500]
    return State.READY_FOR_EXPORT, "The replies are ranked."


def _enter(hand: TreeInHand, target: State, reason: str, actor: User | None) -> None:
    source = hand.state
    if not may_go(source, target):
        raise AssertionError(f"a tree can not go from {source} to {target}")
    if source != target:
        # Kept on the way in, so that resuming knows the way back.
        hand.tree.halted_from = source.value if target == State.HALTED_BY_MODERATOR else ""
        hand.tree.state = target.value
        hand.tree.state_since = hand.now
    hand.moves.append(
        TreeTransition(tree=hand.tree, from_state=source, to_state=target, reason=reason, actor=actor, at=hand.now)
    )
    hand.record(
        Happening.Kind.TREE_MOVED,
        message=hand.root,
        actor=actor,
        data={"from": source.value, "to": target.value},
    )


@dataclass
class Changes:
    """What has to become of the openings of a tree."""

    surplus: set[int] = field(default_factory=set)
    fresh: list[tuple[demand.Key, int]] = field(default_factory=list)  # with its priority, once for each place
    moved: dict[int, int] = field(default_factory=dict)  # opening → its new priority


def open_places(hand: TreeInHand) -> None:
    """Make the openings agree with what is wanted. A place that somebody holds stays while its work is of use.

    People take places without locking the tree, also between our reading and our writing. So what is to go is locked
    first, and decided again if it stands differently now.
    """
    locked: set[int] = set()
    changes = _compare(hand)
    while doubtful := changes.surplus - hand.used - locked:
        locked |= doubtful
        before = {one.pk: one.lease for one in hand.openings}
        # All in one go and in one order, those too whose priority changes: two who lock do not wait for each other.
        hand.lock_openings(doubtful | hand.used | changes.moved.keys())
        if before == {one.pk: one.lease for one in hand.openings}:
            break
        changes = _compare(hand)
    if changes.surplus or changes.fresh or changes.moved:
        _write_openings(hand, changes)


def _compare(hand: TreeInHand) -> Changes:
    offers = TABLE[hand.state].offers
    missing = demand.places(hand) if offers else {}
    changes, priorities = Changes(), _Priorities(hand)
    answerable, resting = demand.answerable(hand), demand.paused(hand)
    for opening in sorted(hand.openings, key=lambda o: not o.is_held(hand.now)):
        key = (opening.message_id, Work(opening.work))
        useless = key[1] in REPLY_WORK and key[0] not in answerable
        gone = hand.messages[opening.message_id].deleted or opening.message_id in resting
        alive = key[1] in offers and not gone and not useless
        if opening.pk in hand.used:
            changes.surplus.add(opening.pk)
        elif alive and (opening.is_held(hand.now) or missing.get(key, 0) > 0):
            missing[key] = missing.get(key, 0) - 1
            if opening.priority != priorities[key]:
                changes.moved[opening.pk] = priorities[key]
        else:
            changes.surplus.add(opening.pk)
    changes.fresh = [(key, priorities[key]) for key, count in missing.items() for _ in range(count)]
    return changes


class _Priorities(dict[demand.Key, int]):
    """Asked for once a message and kind of work, not once a place."""

    def __init__(self, hand: TreeInHand) -> None:
        self.hand = hand

    def __missing__(self, key: demand.Key) -> int:
        self[key] = demand.priority(self.hand, self.hand.messages[key[0]], key[1])
        return self[key]


def _write_openings(hand: TreeInHand, changes: Changes) -> None:
    """One statement for all of it."""
    prepared.run(
        """
        WITH locked AS MATERIALIZED (
            SELECT id FROM trees_opening WHERE id = ANY(%s) ORDER BY id FOR UPDATE
        ), gone AS (
            DELETE FROM trees_opening WHERE id IN (SELECT id FROM locked) AND id = ANY(%s)
        ), moved AS (
            UPDATE trees_opening SET priority = change.priority
            FROM unnest(%s::bigint[], %s::int[]) AS change(id, priority) JOIN locked USING (id)
            WHERE trees_opening.id = change.id
        )
        INSERT INTO trees_opening (tree_id, message_id, work, lang, priority, created_at)
        SELECT %s, place.message, place.work, %s, place.priority, %s
        FROM unnest(%s::uuid[], %s::text[], %s::int[]) AS place(message, work, priority)
        """,
        [
            sorted(changes.surplus | changes.moved.keys()),
            sorted(changes.surplus),
            list(changes.moved.keys()),
            list(changes.moved.values()),
            hand.tree.pk,
            hand.tree.lang,
            hand.now,
            [message_id for (message_id, _), _ in changes.fresh],
            [work.value for (_, work), _ in changes.fresh],
            [priority for _, priority in changes.fresh],
        ],
    )


def _write_messages(messages: list[Message]) -> None:
    """What `bulk_update` would do, in a fifth of its time: that was a fifth of taking an answer."""
    prepared.run(
        """
        UPDATE trees_message SET
            review_count = fresh.review_count, review_result = fresh.review_result,
            ranking_count = fresh.ranking_count, rank = fresh.rank, deleted = fresh.deleted
        FROM unnest(%s::uuid[], %s::int[], %s::bool[], %s::int[], %s::int[], %s::bool[])
            AS fresh(id, review_count, review_result, ranking_count, rank, deleted)
        WHERE trees_message.id = fresh.id
        """,
        [
            [message.pk for message in messages],
            [message.review_count for message in messages],
            [message.review_result for message in messages],
            [message.ranking_count for message in messages],
            [message.rank for message in messages],
            [message.deleted for message in messages],
        ],
    )


def _write_rest(hand: TreeInHand) -> None:
    if hand.changed:
        _write_messages([hand.messages[message_id] for message_id in sorted(hand.changed)])
    if any(move.from_state for move in hand.moves):
        prepared.update(hand.tree, ("state", "state_since", "won_prompt_lottery_at", "halted_from"))
    if hand.moves:
        prepared.insert(*hand.moves)
    publishing.tell(hand.happenings)
    hand.changed, hand.moves, hand.happenings = set(), [], []
