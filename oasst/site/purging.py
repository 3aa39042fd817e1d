"""Purging a person: everything they gave goes out of sight and out of the counts, and can come back for 30 days.

It stands above the apps, since it touches people, trees and tasks. `begin` and `undo` decide and commit at once; the
work is done by `go_on`, tree by tree, each in a transaction of its own that ends in `advance`. What is left to do is
found in the data and not remembered, so a run that was killed is simply run again, and two runs share the work. Locks
run downhill: the purge, a tree, its messages.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from uuid import UUID

from celery import shared_task
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from inference.chats.cleanup import erase_chats_of
from oasst.accounts import account_bans, locks, roles
from oasst.accounts.access import require_moderator
from oasst.accounts.models import Ban, User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict, Gone, NotFound
from oasst.core.jobs import ROUND, one_by_one, rounds
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_reason
from tasks.models import Draft, Task
from tasks.upkeep import free_places, look_again
from trees.contributing.posting import digest_of
from trees.jobs import follow_standing
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy, current_policy
from trees.models import Message, Purge, PurgeStep, Reaction, Report, Revision, Skip, Withdrawal
from trees.moderation import purging

BATCH = 50
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


def in_words(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What a purge takes, as people read it."""
    return [(label, counts.get(name, 0)) for name, label in COUNTS if name != "unseen" or counts.get(name)]


def preview(*, person: User, actor: User, policy: TreePolicy, seconds: float = math.inf) -> Counter[str]:
    """What a purge of this person would do, counted by doing it and rolling each tree back. Stores nothing. When the
    time is over, `unseen` says how many trees were not looked at.

    Raises NotAllowed as a ban does.
    """
    roles.require_higher_rank(actor, person)
    pretended = Purge(person=person, actor=actor, reason="Preview")
    counts: Counter[str] = Counter()
    tree_ids = purging.trees_of(person.pk)
    counts["unseen"] = len(tree_ids)
    for tree_id, _ in zip(tree_ids, rounds(seconds), strict=False):
        with transaction.atomic(durable=True):
            step = purging.take_out(lock_tree(tree_id, policy), pretended)
            counts.update(step.counts if step else {})
            transaction.set_rollback(True)
        counts["unseen"] -= 1
    return +counts


def begin(*, person: User, actor: User, reason: str) -> Purge:
    """Shut the person out and order the purge. Raises what a ban raises, Invalid (the reason), Conflict
    (`already_purged`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_user(person)
        roles.require_higher_rank(actor, person)
        banned = person.enabled
        if banned:
            account_bans.ban(person, actor=actor, reason=reason)
        try:
            with transaction.atomic():
                purge = Purge.objects.create(person=person, actor=actor, reason=reason, banned=banned)
        except IntegrityError:
            raise Conflict("What this person gave is purged already.", code="already_purged") from None
        enqueue(go_on_with_purge, str(purge.pk))
        return purge


def undo(*, purge_id: UUID, actor: User, reason: str) -> Purge:
    """Order that everything comes back, also from a purge that is still under way.

    Raises NotAllowed, Invalid (the reason), NotFound, Conflict (`not_purged`), Gone (`too_late`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        roles.require_higher_rank(actor, purge.person)
        if purge.stage == Stage.UNDONE:
            raise Conflict("This purge was undone already.", code="not_purged")
        if not purge.can_be_undone(timezone.now()):
            raise Gone("A purge can be undone for 30 days, and they are over.", code="too_late")
        purge.stage, purge.undo_actor, purge.undo_reason = Stage.UNDOING, actor, reason
        purge.save(update_fields=["stage", "undo_actor", "undo_reason"])
        enqueue(go_on_with_purge, str(purge.pk))
        return purge


@shared_task
def go_on_with_purge(purge_id: str) -> None:
    """`go_on` for a while, as a job that `oasst.site.jobs` names to the worker. What is left then is a job of its own,
    so that a long purge keeps nobody waiting.
    """
    purge = go_on(purge_id=UUID(purge_id), policy=current_policy(), seconds=ROUND)
    if purge.is_under_way:
        enqueue(go_on_with_purge, purge_id)


def go_on(*, purge_id: UUID, policy: TreePolicy, seconds: float = math.inf) -> Purge:
    """Do what is left of a purge, or of its undo, to the end or as long as the time lasts. Safe to run twice, at once,
    and after being killed.
    """
    purge = Purge.objects.select_related("person", "actor", "undo_actor").get(pk=purge_id)
    for _ in zip(_pieces(purge, policy), rounds(seconds), strict=False):
        pass
    purge.refresh_from_db()
    return purge


def _pieces(purge: Purge, policy: TreePolicy) -> Iterator[None]:
    """The work that is left, one short transaction after the other."""
    if purge.stage == Stage.RUNNING:
        one_by_one(_drain(purge.person), lambda tree_id: look_again(tree_id, policy))
        while tree_ids := purging.trees_of(purge.person_id, limit=BATCH):
            for tree_id in tree_ids:
                if not _take_out(purge.pk, tree_id, policy):  # somebody undoes it meanwhile
                    purge.refresh_from_db()
                    yield from _pieces(purge, policy)
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


def erase_what_is_due(*, policy: TreePolicy) -> int:
    """Make the purges final that nobody undid in time, and go on with what was left half done, each for a while.
    Returns how many purges were worked on. Raises SomeFailed.
    """
    now = timezone.now()
    Purge.objects.filter(stage=Stage.DONE, finished_at__lte=now - Purge.UNDO_FOR).update(stage=Stage.ERASED)
    waiting = Purge.objects.filter(stage__in=[Stage.RUNNING, Stage.UNDOING]) | Purge.objects.filter(
        stage=Stage.ERASED, erased_at=None
    )
    found = waiting.order_by("pk").values_list("pk", flat=True)
    return one_by_one(found, lambda purge_id: go_on(purge_id=purge_id, policy=policy, seconds=ROUND))


def _lock(purge_id: UUID) -> Purge:
    purges = Purge.objects.select_for_update(of=("self",), no_key=True)
    purge = purges.select_related("person", "actor", "undo_actor").filter(pk=purge_id).first()
    if purge is None:
        raise NotFound("There is no such purge.", code="purge_not_found")
    return purge


def _drain(person: User) -> list[UUID]:
    """Wait for what the person was sending when they were banned, and free the places that they held; returns the trees
    of these. From here on nothing of theirs is stored any more: `lock_task` and `require_contributor_now` look at the
    ban under these locks.
    """
    with transaction.atomic(durable=True):
        advisory_lock("person", person.pk)
        tasks = Task.objects.select_for_update(no_key=True).filter(user=person, status=Task.Status.OPEN)
        return free_places(list(tasks.order_by("pk").values_list("pk", flat=True)))


def _take_out(purge_id: UUID, tree_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        if purge.stage != Stage.RUNNING:
            return False
        purging.take_out(lock_tree(tree_id, policy), purge)
        return True


def _put_back(purge_id: UUID, step_id: int, policy: TreePolicy) -> None:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        step = PurgeStep.objects.get(pk=step_id)
        if step.undone_at is not None:
            return
        purging.put_back(lock_tree(step.tree_id, policy), step, purge, actor=purge.undo_actor, reason=purge.undo_reason)
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
        enqueue(follow_standing, str(purge.person_id))  # what their complaints hid


def _finish_undo(purge_id: UUID) -> None:
    with transaction.atomic(durable=True):
        purge = _lock(purge_id)
        if purge.stage != Stage.UNDOING or purge.undo_actor is None:
            return
        purge.stage, purge.undone_at = Stage.UNDONE, timezone.now()
        purge.save(update_fields=["stage", "undone_at"])
        if purge.banned:
            _let_in(purge, actor=purge.undo_actor)


def _let_in(purge: Purge, *, actor: User) -> None:
    """End the ban that came with the purge. One that was decided since stands."""
    person = locks.lock_user(purge.person)
    bans = Ban.objects.filter(user=person, lifted_at=None)
    if person.enabled:
        return
    if bans.filter(at__gt=purge.created_at).exists():
        its_own = bans.filter(at__lte=purge.created_at)
        its_own.update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=purge.undo_reason)
        return
    account_bans.unban(person, actor=actor, reason=purge.undo_reason)
    enqueue(follow_standing, str(person.pk))


ERASE_AT_ONCE = 200


def _erase(purge: Purge) -> Iterator[None]:
    """Take the texts away for good, a few hundred at a time. Ids, labels and orders stay, since answers of others and
    the history rest on them; what search finds follows the text by itself.
    """
    person = purge.person
    mine = Message.objects.filter(author=person, deleted=True, created_at__lte=purge.finished_at).exclude(text="")
    kind = ContentType.objects.get_for_model(Message)
    while ids := list(mine.order_by("pk").values_list("pk", flat=True)[:ERASE_AT_ONCE]):
        with transaction.atomic(durable=True):
            locked = Message.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
            list(locked.values_list("pk"))
            Revision.objects.filter(message__in=ids).update(text="")
            Message.objects.filter(pk__in=ids).update(text="", text_digest=digest_of(""), looks_like="")
            # The log of the admin names what was done to a message by the beginning of its text.
            LogEntry.objects.filter(content_type=kind, object_id__in=[str(one) for one in ids]).update(object_repr="")
        yield
    with transaction.atomic(durable=True):
        Draft.objects.filter(task__user=person).delete()
        Task.objects.filter(user=person).exclude(skip_reason="").update(skip_reason="")
        Skip.everything.filter(set_aside=purge).update(note="")
        Reaction.everything.filter(Q(set_aside=purge) | Q(author=purge.person_id, withdrawn_at__isnull=False)).delete()
        Report.everything.filter(set_aside=purge).delete()
        Withdrawal.objects.filter(message__author=person).exclude(reason="").update(reason="")
        Purge.objects.filter(pk=purge.pk).update(erased_at=timezone.now())
    erase_chats_of(person.pk)
