"""What purging a person means for one tree, and taking it back. Who is purged, and when, is decided in
`oasst.site.purging`.

Works on a locked tree; both functions end in `transitions.advance`. What the person wrote goes as deletions with
everything below. What the person said of others' messages is set aside: rows and history stay, every count and every
consensus is made without them, and undoing puts them back.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from trees.lifecycle import consensus, demand, reply_ranks, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Happening,
    Message,
    Purge,
    PurgeStep,
    Ranking,
    Reaction,
    Report,
    Review,
    Skip,
)
from trees.moderation import proposals, removal

Fields = dict[UUID, dict[str, Any]]


def trees_of(person_id: UUID, *, limit: int | None = None) -> list[UUID]:
    """The trees that hold anything of this person that stands: what a purge still has to visit. One statement."""
    found = (
        Message.objects.filter(author=person_id, deleted=False).order_by().values_list("tree_id"),
        Review.objects.filter(author=person_id).values_list("message__tree_id"),
        Ranking.objects.filter(author=person_id).values_list("parent__tree_id"),
        Reaction.objects.filter(author=person_id).values_list("message__tree_id"),
        Skip.objects.filter(author=person_id).values_list("message__tree_id"),
        Report.objects.filter(reporter=person_id).values_list("message__tree_id"),
    )
    rows = found[0].union(*found[1:])
    return [tree_id for (tree_id,) in (rows if limit is None else rows[:limit])]


def take_out(locked: LockedTree, purge: Purge) -> PurgeStep | None:
    """Take everything of the purged person out of this tree. Returns what was done, stored for the undo; None if there
    was nothing.
    """
    state, before = locked.state, _decisions(locked)
    counts = Counter(_set_judgements_aside(locked, purge))
    for message in sorted(locked.messages.values(), key=lambda m: (m.depth, m.pk)):
        if message.author_id == purge.person_id and not message.deleted:
            gone = removal.remove(
                locked, message, actor=purge.actor, reason=f"Purge of the author: {purge.reason}"[:500], purge=purge
            )
            own = sum(locked.messages[one].author_id == purge.person_id for one in gone.message_ids)
            counts += Counter(branches=1, messages=own, messages_of_others=len(gone.message_ids) - own)
    if not counts.total():
        return None
    _tell(locked, Happening.Kind.PERSON_PURGED, purge, purge.actor)
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


def put_back(locked: LockedTree, step: PurgeStep, purge: Purge, *, actor: Any, reason: str) -> None:
    """Undo one step. What other people did in this tree since then stays, and may keep it from being as it was."""
    _restore_judgements(locked, purge)
    for deletion in Deletion.objects.filter(purge=purge, tree=locked.tree, undone_at=None).order_by("-id"):
        removal.bring_back(locked, deletion, actor=actor, reason=reason)
    redecided = set()
    for key, fields in step.changed.items():
        message = locked.messages[UUID(key)]
        for field, (before, after) in fields.items():
            if getattr(message, field) == after:
                setattr(message, field, before)
                locked.changed_messages.add(message.pk)
            elif field == "review_result":
                redecided.add(message.pk)
    _decide_again(locked, redecided)
    if step.state_before == State.HALTED_BY_MODERATOR:  # which the purge had ended: complaints about what came back
        proposals.stop_again(locked, where=frozenset({State(step.state_after)}))
    elif locked.state == step.state_after and not transitions.was_halted_on_purpose(locked):
        transitions.put_back(
            locked, State(step.state_before), reason=f"A purge was undone: {reason}"[:500], actor=actor
        )
    transitions.rescore(locked)
    _tell(locked, Happening.Kind.PURGE_UNDONE, purge, actor)
    transitions.advance(locked, actor=actor)


def _tell(locked: LockedTree, kind: Happening.Kind, purge: Purge, actor: Any) -> None:
    """Also where nothing else changed, the scores did: of reactions that were set aside, for example."""
    locked.record(kind, actor=actor, subject_id=purge.person_id, data={"purge": str(purge.pk)})


def _decisions(locked: LockedTree) -> Fields:
    return {m.pk: {"review_result": m.review_result, "rank": m.rank} for m in locked.messages.values()}


def _difference(before: Fields, after: Fields) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = {}
    for key, fields in before.items():
        changed = {name: [value, after[key][name]] for name, value in fields.items() if after[key][name] != value}
        if changed:
            found[str(key)] = changed
    return found


def _set_judgements_aside(locked: LockedTree, purge: Purge) -> dict[str, int]:
    """Counts follow; decisions and ranks are made again without them."""
    person, tree = purge.person_id, locked.tree
    reviews = list(Review.objects.filter(author=person, message__tree=tree))
    rankings = list(Ranking.objects.filter(author=person, parent__tree=tree))
    reactions = list(Reaction.objects.filter(author=person, message__tree=tree))
    for model, rows in ((Review, reviews), (Ranking, rankings), (Reaction, reactions)):
        if rows:
            model.objects.filter(pk__in=[row.pk for row in rows]).update(set_aside=purge)
    skips = Skip.objects.filter(author=person, message__tree=tree).update(set_aside=purge)
    reports = Report.objects.filter(reporter=person, message__tree=tree).update(set_aside=purge)
    _count(locked, reviews, rankings, reactions, by=-1)
    deciding = [review for review in reviews if review.kind == Review.Kind.REVIEW]
    _decide_again(
        locked, {r.message_id for r in deciding if r.revision_id == locked.messages[r.message_id].revision_id}
    )
    if rankings and locked.state == State.READY_FOR_EXPORT:
        transitions.rescore(locked)
        locked.changed_messages |= reply_ranks.unrank(locked.messages, {ranking.parent_id for ranking in rankings})
    return {
        "reviews": len(deciding),
        "labels": len(reviews) - len(deciding),
        "rankings": len(rankings),
        "reactions": len(reactions),
        "skips": skips,
        "reports": reports,
    }


def _restore_judgements(locked: LockedTree, purge: Purge) -> None:
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
    """Whoever reacts locks the message and not its tree, so the counts are read anew under that lock."""
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
    """Decide these messages from the votes that stand now. Where they do not suffice, reviewers are asked again if the
    state of the tree still does that; otherwise what was decided stays.
    """
    locked.known_votes = None
    for message in Message.objects.filter(pk__in=message_ids).only("id", "imported") if message_ids else ():
        if message.given.get("review_result") is None:
            _decide_one(locked, locked.messages[message.pk])


def _decide_one(locked: LockedTree, message: Message) -> None:
    given = Review.objects.filter(revision=message.revision_id, kind=Review.Kind.REVIEW).order_by("created_at", "pk")
    votes = [consensus.rejects(labels) for labels in given.values_list("labels", flat=True)]
    result = locked.policy.review_rule(message).decision(votes)
    if result == message.review_result or (result is None and not demand.can_be_reviewed(locked, message)):
        return
    message.review_result = result
    locked.changed_messages.add(message.pk)
    if result is None:
        locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
    else:
        transitions.record_decision(locked, message, votes)
