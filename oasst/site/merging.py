"""Several accounts of one person become one. It spans the apps, so it stands above them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.db.models import ManyToOneRel, Q, QuerySet

from leaderboard import streaks
from leaderboard.scoring import trees_of
from oasst.accounts.closing import close_account
from oasst.accounts.identities import lock_general
from oasst.accounts.models import Secret, User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from tasks.models import Task
from trees import jobs
from trees.models import Happening, Purge, Ranking, Review
from trees.moderation import bans
from trees.outbox import publishing


@transaction.atomic
def merge_people(*, destination_id: UUID, source_ids: Sequence[UUID]) -> None:
    """Everything of the sources becomes the destination's, and the sources are closed. Unknown sources are left out.

    What both did and one person may do only once, such as a review of the same text, stays with the closed account: the
    decision that it led to was made. Who was suspended in one of the accounts is suspended in the one that stays.

    Raises NotFound (no destination), NotAllowed (staff), Conflict
    (`purged`, `destination_closed`).
    """
    people = sorted({destination_id, *source_ids})
    known = set(User.objects.filter(pk__in=people).values_list("pk", flat=True)) | {destination_id}
    locked = {person_id: lock_general(person_id) for person_id in people if person_id in known}
    # A purge finds what it takes, puts back and erases by its person.
    if Purge.objects.filter(Purge.NOT_OVER, person__in=locked).exists():
        raise Conflict("What one of these people gave is being purged. Undo the purge first, or wait.", code="purged")
    destination = locked.pop(destination_id)
    if not destination.is_active:
        raise Conflict("The account that is to stay was closed.", code="destination_closed")
    if EmailAddress.objects.filter(user=destination, primary=True).exists():
        EmailAddress.objects.filter(user__in=locked).update(primary=False)  # there is one of a person
    for source in locked.values():
        for relation in _relations():
            _move(relation.related_model._base_manager.filter(**{relation.field.name: source}), relation, destination)
        _move_tasks(source, destination)
        close_account(source)
    banned = next((source for source in locked.values() if not source.enabled), None)
    if banned is not None:
        bans.set_by_program(destination, enabled=False, reason=banned.ban_reason)
    enqueue(jobs.follow_standing, str(destination.pk))  # of several voices that complained there is one
    streaks.work_out_again(User.objects.filter(pk__in=people))
    # The scores follow tree by tree, as they follow everything.
    publishing.tell(
        [
            Happening(kind=Happening.Kind.PEOPLE_MERGED, subject=destination, tree_id=tree_id)
            for tree_id in sorted(trees_of([destination.pk]))
        ]
    )


def _relations() -> list[ManyToOneRel]:
    """Every table that names a person, except for tasks, which go with their results, and for what is counted anew."""
    relations = [one for one in User._meta.get_fields(include_hidden=True) if isinstance(one, ManyToOneRel)]
    # Consent is to what this account was asked, and secrets were given to who it was: both end with the source.
    kept = ("tasks.Task", "accounts.Consent", "accounts.ProgramSession", "mfa.Authenticator")
    others = [
        one
        for one in relations
        if one.related_model._meta.label not in kept and not issubclass(one.related_model, Secret)
    ]
    return [one for one in others if one.related_model._meta.app_label != "leaderboard"]


def _move(rows: QuerySet[Any], relation: ManyToOneRel, destination: User) -> None:
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
    stayed = Q(result_review__in=Review.objects.filter(author=source)) | Q(
        result_ranking__in=Ranking.objects.filter(author=source)
    )
    kept = Task.objects.filter(stayed, user=source).values("pk")
    Task.objects.filter(user=source).exclude(pk__in=kept).update(user=destination)
