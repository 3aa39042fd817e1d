"""What work a tree wants, from its facts: pure reading of a locked tree, no database.

Nothing here is kept anywhere, so it can not go stale: `transitions.advance` asks again after every event.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from uuid import UUID

from oasst.core.errors import Gone
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import REPLY_WORK, REVIEW_WORK, TABLE, State, Work
from trees.models import Message, Role

Key = tuple[UUID, Work]


def standing(locked: LockedTree) -> Iterator[Message]:
    """Messages that are part of the conversation: accepted and not deleted."""
    return (m for m in connected(locked) if m.review_result and not m.deleted)


def connected(locked: LockedTree) -> list[Message]:
    """Messages above which nothing is deleted or rejected. The others can not be part of the conversation any more."""
    by_depth = sorted(locked.messages.values(), key=lambda m: m.depth)
    whole: set[UUID | None] = {None}
    found = []
    for message in by_depth:
        if message.parent_id in whole:
            found.append(message)
            if not message.deleted and message.review_result is not False:
                whole.add(message.pk)
    return found


def paused(locked: LockedTree) -> set[UUID]:
    """Messages about which nobody is asked for anything until a moderator has decided: what is hidden, and all below.

    They keep their places: nothing is written instead of them, and the tree does not go on to its next state.
    """
    found = {m.pk for m in locked.messages.values() if m.hidden and not m.deleted}
    if found:
        for message in sorted(locked.messages.values(), key=lambda m: m.depth):
            if message.parent_id in found:
                found.add(message.pk)
    return found


def refuse_paused(locked: LockedTree, *messages: Message) -> None:
    """Raises Gone `message_hidden`: what waits for a moderator takes nothing until then."""
    resting = paused(locked)
    if any(message.pk in resting for message in messages):
        raise Gone(
            "Something here waits for a moderator: people complained about it, or its author withdrew it.",
            code="message_hidden",
            hint="What you wrote is kept as a draft.",
        )


def below(messages: Iterable[Message], message: Message) -> list[Message]:
    """The message and everything under it, from the top down. `messages` are those of its tree."""
    found, ids = [message], {message.pk}
    for one in sorted(messages, key=lambda m: m.depth):
        if one.parent_id in ids:
            ids.add(one.pk)
            found.append(one)
    return found


def can_be_reviewed(locked: LockedTree, message: Message) -> bool:
    """Does the state of the tree still hand out reviews of this message?"""
    return review_work(message) in TABLE[locked.state].offers


def size(locked: LockedTree) -> int:
    return sum(1 for _ in standing(locked))


def awaiting_review(locked: LockedTree) -> list[Message]:
    return [m for m in connected(locked) if m.review_result is None and not m.deleted]


def answerable(locked: LockedTree) -> set[UUID]:
    """Messages below which a reply can still become part of the conversation."""
    open_ones = {m.pk for m in connected(locked) if not m.deleted and m.review_result is not False}
    return open_ones - paused(locked)


def held_replies(locked: LockedTree) -> Counter[UUID]:
    """Message id → people who are writing a reply to it right now. What nobody can use does not count."""
    useful = answerable(locked)
    return Counter(
        o.message_id
        for o in locked.openings
        if o.work in REPLY_WORK
        and o.pk not in locked.used_openings
        and o.is_held(locked.now)
        and o.message_id in useful
    )


def counted_children(locked: LockedTree) -> Counter[UUID]:
    """Message id → replies that fill a place: not deleted, and accepted or still in review.

    A parent whose replies were all rejected counts 0 and can be answered again.
    """
    return Counter(
        m.parent_id
        for m in locked.messages.values()
        if m.parent_id is not None and not m.deleted and m.review_result is not False
    )


def review_work(message: Message) -> Work:
    if message.parent_id is None:
        return Work.LABEL_INITIAL_PROMPT
    return Work.LABEL_ASSISTANT_REPLY if message.role == Role.ASSISTANT else Work.LABEL_PROMPTER_REPLY


def reply_work(parent: Message) -> Work:
    return Work.ASSISTANT_REPLY if parent.role == Role.PROMPTER else Work.PROMPTER_REPLY


def ranking_work(parent: Message) -> Work:
    return Work.RANK_ASSISTANT_REPLIES if parent.role == Role.PROMPTER else Work.RANK_PROMPTER_REPLIES


def rankable_children(locked: LockedTree) -> dict[UUID, list[Message]]:
    """Parent id → its standing replies, for parents with at least two of them."""
    groups: dict[UUID, list[Message]] = {}
    for message in standing(locked):
        if message.parent_id is None:
            continue
        if message.role == Role.ASSISTANT or locked.policy.rank_prompter_replies:
            groups.setdefault(message.parent_id, []).append(message)
    return {parent_id: children for parent_id, children in groups.items() if len(children) > 1}


def missing_rankings(locked: LockedTree) -> list[tuple[UUID, int]]:
    """(parent id, rankings that it still needs). A reply that came late needs its own full number."""
    needed = locked.policy.num_required_rankings
    return [
        (parent_id, max(0, needed - min(child.ranking_count for child in children)))
        for parent_id, children in rankable_children(locked).items()
    ]


def places(locked: LockedTree) -> dict[Key, int]:
    """How many places each message has for each kind of work: everything that people could do right now."""
    if locked.state == State.INITIAL_PROMPT_REVIEW:
        return _review_places(locked)
    if locked.state == State.GROWING:
        return {**_review_places(locked), **reply_places(locked)}
    if locked.state == State.RANKING:
        resting = paused(locked)
        resting |= {locked.messages[one].parent_id or one for one in resting}  # nobody orders some of the replies
        return {
            (parent_id, ranking_work(locked.messages[parent_id])): missing
            for parent_id, missing in missing_rankings(locked)
            if missing and parent_id not in resting
        }
    return {}


def priority(locked: LockedTree, message: Message, work: Work) -> int:
    """How soon a place is handed out among those of the same work: a few classes, in which the oldest place goes first.

    First what unlocks most (a review that settles a split vote, a reply beside a lonely one), then what belongs to the
    trees that are nearly done. From the facts alone and not from who holds what, so that it stays true while holds run
    out. Decision 0020.
    """
    if work in REVIEW_WORK:
        return 10 * _urgency_of_review(locked, message) + _quarters(size(locked), locked.tree.goal_tree_size)
    if work in REPLY_WORK:
        replies = counted_children(locked)[message.pk]
        lonely = message.role == Role.PROMPTER and 0 < replies < locked.policy.lonely_children_count
        return 10 * lonely + _quarters(size(locked), locked.tree.goal_tree_size)
    missing = dict(missing_rankings(locked))
    needed = locked.policy.num_required_rankings
    given = max(0, needed - missing.get(message.pk, 0))
    return 10 * _quarters(needed * len(missing) - sum(missing.values()), needed * len(missing)) + min(9, given)


def _quarters(done: int, whole: int) -> int:
    return min(4, 4 * done // max(1, whole))


def _urgency_of_review(locked: LockedTree, message: Message) -> int:
    """2 for a split vote, 1 where one more review decides, else 0."""
    votes = locked.votes().get(message.pk, []) if message.review_result is None else []
    if len(set(votes)) > 1:
        return 2
    return int(bool(votes) and locked.policy.review_rule(message).votes_needed(votes) == 1)


def _review_places(locked: LockedTree) -> dict[Key, int]:
    """As many places as could settle it at the soonest; a split vote opens the next one."""
    found: dict[Key, int] = {}
    resting = paused(locked)
    for message in awaiting_review(locked):
        if review_work(message) not in TABLE[locked.state].offers:
            continue  # a file may hold replies below a prompt in review
        if message.pk in resting:
            continue
        votes = locked.votes().get(message.pk, [])
        found[message.pk, review_work(message)] = locked.policy.review_rule(message).votes_needed(votes)
    return found


def reply_limit(locked: LockedTree, parent: Message) -> int:
    """How many replies `parent` may have."""
    return locked.tree.max_children_count if parent.role == Role.PROMPTER else locked.policy.num_prompter_replies


def at_least(locked: LockedTree, *, goal: int, children: int) -> tuple[int, int]:
    """These numbers of messages and of replies to one prompt, raised to what is there, in review or being written."""
    counted, held = counted_children(locked), held_replies(locked)
    answered = [m for m in locked.messages.values() if m.role == Role.PROMPTER]
    return (
        max(goal, size(locked) + len(awaiting_review(locked)) + held.total()),
        max([children, *(counted[m.pk] + held[m.pk] for m in answered)]),
    )


def reply_places(locked: LockedTree) -> dict[Key, int]:
    """Where replies are wanted, the held places included.

    Never more than the conversation still needs, counting what is in review and being written. A prompt with a lonely
    answer comes first, since one answer alone can not be ranked; then whoever has fewest.
    """
    children, held = counted_children(locked), held_replies(locked)
    taken = Counter(children) + held
    room = locked.tree.goal_tree_size - size(locked) - len(awaiting_review(locked)) - held.total()
    resting = paused(locked)
    parents = [m for m in standing(locked) if m.depth < locked.tree.max_depth and m.pk not in resting]
    chosen: Counter[UUID] = Counter()

    def urgency(parent: Message) -> tuple[bool, int, int, UUID]:
        count = taken[parent.pk] + chosen[parent.pk]
        lonely = parent.role == Role.PROMPTER and 0 < count < locked.policy.lonely_children_count
        return not lonely, count, parent.depth, parent.pk

    for _ in range(max(0, room)):
        able = [p for p in parents if taken[p.pk] + chosen[p.pk] < reply_limit(locked, p)]
        if not able:
            break
        chosen[min(able, key=urgency).pk] += 1

    found = {}
    for parent in connected(locked):
        count = chosen[parent.pk] + held[parent.pk]
        if count:
            found[parent.pk, reply_work(parent)] = count
    return found
