"""Undo an answer that was sent a moment ago, as if it had never been sent.

Inner writers: the caller owns the transaction. Each locks the tree row and ends in `transitions.advance`. They refuse
when somebody else has built on the answer: then only the usual ways are left (withdrawing a text, a moderator).
A text is withdrawn, since others may have read it; a judgment is deleted. Decisions 128 and 130.
"""

from collections.abc import Iterable
from uuid import UUID

from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError
from trees.access import message_unavailable
from trees.contributing import withdrawal_effects
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Ranking, Review, Snapshot
from trees.moderation import removal

Kind = Happening.Kind
REASON = "Its author took it back right after sending it."
WENT_BACK = "The answer that led here was taken back."
# The draw of a prompt by lot is no work of anybody, so it is undone too.
_DRAW = {"from": State.PROMPT_LOTTERY_WAITING.value, "to": State.GROWING.value}
_DECISIONS = (Kind.MESSAGE_ACCEPTED, Kind.MESSAGE_REJECTED)
# Others may do these without building on what was decided or written before.
_HARMLESS = (Kind.MESSAGE_REACTED, Kind.MESSAGE_CHECKED, Kind.WORK_SKIPPED, Kind.CHECK_UNDONE)


def undo_message(*, message_id: UUID, author: User, policy: TreePolicy) -> LockedTree:
    """Withdraw a message that nobody has read for a task, answered or judged. Raise NotFound, Conflict `built_on`."""
    locked, message = lock_message(message_id, policy)
    if message.author_id != author.pk or message.is_withheld:
        raise message_unavailable()
    events = Happening.objects.filter(message=message).exclude(kind=Kind.MESSAGE_POSTED)
    if events.exists() or any(one.parent_id == message.pk for one in locked.messages.values()):
        raise _built_on()
    _refuse_held(locked, author, [message.pk])
    deletion = removal.remove(locked, message, actor=author, reason=REASON)
    withdrawal_effects.record_deletion(locked, message, deletion, reason=REASON)
    transitions.advance(locked, actor=author)
    return locked


def undo_review(*, review: Review, policy: TreePolicy) -> LockedTree:
    """Delete a review. What it decided is open again, and the tree returns to the state that it had before.

    The first answer to a check is kept, out of its author's sight. Raise Conflict `built_on`.
    """
    locked, message = lock_message(review.message_id, policy)
    if review.kind in Review.CHECKS:
        _set_aside_check(review)
        locked.record(Kind.CHECK_UNDONE, message=message, actor=review.author)
        locked.save()
        return locked
    own, later = _split(locked, Kind.MESSAGE_REVIEWED, "review", review.pk)
    decided = any(event.kind in _DECISIONS and event.message_id == message.pk for event in own)
    if any(event.kind in _DECISIONS and event.message_id == message.pk for event in later):
        raise _built_on()
    if decided or _moved(own):
        _refuse_later(locked, later, review.author)
    _return_to_state_before(locked, own, review.author)
    review.delete()
    message.review_count -= 1
    if decided:
        message.review_result = None
        locked.record(Kind.MESSAGE_REOPENED, message=message)
    locked.changed_messages.add(message.pk)
    locked.known_votes = None
    locked.record(Kind.REVIEW_UNDONE, message=message, actor=review.author)
    transitions.advance(locked, actor=review.author)
    return locked


def _set_aside_check(review: Review) -> None:
    """Keep the first answer to a check for the estimate of its author, and delete a later one.

    Whoever took it back may have looked up meanwhile what became of the message.
    """
    first = Review.UNDONE[review.kind]
    if Review.with_undone.filter(kind=first, author=review.author_id, revision=review.revision_id).exists():
        review.delete()
    else:
        review.kind = first
        review.save(update_fields=["kind"])


def undo_ranking(*, ranking: Ranking, policy: TreePolicy) -> LockedTree:
    """Delete a ranking. A tree that it finished is in ranking again, with the ranks that it had before.

    Raise Conflict `built_on`.
    """
    locked, parent = lock_message(ranking.parent_id, policy)
    own, later = _split(locked, Kind.REPLIES_RANKED, "ranking", ranking.pk)
    if _moved(own):
        _refuse_later(locked, later, ranking.author)
        if Snapshot.objects.filter(created_at__gte=own[0].at).exists():
            raise _built_on()
        _restore_ranks(locked, own)
    _return_to_state_before(locked, own, ranking.author)
    ranking.delete()
    for message_id in ranking.ordered_ids:
        locked.messages[message_id].ranking_count -= 1
        locked.changed_messages.add(message_id)
    locked.record(Kind.RANKING_UNDONE, message=parent, actor=ranking.author)
    transitions.advance(locked, actor=ranking.author)
    return locked


def _split(
    locked: LockedTree, kind: Happening.Kind, name: str, answer_id: UUID
) -> tuple[list[Happening], list[Happening]]:
    """Return the events of the transaction that stored the answer, the answer itself first, and the later ones.

    All events of one transaction on a tree have the time at which it locked the tree; the answer is stored after that.
    """
    events = list(Happening.objects.filter(tree=locked.tree).order_by("pk"))
    answer = next(event for event in events if event.kind == kind and event.data.get(name) == str(answer_id))
    own = [event for event in events if event.at == answer.at and event.pk >= answer.pk]
    later = [event for event in events if event.at > answer.at]
    # No halt is undone: neither a moderator's, nor one by complaints, a ban or an API client.
    if any(event.kind == Kind.TREE_MOVED and event.data != _DRAW for event in later):
        raise _built_on()
    return own, later


def _moved(events: Iterable[Happening]) -> bool:
    return any(event.kind == Kind.TREE_MOVED for event in events)


def _refuse_later(locked: LockedTree, later: Iterable[Happening], author: User) -> None:
    """Raise Conflict if anybody went on from what the answer decided."""
    if any(event.kind not in _HARMLESS and event.kind != Kind.TREE_MOVED for event in later):
        raise _built_on()
    _refuse_held(locked, author, locked.messages)


def _refuse_held(locked: LockedTree, author: User, message_ids: Iterable[UUID]) -> None:
    """Raise Conflict if somebody else works on one of these messages now."""
    ids = set(message_ids)
    locked.lock_openings(opening.pk for opening in locked.openings if opening.message_id in ids)
    for opening in locked.openings:
        if opening.message_id in ids and opening.is_held(locked.now) and opening.holder_id != author.pk:
            raise _built_on()


def _return_to_state_before(locked: LockedTree, own: Iterable[Happening], author: User) -> None:
    """Return to the state before the answer, if it moved the tree."""
    moves = [event for event in own if event.kind == Kind.TREE_MOVED]
    if moves:
        before = State(moves[0].data["from"])
        transitions.return_to_state(locked, before, reason=WENT_BACK, actor=author)
        if before == State.INITIAL_PROMPT_REVIEW:
            locked.tree.won_prompt_lottery_at = None


def _restore_ranks(locked: LockedTree, own: Iterable[Happening]) -> None:
    ranks = next(event.data for event in own if event.kind == Kind.REPLIES_RANKED).get("ranks_before", {})
    for message in locked.messages.values():
        before = ranks.get(str(message.pk))
        if message.rank != before:
            message.rank = before
            locked.changed_messages.add(message.pk)


def _built_on() -> DomainError:
    return Conflict(
        "Somebody has gone on from your answer meanwhile, so it cannot be taken back.",
        code="built_on",
        hint="A text of yours can still be withdrawn on its page.",
    )
