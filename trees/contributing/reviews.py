"""Judgments on messages: labels, rankings, skips.

Inner writers: the caller owns the transaction. Labels and rankings lock the tree row and end in `transitions.advance`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from trees import jobs
from trees.access import message_not_found, message_unavailable, visible_messages
from trees.contributing import reviewers
from trees.labels import LABELS, LANG_MISMATCH
from trees.lifecycle import consensus, demand, transitions
from trees.lifecycle.consensus import Skill, Vote
from trees.lifecycle.locked_tree import LockedTree, lock_tree, tree_stopped
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, Ranking, Review, Role, Skip
from trees.outbox import publishing

Labels = Mapping[str, float | None]


def requested_labels(message: Message, mode: str, policy: TreePolicy) -> tuple[str, ...]:
    """Return the labels that a review of this message asks for, in order, by the rules of its language."""
    rules = policy.in_language(message.lang)
    if message.parent_id is None:
        labels = rules.labels_initial_prompt
    elif message.role == Role.ASSISTANT:
        labels = rules.labels_assistant_reply
    else:
        labels = rules.labels_prompter_reply
    if mode == Review.Mode.FULL:
        return labels
    short = {*rules.mandatory_labels, LANG_MISMATCH} | ({"quality"} if message.parent_id else set())
    return tuple(name for name in labels if name in short)


def mandatory_labels(message: Message, policy: TreePolicy) -> tuple[str, ...]:
    """Return the labels without which no review of this message is stored."""
    return policy.in_language(message.lang).mandatory_labels


def record_labels(
    *,
    message: Message,
    author: User,
    labels: Labels,
    policy: TreePolicy,
    mode: str = Review.Mode.FULL,
    revision_id: UUID | None = None,
    lease: UUID | None = None,
) -> Review:
    """Store one user's review and advance the tree, which decides the message when possible.

    `revision_id` is the text that the user saw; the present one if omitted. Unanswered labels are null or absent. Raise
    Invalid (labels), NotAllowed (`own_message`), Conflict (`already_reviewed`, `text_changed`), Gone.
    """
    locked = lock_tree(message.tree_id, policy)
    message = locked.message(message.pk)
    _refuse_review(locked, message, author, labels, mode, revision_id)
    # Read votes before the insert, or this vote counts twice.
    votes = locked.votes().get(message.pk)
    skill = reviewers.known_skill(person=author, lang=message.lang) if locked.policy.weighted_reviews else None
    review = _insert_review(message, author, labels, mode, skill)
    locked.use_opening(message=message, work=demand.review_work(message), lease=lease)
    message.review_count += 1
    locked.changed_messages.add(message.pk)
    locked.record(
        Happening.Kind.MESSAGE_REVIEWED, message=message, actor=author, data={"review": str(review.pk), "mode": mode}
    )
    if votes is not None:
        votes.append(Vote(consensus.is_rejecting(labels), skill))
    transitions.advance(locked, actor=author)
    return review


def get_changeable(author: User, review_id: UUID) -> Review:
    """Return the user's own review with its message. Raise NotFound, Conflict as `change_labels`."""
    review = Review.by_author.filter(pk=review_id, author=author, kind__in=Review.BY_TASK)
    found = review.select_related("message").defer("message__search").first()
    if found is None:
        raise NotFound("You have no such review.", code="review_not_found")
    _refuse_change(found, found.message)
    return found


def change_labels(*, review_id: UUID, author: User, labels: Labels, policy: TreePolicy) -> Review:
    """Change one's own review while nothing is decided about the message, and advance the tree.

    Raise NotFound, NotAllowed, Invalid (labels), Conflict (`already_decided`, `text_changed`), Gone, Busy.
    """
    require_contributor(author)
    ratelimit.count_use(ratelimit.ANSWERS, author.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(author)
        locked = lock_tree(get_changeable(author, review_id).message.tree_id, policy)
        review = get_changeable(author, review_id)  # again: it may have been undone before the lock
        message = locked.message(review.message_id)
        _refuse_change(review, message)
        _check_labels(labels, message, review.mode, policy)
        if message.deleted:
            raise Gone("The message was deleted meanwhile.", code="message_deleted")
        demand.refuse_paused(locked, message)
        review.labels = dict(labels)
        review.save(update_fields=["labels"])
        locked.known_votes = None
        locked.record(Happening.Kind.REVIEW_CHANGED, message=message, actor=author, data={"review": str(review.pk)})
        transitions.advance(locked, actor=author)
        return review


def _refuse_change(review: Review, message: Message) -> None:
    if message.review_result is not None:
        raise Conflict("It is decided already, so your review stays as it is.", code="already_decided")
    if review.revision_id != message.revision_id:
        raise Conflict("The text was changed after your review.", code="text_changed")


def record_check(
    *,
    kind: Review.Kind,
    message: Message,
    author: User,
    labels: Labels,
    policy: TreePolicy,
    mode: str = Review.Mode.FULL,
    revision_id: UUID | None = None,
) -> Review:
    """Store a review that only says how its author reviews (`Review.CHECKS`). The tree stays as it is.

    It is refused for the same reasons as any review, in the same words. Only points follow from it, as from a review
    that came after the decision. Raise what `record_labels` raises.
    """
    locked = lock_tree(message.tree_id, policy)
    message = locked.message(message.pk)
    _refuse_review(locked, message, author, labels, mode, revision_id)
    if locked.state == State.HALTED_BY_MODERATOR:
        raise tree_stopped()
    review = _insert_review(message, author, labels, mode, None, kind)
    event = Happening(
        kind=Happening.Kind.MESSAGE_CHECKED,
        at=locked.now,
        tree_id=message.tree_id,
        message_id=message.pk,
        actor=author,
        data={"review": str(review.pk), "mode": mode},
    )
    publishing.publish([event])
    return review


def _refuse_review(
    locked: LockedTree, message: Message, author: User, labels: Labels, mode: str, revision_id: UUID | None
) -> None:
    """Raise the error for a review that cannot be stored; a missing opening is checked later."""
    _check_labels(labels, message, mode, locked.site_policy)
    if message.author_id == author.pk:
        raise NotAllowed("You cannot review your own message.", code="own_message")
    if _gave(locked, message, author):
        raise NotAllowed("You gave this answer, and know that a model wrote it.", code="own_message")
    if message.deleted:
        raise Gone("The message was deleted meanwhile.", code="message_deleted")
    demand.refuse_paused(locked, message)
    if revision_id is not None and revision_id != message.revision_id:
        raise Conflict("The text was changed while you read it; please look at it again.", code="text_changed")


def _gave(locked: LockedTree, message: Message, person: User) -> bool:
    """Return True for the answer of a model in a chat that this person gave."""
    return message.synthetic and locked.root.author_id == person.pk


def _insert_review(
    message: Message,
    author: User,
    labels: Labels,
    mode: str,
    skill: Skill | None,
    kind: Review.Kind = Review.Kind.REVIEW,
) -> Review:
    """Insert before the opening is used, so that a second review fails with `already_reviewed` in any case."""
    try:
        review = Review(
            message=message, revision_id=message.revision_id, author=author, labels=dict(labels), mode=mode, kind=kind
        )
        review.finds, review.spares = skill or (None, None)
        Review.objects.insert(review)
        return review
    except IntegrityError as error:
        raise Conflict("You already reviewed this message.", code="already_reviewed") from error


def _check_labels(labels: Labels, message: Message, mode: str, policy: TreePolicy) -> None:
    allowed = requested_labels(message, mode, policy)
    for name, value in labels.items():
        _check_label(name, value)
        if name not in allowed:
            raise Invalid(f"The label {name!r} is not allowed here.", code="label_not_asked", field=name)
    for name in mandatory_labels(message, policy):
        if labels.get(name) is None:
            raise Invalid("Please answer this question.", code="label_missing", field=name)


def _check_label(name: str, value: float | None) -> None:
    if name not in LABELS:
        raise Invalid(f"There is no label called {name!r}.", code="unknown_label", field=name)
    if value is not None and not 0 <= value <= 1:
        raise Invalid(f"The label {name!r} takes a number from 0 to 1.", code="label_range", field=name)


def record_free_labels(*, message_id: UUID, author: User, labels: Labels, is_report: bool = False) -> Review:
    """Store labels that no task asked for, also on one's own message. They replace the user's earlier ones, decide
    nothing. Locks the message. Raise NotAllowed, NotFound, Invalid (`unknown_label`, `label_range`).
    """
    require_contributor_now(author)
    for name, value in labels.items():
        _check_label(name, value)
    message = (
        Message.objects.select_for_update(of=("self",), no_key=True).only("revision").filter(pk=message_id).first()
    )
    if message is None:
        raise message_not_found()
    review, _ = Review.objects.update_or_create(
        message=message,
        author=author,
        kind=Review.Kind.REPORT if is_report else Review.Kind.FREE,
        defaults={"labels": dict(labels), "revision_id": message.revision_id},
    )
    return review


def get_labelable_for(user: User, message_id: UUID) -> Message:
    """Return a message that this user may label without being asked. Raise NotFound, NotAllowed `own_message`."""
    message = visible_messages(user, Message.objects.filter(pk=message_id)).defer("search", "text_digest").first()
    if message is None:
        raise message_unavailable()
    if message.author_id == user.pk:
        raise NotAllowed("This is yours. Others can label it.", code="own_message")
    return message


def find_free_labels(user: User, message_id: UUID) -> Labels:
    """Return the answers that this user gave before, without being asked."""
    review = Review.objects.filter(message=message_id, author=user, kind=Review.Kind.FREE).first()
    return review.labels if review else {}


def label_freely(*, message_id: UUID, user: User, labels: Labels, policy: TreePolicy) -> Review:
    """Store the answered ones of these labels, in place of the user's earlier ones. They decide nothing.

    One transaction. Raise what `get_labelable_for` and `record_free_labels` raise, Invalid (`nothing_answered`,
    `label_not_asked`), Busy `rate_limited`.
    """
    answered = {name: value for name, value in labels.items() if value is not None}
    if not answered:
        raise Invalid("Answer at least one question, or go back without sending.", code="nothing_answered")
    ratelimit.count_use(ratelimit.FREE_LABELS, user.pk)
    with transaction.atomic(durable=True):
        message = get_labelable_for(user, message_id)
        for name in answered:
            if name not in requested_labels(message, Review.Mode.FULL, policy):
                raise Invalid(f"The label {name!r} is not allowed here.", code="label_not_asked", field=name)
        return record_free_labels(message_id=message_id, author=user, labels=answered)


def record_ranking(
    *,
    parent: Message,
    author: User,
    ordered_ids: Sequence[UUID],
    policy: TreePolicy,
    revision_ids: Sequence[UUID] | None = None,
    not_rankable: bool = False,
    lease: UUID | None = None,
) -> Ranking:
    """Store one user's order of the replies to `parent`, best first, and advance the tree.

    `revision_ids` are the texts that the user saw, in the same order. Raise Invalid (`ranking_unknown`,
    `ranking_repeats`), NotAllowed (`own_reply`), Conflict (`already_ranked`, `text_changed`), Gone.
    """
    locked = lock_tree(parent.tree_id, policy)
    parent = locked.message(parent.pk)
    replies = _ranked_replies(locked, parent, ordered_ids)
    if any(reply.author_id == author.pk for reply in replies):
        raise NotAllowed("You cannot rank replies when one of them is yours.", code="own_reply")
    if any(_gave(locked, reply, author) for reply in replies):
        raise NotAllowed("You gave one of these, and know that a model wrote it.", code="own_reply")
    current = [reply.revision_id for reply in replies]
    if revision_ids is not None and list(revision_ids) != current:
        raise Conflict("A reply was changed while you read it; please look again.", code="text_changed")
    try:
        ranking = Ranking(
            parent=parent, author=author, ordered_ids=list(ordered_ids), revision_ids=current, not_rankable=not_rankable
        )
        Ranking.objects.insert(ranking)
    except IntegrityError as error:
        raise Conflict("You already ranked these replies.", code="already_ranked") from error
    locked.use_opening(message=parent, work=demand.ranking_work(parent), lease=lease)
    for reply in replies:
        reply.ranking_count += 1
        locked.changed_messages.add(reply.pk)
    data: dict[str, Any] = {"ranking": str(ranking.pk), "not_rankable": not_rankable}
    if ranks := {str(m.pk): m.rank for m in locked.messages.values() if m.rank is not None}:
        data["ranks_before"] = ranks  # to undo it exactly; a tree in ranking has ranks only if it was ranked before
    locked.record(Happening.Kind.REPLIES_RANKED, message=parent, actor=author, data=data)
    transitions.advance(locked, actor=author)
    return ranking


def _ranked_replies(locked: LockedTree, parent: Message, ordered_ids: Sequence[UUID]) -> list[Message]:
    if len(set(ordered_ids)) != len(ordered_ids):
        raise Invalid("Each reply has one place in the order; one is named twice.", code="ranking_repeats")
    if len(ordered_ids) < 2:
        raise Invalid("An order needs at least two replies.", code="ranking_incomplete")
    replies = [locked.messages.get(message_id) for message_id in ordered_ids]
    if any(reply is None or reply.parent_id != parent.pk for reply in replies):
        raise Invalid("The order names something that is no reply to this message.", code="ranking_unknown")
    siblings = [reply for reply in replies if reply is not None]
    if any(reply.deleted for reply in siblings):
        raise Gone("One of these replies was removed meanwhile.", code="reply_deleted")
    demand.refuse_paused(locked, parent, *siblings)
    return siblings


def record_skip(*, message: Message, author: User, kind: str, reason: str = "", note: str = "") -> None:
    """Record that this user does not want this work on this message. A repeat changes nothing.

    A void skip of an earlier text becomes one of the present text. That happens only through API clients: no task
    offers a user the same work again (`tasks.hot.SKIPPED`).
    """
    # Use `everything`: a skip that a purge set aside still spares the user the work.
    _, created = Skip.everything.get_or_create(
        message=message, author=author, kind=kind, defaults={"reason": reason, "note": note}
    )
    if created:
        data = {"kind": kind, "reason": reason}
        publishing.publish_about(message, Happening.Kind.WORK_SKIPPED, actor=author, data=data)
    if kind == Skip.Kind.REPLY and (created or _renew_skip(message, author, reason=reason, note=note)):
        enqueue(jobs.moderate_message, str(message.pk))


def _renew_skip(message: Message, author: User, **fields: str) -> bool:
    """Turn a void skip of an earlier text into one of the present text. Return True if there was one."""
    rows = Skip.objects.filter(message=message, author=author, kind=Skip.Kind.REPLY, voided_at__isnull=False)
    earlier = rows.filter(created_at__lt=F("message__revision__created_at"))
    first = Coalesce("first_at", "created_at")
    return bool(earlier.update(voided_at=None, first_at=first, created_at=timezone.now(), **fields))
