"""The openings that a tree wants, computed from a locked tree without the database.

Nothing is cached, so nothing goes stale: `transitions.advance` computes it again after every event.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from oasst.core.errors import Gone
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import REPLY_WORK, REVIEW_WORK, TABLE, State, Work
from trees.models import Message, Role

OpeningKey = tuple[UUID, Work]


def accepted_messages(locked: LockedTree) -> Iterator[Message]:
    """Yield the messages that are part of the conversation: accepted, and not taken out."""
    return (m for m in reachable_messages(locked) if m.review_result and not m.is_out)


def reachable_messages(locked: LockedTree) -> list[Message]:
    """Return the messages none above which was taken out or rejected. Only these can be part of the conversation."""
    by_depth = sorted(locked.messages.values(), key=lambda m: m.depth)
    intact: set[UUID | None] = {None}
    result = []
    for message in by_depth:
        if message.parent_id in intact:
            result.append(message)
            if not message.is_out and message.review_result is not False:
                intact.add(message.pk)
    return result


def find_paused(locked: LockedTree) -> set[UUID]:
    """Return the ids of hidden messages and everything below them. They get no work."""
    return _with_replies(locked, {m.pk for m in locked.messages.values() if m.hidden and not m.deleted})


def find_waiting(locked: LockedTree) -> set[UUID]:
    """Return the ids of messages that are hidden until a moderator has decided, and of everything below them.

    They still count: no reply is asked for to replace them, and the tree does not go on to its next state.
    """
    return _with_replies(locked, {m.pk for m in locked.messages.values() if m.hidden and not m.is_out})


def _with_replies(locked: LockedTree, result: set[UUID]) -> set[UUID]:
    if result:
        for message in sorted(locked.messages.values(), key=lambda m: m.depth):
            if message.parent_id in result:
                result.add(message.pk)
    return result


def refuse_paused(locked: LockedTree, *messages: Message) -> None:
    """Raise Gone `message_hidden` if one of the messages waits for a moderator's decision."""
    paused_ids = find_paused(locked)
    if any(message.pk in paused_ids for message in messages):
        raise Gone(
            "Something here waits for a moderator: people complained about it, or its author withdrew it.",
            code="message_hidden",
            hint="What you wrote is kept as a draft.",
        )


def subtree(messages: Iterable[Message], message: Message) -> list[Message]:
    """Return the message and everything under it, top down. `messages` are those of its tree."""
    result, ids = [message], {message.pk}
    for reply in sorted(messages, key=lambda m: m.depth):
        if reply.parent_id in ids:
            ids.add(reply.pk)
            result.append(reply)
    return result


def can_be_reviewed(locked: LockedTree, message: Message) -> bool:
    """Return True if the state of the tree still offers reviews of this message."""
    return review_work(message) in TABLE[locked.state].offers


def accepted_count(locked: LockedTree) -> int:
    return sum(1 for _ in accepted_messages(locked))


def awaiting_review(locked: LockedTree) -> list[Message]:
    return [m for m in reachable_messages(locked) if m.review_result is None and not m.is_out]


def find_answerable(locked: LockedTree) -> set[UUID]:
    """Return the ids of messages below which a reply can still become part of the conversation."""
    open_ids = {m.pk for m in reachable_messages(locked) if not m.is_out and m.review_result is not False}
    return open_ids - find_paused(locked)


def count_held_replies(locked: LockedTree) -> Counter[UUID]:
    """Count by message id the users who are writing a reply to it now, if that reply can still be used."""
    answerable_ids = find_answerable(locked)
    return Counter(
        o.message_id
        for o in locked.openings
        if o.work in REPLY_WORK
        and o.pk not in locked.used_openings
        and o.is_held(locked.now)
        and o.message_id in answerable_ids
    )


def count_replies(locked: LockedTree) -> Counter[UUID]:
    """Count by message id the replies that were not taken out, and are accepted or still in review.

    A parent whose replies were all rejected counts 0 and can be answered again.
    """
    return Counter(
        m.parent_id
        for m in locked.messages.values()
        if m.parent_id is not None and not m.is_out and m.review_result is not False
    )


def review_work(message: Message) -> Work:
    if message.parent_id is None:
        return Work.LABEL_INITIAL_PROMPT
    return Work.LABEL_ASSISTANT_REPLY if message.role == Role.ASSISTANT else Work.LABEL_PROMPTER_REPLY


def reply_work(parent: Message) -> Work:
    return Work.ASSISTANT_REPLY if parent.role == Role.PROMPTER else Work.PROMPTER_REPLY


def ranking_work(parent: Message) -> Work:
    return Work.RANK_ASSISTANT_REPLIES if parent.role == Role.PROMPTER else Work.RANK_PROMPTER_REPLIES


def rankable_replies(locked: LockedTree) -> dict[UUID, list[Message]]:
    """Return the accepted replies by parent id, for parents with at least two of them."""
    groups: dict[UUID, list[Message]] = {}
    for message in accepted_messages(locked):
        if message.parent_id is None:
            continue
        if message.role == Role.ASSISTANT or locked.policy.rank_prompter_replies:
            groups.setdefault(message.parent_id, []).append(message)
    return {parent_id: children for parent_id, children in groups.items() if len(children) > 1}


def missing_rankings(locked: LockedTree) -> list[tuple[UUID, int]]:
    """Return (parent id, rankings that it still needs). A late reply needs its own full number of rankings."""
    needed = locked.policy.num_required_rankings
    return [
        (parent_id, max(0, needed - min(child.ranking_count for child in children)))
        for parent_id, children in rankable_replies(locked).items()
    ]


def openings_wanted(locked: LockedTree) -> dict[OpeningKey, int]:
    """Return how many openings each message has for each kind of work: everything that people could do now."""
    if locked.state == State.INITIAL_PROMPT_REVIEW:
        return _review_openings_wanted(locked)
    if locked.state == State.GROWING:
        return {**_review_openings_wanted(locked), **reply_openings_wanted(locked)}
    if locked.state == State.RANKING:
        paused_ids = find_paused(locked)
        # Rankers need all replies.
        paused_ids |= {locked.messages[pk].parent_id or pk for pk in find_waiting(locked)}
        return {
            (parent_id, ranking_work(locked.messages[parent_id])): missing
            for parent_id, missing in missing_rankings(locked)
            if missing and parent_id not in paused_ids
        }
    return {}


def priority(locked: LockedTree, message: Message, work: Work) -> int:
    """Return the priority of an opening among those of the same work: a few classes, the oldest opening first in each.

    First comes what unlocks most (a review that settles a split vote, a reply beside a lonely one), then the trees that
    are nearly done. It does not depend on who holds what, so it stays valid while holds expire. Decision 0020.
    """
    if work in REVIEW_WORK:
        return 10 * _urgency_of_review(locked, message) + _quarters(accepted_count(locked), locked.tree.goal_tree_size)
    if work in REPLY_WORK:
        replies = count_replies(locked)[message.pk]
        lonely = message.role == Role.PROMPTER and 0 < replies < locked.policy.lonely_children_count
        return 10 * lonely + _quarters(accepted_count(locked), locked.tree.goal_tree_size)
    missing = dict(missing_rankings(locked))
    needed = locked.policy.num_required_rankings
    ranked = max(0, needed - missing.get(message.pk, 0))
    return 10 * _quarters(needed * len(missing) - sum(missing.values()), needed * len(missing)) + min(9, ranked)


def _quarters(done: int, total: int) -> int:
    return min(4, 4 * done // max(1, total))


def _urgency_of_review(locked: LockedTree, message: Message) -> int:
    """Return 2 for a split vote, 1 if one more review decides, else 0."""
    votes = locked.votes().get(message.pk, []) if message.review_result is None else []
    if len({vote.rejects for vote in votes}) > 1:
        return 2
    return int(bool(votes) and locked.policy.review_rule(message).votes_needed(votes) == 1)


def _review_openings_wanted(locked: LockedTree) -> dict[OpeningKey, int]:
    """Return as many openings as could settle a message at the soonest; a split vote opens the next one."""
    wanted: dict[OpeningKey, int] = {}
    paused_ids = find_paused(locked)
    for message in awaiting_review(locked):
        if review_work(message) not in TABLE[locked.state].offers:
            continue  # an imported file may hold replies below a prompt in review
        if message.pk in paused_ids:
            continue
        votes = locked.votes().get(message.pk, [])
        wanted[message.pk, review_work(message)] = locked.policy.review_rule(message).votes_needed(votes)
    return wanted


def reply_limit(locked: LockedTree, parent: Message) -> int:
    """Return how many replies `parent` may have."""
    return locked.tree.max_children_count if parent.role == Role.PROMPTER else locked.policy.num_prompter_replies


def sizes_at_least(locked: LockedTree, *, goal: int, children: int) -> tuple[int, int]:
    """Return the goal and the limit of children, raised to what is there, in review or being written."""
    counted, held = count_replies(locked), count_held_replies(locked)
    answered = [m for m in locked.messages.values() if m.role == Role.PROMPTER]
    return (
        max(goal, accepted_count(locked) + len(awaiting_review(locked)) + held.total()),
        max([children, *(counted[m.pk] + held[m.pk] for m in answered)]),
    )


def depth_at_least(locked: LockedTree, depth: int, *, since: datetime | None = None) -> int:
    """Return this depth, raised to that of the messages which are there and being written; with `since` only to that of
    messages written later.
    """
    there = (m.depth for m in locked.messages.values() if since is None or m.created_at > since)
    writing = (locked.messages[parent_id].depth + 1 for parent_id in count_held_replies(locked))
    return max([depth, *there, *writing])


def reply_openings_wanted(locked: LockedTree) -> dict[OpeningKey, int]:
    """Return the openings for replies, held ones included.

    Never more than the conversation still needs, counting what is in review and being written. A prompt with a lonely
    answer comes first, since one answer cannot be ranked; then the parent with the fewest replies.
    """
    children, held = count_replies(locked), count_held_replies(locked)
    taken = Counter(children) + held
    needed = locked.tree.goal_tree_size - accepted_count(locked) - len(awaiting_review(locked)) - held.total()
    paused_ids = find_paused(locked)
    parents = [m for m in accepted_messages(locked) if m.depth < locked.tree.max_depth and m.pk not in paused_ids]
    chosen: Counter[UUID] = Counter()

    def urgency(parent: Message) -> tuple[bool, int, int, UUID]:
        count = taken[parent.pk] + chosen[parent.pk]
        lonely = parent.role == Role.PROMPTER and 0 < count < locked.policy.lonely_children_count
        return not lonely, count, parent.depth, parent.pk

    for _ in range(max(0, needed)):
        candidates = [p for p in parents if taken[p.pk] + chosen[p.pk] < reply_limit(locked, p)]
        if not candidates:
            break
        chosen[min(candidates, key=urgency).pk] += 1

    wanted = {}
    for parent in reachable_messages(locked):
        count = chosen[parent.pk] + held[parent.pk]
        if count:
            wanted[parent.pk, reply_work(parent)] = count
    return wanted
