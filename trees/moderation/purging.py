"""Purge one user from one tree, and undo it. `oasst.site.purging` decides who is purged, and when.

Works on a locked tree; both functions end in `transitions.advance`. The user's messages are deleted with everything
below. Their judgments on messages of others are set aside: rows and history stay, but every count and consensus leaves
them out, and undoing restores them.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from trees.lifecycle import consensus, demand, reply_ranks, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State
from trees.models import Deletion, Happening, Message, Purge, PurgeStep, Ranking, Reaction, Report, Review, Skip
from trees.moderation import proposals, removal

Fields = dict[UUID, dict[str, Any]]


def trees_of(person_id: UUID, *, limit: int | None = None) -> list[UUID]:
    """Return the trees with anything left of this user, which a purge still has to visit. One statement."""
    sources = (
        Message.objects.filter(author=person_id, deleted=False).order_by().values_list("tree_id"),
        Review.with_undone.filter(author=person_id).values_list("message__tree_id"),
        Ranking.objects.filter(author=person_id).values_list("parent__tree_id"),
        Reaction.objects.filter(author=person_id).values_list("message__tree_id"),
        Skip.objects.filter(author=person_id).values_list("message__tree_id"),
        Report.objects.filter(reporter=person_id).values_list("message__tree_id"),
    )
    rows = sources[0].union(*sources[1:])
    return [tree_id for (tree_id,) in (rows if limit is None else rows[:limit])]


def purge_tree(locked: LockedTree, purge: Purge) -> PurgeStep | None:
    """Remove everything of the purged user from this tree. Return the step stored for the undo, or None."""
    state, before = locked.state, _decisions(locked)
    counts = Counter(_set_judgments_aside(locked, purge))
    for message in sorted(locked.messages.values(), key=lambda m: (m.depth, m.pk)):
        if message.author_id == purge.person_id and not message.deleted:
            deletion = removal.remove(
                locked, message, actor=purge.actor, reason=f"Purge of the author: {purge.reason}"[:500], purge=purge
            )
            own_count = sum(locked.messages[pk].author_id == purge.person_id for pk in deletion.message_ids)
            counts += Counter(branches=1, messages=own_count, messages_of_others=len(deletion.message_ids) - own_count)
    if not counts.total():
        return None
    _record(locked, Happening.Kind.PERSON_PURGED, purge, purge.actor)
    transitions.advance(locked, actor=purge.actor)
    counts["trees"] = 1
    if locked.state != state:
        counts["trees_stopped" if locked.state == State.HALTED_BY_MODERATOR else "trees_moved"] = 1
    return PurgeStep.objects.create(
        purge=purge,
        tree=locked.tree,
        state_before=state,
        state_after=locked.state,
        changed=_difference(before, _decisions(locked)),
        counts=dict(+counts),
    )


def undo_step(locked: LockedTree, step: PurgeStep, purge: Purge, *, actor: Any, reason: str) -> None:
    """Undo one step. Changes by others since then stay, so the tree may not return exactly to its former state."""
    _restore_judgments(locked, purge)
    for deletion in Deletion.objects.filter(purge=purge, tree=locked.tree, undone_at=None).order_by("-id"):
        removal.restore(locked, deletion, actor=actor, reason=reason)
    to_decide = set()
    for key, fields in step.changed.items():
        message = locked.messages[UUID(key)]
        for field, (before, after) in fields.items():
            if getattr(message, field) == after:
                setattr(message, field, before)
                locked.changed_messages.add(message.pk)
            elif field == "review_result":
                to_decide.add(message.pk)
    _decide_again(locked, to_decide)
    if step.state_before == State.HALTED_BY_MODERATOR:  # the purge ended that halt; complaints may require it again
        proposals.halt_again(locked, where=frozenset({State(step.state_after)}))
    elif locked.state == step.state_after and not transitions.was_halted_on_purpose(locked):
        transitions.return_to_state(
            locked, State(step.state_before), reason=f"A purge was undone: {reason}"[:500], actor=actor
        )
    transitions.rescore(locked)
    _record(locked, Happening.Kind.PURGE_UNDONE, purge, actor)
    transitions.advance(locked, actor=actor)


def _record(locked: LockedTree, kind: Happening.Kind, purge: Purge, actor: Any) -> None:
    """Record the event in any case: scores may change even if the tree does not, as when a reaction is set aside."""
    locked.record(kind, actor=actor, subject_id=purge.person_id, data={"purge": str(purge.pk)})


def _decisions(locked: LockedTree) -> Fields:
    return {m.pk: {"review_result": m.review_result, "rank": m.rank} for m in locked.messages.values()}


def _difference(before: Fields, after: Fields) -> dict[str, dict[str, list[Any]]]:
    result: dict[str, dict[str, list[Any]]] = {}
    for key, fields in before.items():
        changed = {name: [value, after[key][name]] for name, value in fields.items() if after[key][name] != value}
        if changed:
            result[str(key)] = changed
    return result


def _set_judgments_aside(locked: LockedTree, purge: Purge) -> dict[str, int]:
    """Set judgments aside and return their counts; decisions and ranks are made again without them."""
    person, tree = purge.person_id, locked.tree
    reviews = list(Review.with_undone.filter(author=person, message__tree=tree))
    rankings = list(Ranking.objects.filter(author=person, parent__tree=tree))
    reactions = list(Reaction.objects.filter(author=person, message__tree=tree))
    for model, rows in ((Review, reviews), (Ranking, rankings), (Reaction, reactions)):
        if rows:
            model.everything.filter(pk__in=[row.pk for row in rows]).update(set_aside=purge)
    skips = Skip.objects.filter(author=person, message__tree=tree).update(set_aside=purge)
    reports = Report.objects.filter(reporter=person, message__tree=tree).update(set_aside=purge)
    _count(locked, reviews, rankings, reactions, by=-1)
    deciding = [review for review in reviews if review.kind == Review.Kind.REVIEW]
    _decide_again(
        locked, {r.message_id for r in deciding if r.revision_id == locked.messages[r.message_id].revision_id}
    )
    if rankings and locked.state == State.READY_FOR_EXPORT:
        transitions.rescore(locked)
        locked.changed_messages |= reply_ranks.reset_unranked(
            locked.messages, {ranking.parent_id for ranking in rankings}
        )
    return {
        "reviews": len(deciding),
        "labels": len(reviews) - len(deciding),
        "rankings": len(rankings),
        "reactions": len(reactions),
        "skips": skips,
        "reports": reports,
    }


def _restore_judgments(locked: LockedTree, purge: Purge) -> None:
    tree = locked.tree
    reviews = list(Review.everything.filter(set_aside=purge, message__tree=tree))
    rankings = list(Ranking.everything.filter(set_aside=purge, parent__tree=tree))
    reactions = list(Reaction.everything.filter(set_aside=purge, message__tree=tree))
    for model, rows in ((Review, reviews), (Ranking, rankings), (Reaction, reactions)):
        if rows:
            model.everything.filter(pk__in=[row.pk for row in rows]).update(set_aside=None)
    Skip.everything.filter(set_aside=purge, message__tree=tree).update(set_aside=None)
    Report.everything.filter(set_aside=purge, message__tree=tree).update(set_aside=None)
    _count(locked, reviews, rankings, reactions, by=1)
    locked.known_votes = None


def _count(
    locked: LockedTree,
    reviews: Iterable[Review],
    rankings: Iterable[Ranking],
    reactions: Iterable[Reaction],
    *,
    by: int,
) -> None:
    for review in reviews:
        if review.kind == Review.Kind.REVIEW:
            locked.messages[review.message_id].review_count += by
            locked.changed_messages.add(review.message_id)
    for ranking in rankings:
        for message_id in ranking.ordered_ids:
            locked.messages[message_id].ranking_count += by
            locked.changed_messages.add(message_id)
    _count_reactions(reactions, by)


def _count_reactions(reactions: Iterable[Reaction], by: int) -> None:
    """Update emoji counts under a lock on the message: users who react do not lock the tree."""
    changes: dict[UUID, Counter[str]] = {}
    for reaction in reactions:
        changes.setdefault(reaction.message_id, Counter())[reaction.emoji] += by
    rows = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=changes).order_by("pk")
    for message in rows.only("id", "emojis") if changes else ():
        counts = Counter(message.emojis)
        counts.update(changes[message.pk])
        message.emojis = dict(+counts)
        message.save(update_fields=["emojis"])


def _decide_again(locked: LockedTree, message_ids: set[UUID]) -> None:
    """Decide these messages from the present votes; if they no longer suffice, reopen or keep the decision.

    A message is reopened if the state of its tree still offers reviews.
    """
    locked.known_votes = None
    for message in Message.objects.filter(pk__in=message_ids).only("id", "imported") if message_ids else ():
        if message.given.get("review_result") is None:
            _decide_one(locked, locked.messages[message.pk])


def _decide_one(locked: LockedTree, message: Message) -> None:
    reviews = Review.objects.filter(revision=message.revision_id, kind=Review.Kind.REVIEW).order_by("created_at", "pk")
    votes = [consensus.vote_of(*columns) for columns in reviews.values_list("labels", "finds", "spares")]
    result = locked.policy.review_rule(message).decision(votes)
    if result == message.review_result or (result is None and not demand.can_be_reviewed(locked, message)):
        return
    message.review_result = result
    locked.changed_messages.add(message.pk)
    if result is None:
        locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
    else:
        transitions.record_decision(locked, message, votes)
