"""Merge several accounts of one person. Merging touches most apps, so it is here above them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.db.models import ManyToOneRel, Q, QuerySet

from leaderboard import streaks
from leaderboard.scoring import trees_of
from oasst.accounts import warnings
from oasst.accounts.closing import close_account
from oasst.accounts.identities import lock_non_staff
from oasst.accounts.models import ApiClient, Secret, User
from oasst.core.after_commit import enqueue
from oasst.core.audit.people import record_merging
from oasst.core.errors import Conflict
from tasks.models import Task
from trees import jobs
from trees.models import Happening, Purge, Ranking, Review
from trees.moderation import bans
from trees.outbox import publishing


@transaction.atomic
def merge_users(*, destination_id: UUID, source_ids: Sequence[UUID], program: ApiClient | None = None) -> None:
    """Move everything from the sources to the destination and close the sources. Unknown sources are skipped.

    What one person may do only once but both did, such as a review of the same text, stays with the closed account,
    because decisions rest on it. Entries of the audit log stay as they are, see
    `oasst.core.audit.people`. A suspension of any account suspends the destination.

    Raise NotFound (no destination), NotAllowed (staff), Conflict (`purged`, `destination_closed`).
    """
    people = sorted({destination_id, *source_ids})
    known = set(User.objects.filter(pk__in=people).values_list("pk", flat=True)) | {destination_id}
    locked = {person_id: lock_non_staff(person_id) for person_id in people if person_id in known}
    # A purge finds its rows by their author, so they must not move while it is not over.
    if Purge.objects.filter(Purge.UNFINISHED, person__in=locked).exists():
        raise Conflict("What one of these people gave is being purged. Undo the purge first, or wait.", code="purged")
    destination = locked.pop(destination_id)
    if not destination.is_active:
        raise Conflict("The account that is to stay was closed.", code="destination_closed")
    if EmailAddress.objects.filter(user=destination, primary=True).exists():
        EmailAddress.objects.filter(user__in=locked).update(primary=False)  # a user has only one primary address
    for source in locked.values():
        for relation in _relations():
            _move(relation.related_model._base_manager.filter(**{relation.field.name: source}), relation, destination)
        _move_tasks(source, destination)
        record_merging(source, destination, program=program)
        close_account(source, merged=True)
    warnings.remember_newest(destination)
    banned = next((source for source in locked.values() if not source.enabled), None)
    if banned is not None:
        until, reason = banned.banned_until, banned.ban_reason
        bans.set_by_client(destination, program=program, enabled=False, reason=reason, until=until)
    enqueue(jobs.follow_standing, str(destination.pk))  # complaints of several accounts are now one
    streaks.recompute_streaks(User.objects.filter(pk__in=people))
    # These events make the scores follow, tree by tree.
    publishing.publish(
        [
            Happening(kind=Happening.Kind.PEOPLE_MERGED, subject=destination, tree_id=tree_id)
            for tree_id in sorted(trees_of([destination.pk]))
        ]
    )


def _relations() -> list[ManyToOneRel]:
    """Return the foreign keys to users whose rows move: all but tasks, which follow their results, and scores, which
    are counted again.
    """
    # Consent, secrets and settings belong to the account they were given to, so they end with the source.
    excluded = (
        *("tasks.Task", "accounts.Consent", "accounts.Acknowledgement", "accounts.ProgramSession"),
        *("mfa.Authenticator", "site.Notice", "site.NoticeAccount", "core.AuditEntry"),
    )
    return [
        relation
        for relation in User._meta.get_fields(include_hidden=True)
        if isinstance(relation, ManyToOneRel)
        and relation.related_model._meta.label not in excluded
        and relation.related_model._meta.app_label != "leaderboard"
        and not issubclass(relation.related_model, Secret)
    ]


def _move(rows: QuerySet[Any], relation: ManyToOneRel, destination: User) -> None:
    """Give the rows to the destination, one by one where a unique constraint refuses some of them."""
    name = relation.field.name
    try:
        with transaction.atomic():
            rows.update(**{name: destination})
    except IntegrityError:
        for row in rows:
            try:
                with transaction.atomic():
                    type(row)._base_manager.filter(pk=row.pk).update(**{name: destination})
            except IntegrityError:
                continue


def _move_tasks(source: User, destination: User) -> None:
    """Move tasks, except those whose review or ranking stayed with the source."""
    stayed = Q(result_review__in=Review.by_author.filter(author=source)) | Q(
        result_ranking__in=Ranking.objects.filter(author=source)
    )
    staying = Task.objects.filter(stayed, user=source).values("pk")
    Task.objects.filter(user=source).exclude(pk__in=staying).update(user=destination)
