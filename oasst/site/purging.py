"""Purge a user: hide everything they contributed and take it out of the counts. It can be undone for 30 days.

A purge touches users, trees and tasks, so it is here above the apps. `start_purge` and `undo_purge` record the decision
and commit. `continue_purge` does the work tree by tree, each in a transaction of its own that ends in `advance`. It
finds the remaining work by query, so a killed run can be repeated and two runs share the work. Lock order: the purge, a
tree, its messages.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from uuid import UUID

from celery import shared_task
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from inference.chats.cleanup import erase_chats
from oasst.accounts import account_bans, locks, roles
from oasst.accounts.access import require_moderator
from oasst.accounts.models import Appeal, Ban, User
from oasst.core.after_commit import enqueue
from oasst.core.audit.erasing import erase_words_about
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Gone, NotFound
from oasst.core.jobs import ROUND_SECONDS, run_for_each, timed_rounds
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_reason
from oasst.site import acts
from oasst.site.forgetting import forget_words_about
from oasst.site.models import Notice
from tasks.models import Draft, Task
from tasks.upkeep import advance_tree, free_openings
from trees.contributing.posting import hash_text
from trees.enrichment import about_texts
from trees.jobs import follow_standing
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, MessageReading, Purge, PurgeStep, Reaction, Report, Revision, Skip, Withdrawal
from trees.moderation import purging
from trees.policies.reading import current_policy

TREES_PER_BATCH = 50
Stage = Purge.Stage
COUNTS = (
    ("messages", "Messages of theirs that go"),
    ("messages_of_others", "Messages of others that go with them"),
    ("branches", "Branches that they stand in"),
    ("reviews", "Reviews set aside"),
    ("rankings", "Rankings set aside"),
    ("reactions", "Reactions set aside"),
    ("reports", "Reports set aside"),
    ("labels", "Free labels set aside"),
    ("skips", "Skips set aside"),
    ("trees", "Conversations touched"),
    ("trees_stopped", "Conversations that stop"),
    ("trees_moved", "Conversations that move to another state"),
    ("unseen", "Conversations more, for which there was no time here"),
)


def labeled_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (label, number) pairs of what a purge removes, for pages and the terminal."""
    return [(label, counts.get(name, 0)) for name, label in COUNTS if name != "unseen" or counts.get(name)]


def preview_purge(*, user: User, actor: User, policy: TreePolicy, seconds: float = math.inf) -> Counter[str]:
    """Count what a purge of this user would do, by doing it and rolling back each tree. When `seconds` have passed,
    `unseen` is the number of trees that are left out.

    Raise NotAllowed as a ban does.
    """
    roles.require_higher_rank(actor, user)
    unsaved = Purge(person=user, actor=actor, reason="Preview")
    counts: Counter[str] = Counter()
    tree_ids = purging.trees_of(user.pk)
    counts["unseen"] = len(tree_ids)
    for tree_id, _ in zip(tree_ids, timed_rounds(seconds), strict=False):
        with transaction.atomic(durable=True):
            step = purging.purge_tree(lock_tree(tree_id, policy), unsaved)
            counts.update(step.counts if step else {})
            transaction.set_rollback(True)
        counts["unseen"] -= 1
    return +counts


def start_purge(*, user: User, actor: User, reason: str) -> Purge:
    """Ban the user and start the purge, without a second person (`purge_proposals`), also in the caller's transaction.

    Raise what a ban raises, Invalid (the reason), Conflict (`already_purged`).
    """
    reason = clean_reason(reason)
    with transaction.atomic():
        locks.lock_user(user)
        roles.require_higher_rank(actor, user)
        banned = user.enabled
        if banned:
            account_bans.ban(user, actor=actor, reason=reason)
        else:
            account_bans.forget_end(user)
        try:
            with transaction.atomic():
                purge = Purge.objects.create(person=user, actor=actor, reason=reason, banned=banned)
        except IntegrityError:
            raise Conflict("What this person gave is purged already.", code="already_purged") from None
        record(acts.PURGE, purge, actor=actor, person_id=user.pk, reason=reason)
        enqueue(go_on_with_purge, str(purge.pk))
        return purge


def undo_purge(*, purge_id: UUID, actor: User, reason: str) -> Purge:
    """Start to restore everything, also from a purge that still runs.

    Raise NotAllowed, Invalid (the reason), NotFound, Conflict (`not_purged`), Gone (`too_late`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        return begin_undo(purge_id, actor=actor, reason=reason)


def begin_undo(purge_id: UUID, *, actor: User, reason: str) -> Purge:
    """Do what `undo_purge` does in the open transaction, for a caller that has checked the reason."""
    require_moderator(actor)
    purge = _lock(purge_id)
    roles.require_higher_rank(actor, purge.person)
    if purge.stage == Stage.UNDONE:
        raise Conflict(gettext("This purge was undone already."), code="not_purged")
    if not purge.can_be_undone(timezone.now()):
        raise Gone(gettext("A purge can be undone for 30 days, and they are over."), code="too_late")
    record(
        acts.UNDO_PURGE,
        purge,
        actor=actor,
        person_id=purge.person_id,
        reason=reason,
        before={"purge": {str(purge.pk): {"stage": purge.stage}}},
        after={"purge": {str(purge.pk): {"stage": Stage.UNDOING}}},
    )
    purge.stage, purge.undo_actor, purge.undo_reason = Stage.UNDOING, actor, reason
    purge.save(update_fields=["stage", "undo_actor", "undo_reason"])
    enqueue(go_on_with_purge, str(purge.pk))
    return purge


@shared_task
def go_on_with_purge(purge_id: str) -> None:
    """Run `continue_purge` for ROUND_SECONDS as a job. A new job does the rest: a long purge does not block others."""
    purge = continue_purge(purge_id=UUID(purge_id), policy=current_policy(), seconds=ROUND_SECONDS)
    if purge.is_under_way:
        enqueue(go_on_with_purge, purge_id)


def continue_purge(*, purge_id: UUID, policy: TreePolicy, seconds: float = math.inf) -> Purge:
    """Continue a purge or its undo, to the end or for `seconds`. Safe to run twice, concurrently and after a kill."""
    purge = Purge.objects.select_related("person", "actor", "undo_actor").get(pk=purge_id)
    for _ in zip(_steps(purge, policy), timed_rounds(seconds), strict=False):
        pass
    purge.refresh_from_db()
    return purge


def _steps(purge: Purge, policy: TreePolicy) -> Iterator[None]:
    """Do the remaining work, one short transaction at a time."""
    if purge.stage == Stage.RUNNING:
        run_for_each(_free_openings_held_by(purge.person), lambda tree_id: advance_tree(tree_id, policy))
        while tree_ids := purging.trees_of(purge.person_id, limit=TREES_PER_BATCH):
            for tree_id in tree_ids:
                if not _take_out(purge.pk, tree_id, policy):  # it is being undone meanwhile
                    purge.refresh_from_db()
                    yield from _steps(purge, policy)
                    return
                yield
        _finish(purge.pk)
    elif purge.stage == Stage.UNDOING:
        steps = PurgeStep.objects.filter(purge=purge, undone_at=None).order_by("-id")
        for step_id in list(steps.values_list("pk", flat=True)):
            _put_back(purge.pk, step_id, policy)
            yield
        _finish_undo(purge.pk)
    elif purge.is_under_way:
        yield from _erase(purge)


def process_due_purges(*, policy: TreePolicy) -> int:
    """Make purges final that were not undone in time, and continue unfinished ones, each for ROUND_SECONDS.

    Returns how many purges it worked on. Raise PartialFailure.
    """
    now = timezone.now()
    Purge.objects.filter(stage=Stage.DONE, finished_at__lte=now - Purge.UNDO_FOR).update(stage=Stage.ERASED)
    waiting = Purge.objects.filter(stage__in=[Stage.RUNNING, Stage.UNDOING]) | Purge.objects.filter(
        stage=Stage.ERASED, erased_at=None
    )
    purge_ids = waiting.order_by("pk").values_list("pk", flat=True)
    return run_for_each(
        purge_ids, lambda purge_id: continue_purge(purge_id=purge_id, policy=policy, seconds=ROUND_SECONDS)
    )


def _lock(purge_id: UUID) -> Purge:
    purges = Purge.objects.select_for_update(of=("self",), no_key=True)
    purge = purges.select_related("person", "actor", "undo_actor").filter(pk=purge_id).first()
    if purge is None:
        raise NotFound("There is no such purge.", code="purge_not_found")
    return purge


def _free_openings_held_by(user: User) -> list[UUID]:
    """Free the openings that the user held and return their trees.

    Waits for submissions that were running when the user was banned. Later ones fail, because `lock_task` and
    `require_contributor_now` check the ban under these locks.
    """
    with transaction.atomic(durable=True):
        advisory_lock("person", user.pk)
        tasks = Task.objects.select_for_update(no_key=True).filter(user=user, status=Task.Status.OPEN)
        return free_openings(list(tasks.order_by("pk").values_list("pk", flat=True)))


def _take_out(purge_id: UUID, tree_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        if purge.stage != Stage.RUNNING:
            return False
        purging.purge_tree(lock_tree(tree_id, policy), purge)
        return True


def _put_back(purge_id: UUID, step_id: int, policy: TreePolicy) -> None:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        step = PurgeStep.objects.get(pk=step_id)
        if step.undone_at is not None:
            return
        purging.undo_step(
            lock_tree(step.tree_id, policy), step, purge, actor=purge.undo_actor, reason=purge.undo_reason
        )
        step.undone_at = timezone.now()
        step.save(update_fields=["undone_at"])


def _finish(purge_id: UUID) -> None:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        if purge.stage != Stage.RUNNING:
            return
        total: Counter[str] = Counter()
        for counts in purge.steps.values_list("counts", flat=True):
            total.update(counts)
        purge.stage, purge.counts, purge.finished_at = Stage.DONE, dict(total), timezone.now()
        purge.save(update_fields=["stage", "counts", "finished_at"])
        enqueue(follow_standing, str(purge.person_id))  # messages that their complaints hid


def _finish_undo(purge_id: UUID) -> None:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        if purge.stage != Stage.UNDOING or purge.undo_actor is None:
            return
        purge.stage, purge.undone_at = Stage.UNDONE, timezone.now()
        purge.save(update_fields=["stage", "undone_at"])
        record(
            acts.PURGE_UNDONE,
            purge,
            actor=purge.undo_actor,
            person_id=purge.person_id,
            reason=purge.undo_reason,
            before={"purge": {str(purge.pk): {"stage": Stage.UNDOING}}},
            after={"purge": {str(purge.pk): {"stage": Stage.UNDONE}}},
        )
        if purge.banned:
            _lift_ban(purge, actor=purge.undo_actor)
        else:
            account_bans.remember_end(locks.lock_user(purge.person))


def _lift_ban(purge: Purge, *, actor: User) -> None:
    """End the ban that came with the purge. A later ban stays."""
    user = locks.lock_user(purge.person)
    bans = Ban.objects.filter(user=user, lifted_at=None)
    if user.enabled:
        return
    if bans.filter(at__gt=purge.created_at).exists():
        bans_of_purge = bans.filter(at__lte=purge.created_at)
        bans_of_purge.update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=purge.undo_reason)
        return
    account_bans.unban(user, actor=actor, reason=purge.undo_reason)
    enqueue(follow_standing, str(user.pk))


MESSAGES_PER_BATCH = 200
NOT_UNDONE = "Nobody undid the purge within its 30 days."


def _erase(purge: Purge) -> Iterator[None]:
    """Delete the texts for good, MESSAGES_PER_BATCH per transaction.

    Ids, labels and ranking orders stay, because answers of others and the history depend on them.
    """
    person = purge.person
    own = Message.objects.filter(author=person, deleted=True, created_at__lte=purge.finished_at).exclude(text="")
    while ids := list(own.order_by("pk").values_list("pk", flat=True)[:MESSAGES_PER_BATCH]):
        with transaction.atomic(durable=True):
            locked = Message.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
            list(locked.values_list("pk"))
            Revision.objects.filter(message__in=ids).update(text="")
            MessageReading.objects.filter(revision__message__in=ids).delete()
            about_texts.forget(ids)
            Message.objects.filter(pk__in=ids).update(text="", text_digest=hash_text(""), looks_like="")
        yield
    with transaction.atomic(durable=True):
        Draft.objects.filter(task__user=person).delete()
        Task.objects.filter(user=person).exclude(skip_reason="").update(skip_reason="")
        Skip.everything.filter(set_aside=purge).update(note="")
        Reaction.everything.filter(Q(set_aside=purge) | Q(author=purge.person_id, withdrawn_at__isnull=False)).delete()
        Report.everything.filter(set_aside=purge).delete()
        Withdrawal.objects.filter(message__author=person).exclude(reason="").update(reason="")
        Notice.objects.filter(person=person).delete()
        Appeal.objects.filter(user=person).exclude(status=Appeal.Status.OPEN).update(text="")
        erase_words_about(person)
        forget_words_about(person.pk)
        if Purge.objects.filter(pk=purge.pk, erased_at=None).update(erased_at=timezone.now()):
            record(acts.ERASE_PURGED, purge, person_id=person.pk, reason=NOT_UNDONE)
    erase_chats(person.pk)
