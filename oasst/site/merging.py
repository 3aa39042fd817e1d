"""Merge several accounts of one person. Merging touches most apps, so it is here above them.

`merge_proposals` lets two members of staff do it, `oasst.site.api_admin` trusted programs. `merge_preview` counts with
the functions of this module what a merge would do.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.db.models import Exists, ManyToOneRel, OuterRef, Q, QuerySet, UniqueConstraint

from leaderboard import streaks
from leaderboard.scoring import trees_of
from oasst.accounts import warnings
from oasst.accounts.closing import close_account
from oasst.accounts.identities import lock_non_staff
from oasst.accounts.models import ApiClient, Secret, User
from oasst.core.after_commit import enqueue
from oasst.core.audit.people import record_merging
from oasst.core.errors import Conflict
from oasst.site.models import Notice
from oasst.site.notices.storing import store
from tasks.models import Task
from trees import jobs
from trees.models import Happening, Purge, Ranking, Review
from trees.moderation import bans
from trees.outbox import publishing

Rows = QuerySet[Any]


@transaction.atomic
def merge_users(
    *,
    destination_id: UUID,
    source_ids: Sequence[UUID],
    actor: User | None = None,
    program: ApiClient | None = None,
    reason: str = "",
) -> None:
    """Move everything from the sources to the destination and close the sources. Unknown sources are skipped.

    What one person may do only once but both did, such as a review of the same text, stays with the closed account,
    because decisions rest on it. Entries of the audit log stay as they are, see
    `oasst.core.audit.people`. A suspension of any account suspends the destination. The person is told by a notice.

    Raise NotFound (no destination), NotAllowed (staff), Conflict (`purged`, `destination_closed`).
    """
    destination, sources = _lock_accounts(destination_id, source_ids)
    _keep_one_primary_address(destination, [source.pk for source in sources])
    names = [source.display_name for source in sources if source.deleted_at is None]
    taken_by = [destination.pk]
    for source in sources:
        _carry_verification(source, destination)
        for relation in relations():
            _move(rows_of(relation, source.pk), staying(relation, source.pk, taken_by), relation, destination)
        _move_tasks(source, destination)
        record_merging(source, destination, actor=actor, program=program, reason=reason)
        close_account(source, merged=True)
        taken_by.append(source.pk)
    warnings.remember_newest(destination)
    for source in sources:
        bans.carry_over(source, destination, actor=actor, program=program)
    enqueue(jobs.follow_standing, str(destination.pk))  # complaints of several accounts are now one
    streaks.recompute_streaks(User.objects.filter(pk__in=taken_by))
    # These events make the scores follow, tree by tree.
    publishing.publish(
        [
            Happening(kind=Happening.Kind.PEOPLE_MERGED, subject=destination, tree_id=tree_id)
            for tree_id in sorted(trees_of([destination.pk]))
        ]
    )
    if names:
        _tell(destination, actor, names)


def _lock_accounts(destination_id: UUID, source_ids: Sequence[UUID]) -> tuple[User, list[User]]:
    """Return the destination and the sources that exist, locked in the order of their ids. Raise as `merge_users`."""
    people = {destination_id, *source_ids}
    known = set(User.objects.filter(pk__in=people).values_list("pk", flat=True)) | {destination_id}
    locked = {person_id: lock_non_staff(person_id) for person_id in sorted(known)}
    # A purge finds its rows by their author, so they must not move while it is not over.
    if Purge.objects.filter(Purge.UNFINISHED, person__in=locked).exists():
        raise Conflict("What one of these people gave is being purged. Undo the purge first, or wait.", code="purged")
    destination = locked.pop(destination_id)
    if not destination.is_active:
        raise Conflict("The account that is to stay was closed.", code="destination_closed")
    return destination, list(locked.values())


def _tell(destination: User, actor: User | None, names: list[str]) -> None:
    event = Happening(kind=Happening.Kind.PEOPLE_MERGED, actor=actor, subject=destination)
    publishing.publish([event])
    store([Notice(person=destination, kind=Notice.Kind.MERGED, happening=event, data={"names": names})])


def _keep_one_primary_address(destination: User, source_ids: Sequence[UUID]) -> None:
    """Let the first account that has a primary address keep it, because a user has only one."""
    primary = EmailAddress.objects.filter(user__in=[destination.pk, *source_ids], primary=True)
    owners = set(primary.values_list("user", flat=True))
    keeper = next((person_id for person_id in (destination.pk, *source_ids) if person_id in owners), None)
    primary.exclude(user=keeper).update(primary=False)


def _carry_verification(source: User, destination: User) -> None:
    """Let an address that both have be verified if the source has verified it, whose own row ends with it."""
    claimed = EmailAddress.objects.filter(user=destination, verified=False)
    proved = EmailAddress.objects.filter(user=source, verified=True, email__in=claimed.values("email"))
    if emails := list(proved.values_list("email", flat=True)):
        proved.update(verified=False)  # an address has only one verified row
        claimed.filter(email__in=emails).update(verified=True)


# --- What moves, and what cannot ---

_EXCLUDED = (
    # Tasks follow their results. Consent, secrets and settings belong to the account they were given to, so they end
    # with the source. What was proposed about an account is not about another one.
    *("tasks.Task", "accounts.Consent", "accounts.Acknowledgement", "accounts.ProgramSession"),
    *("mfa.Authenticator", "site.Notice", "site.NoticeAccount", "core.AuditEntry", "accounts.MergeProposal"),
)
_SETTLED_BEFORE = frozenset({"unique_primary_email"})


def relations() -> list[ManyToOneRel]:
    """Return the foreign keys to users whose rows move: all but tasks, which follow their results, scores, which are
    counted again, and what ends with an account.
    """
    return [
        relation
        for relation in User._meta.get_fields(include_hidden=True)
        if isinstance(relation, ManyToOneRel)
        and relation.related_model._meta.label not in _EXCLUDED
        and relation.related_model._meta.app_label != "leaderboard"
        and not issubclass(relation.related_model, Secret)
    ]


def name_of(relation: ManyToOneRel) -> str:
    """Return what this module and its readers call a relation, such as "trees.Review.author"."""
    return f"{relation.related_model._meta.label}.{relation.field.name}"


def rows_of(relation: ManyToOneRel, *person_ids: UUID) -> Rows:
    """Return the rows of these users by this relation, also those that managers leave out."""
    return relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": person_ids})


def staying(relation: ManyToOneRel, source_id: UUID, taken_by: Collection[UUID]) -> Rows | None:
    """Return the rows of a source that cannot move, because one of the users `taken_by` has one that a unique
    constraint finds to be the same: the destination, and the sources that were moved before. None if any number may
    move.
    """
    model: Any = relation.related_model
    name = relation.field.name
    stays = Q()
    for fields, condition in _uniques(relation):
        same = {field: OuterRef(field) for field in fields if field != name}
        twins = model._base_manager.filter(condition, **{f"{name}__in": list(taken_by)}, **same)
        stays |= condition & Q(Exists(twins))
    return rows_of(relation, source_id).filter(stays) if stays else None


def _uniques(relation: ManyToOneRel) -> Iterator[tuple[Sequence[str], Q]]:
    """Return (fields, condition) of each unique constraint that names the user."""
    name, meta = relation.field.name, relation.related_model._meta
    if relation.field.unique:
        yield (name,), Q()
    for fields in meta.unique_together:
        if name in fields:
            yield fields, Q()
    for constraint in meta.constraints:
        if not isinstance(constraint, UniqueConstraint) or constraint.name in _SETTLED_BEFORE:
            continue
        if name in constraint.fields:
            yield constraint.fields, constraint.condition or Q()


def _move(rows: Rows, stays: Rows | None, relation: ManyToOneRel, destination: User) -> None:
    """Give the rows to the destination, without those that stay. One by one if others arrived meanwhile that are the
    same.
    """
    if stays is not None:
        rows = rows.exclude(pk__in=stays.values("pk"))
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
    stayed = tasks_of(Review.by_author.filter(author=source), Ranking.objects.filter(author=source))
    Task.objects.filter(user=source).exclude(pk__in=stayed.values("pk")).update(user=destination)


def tasks_of(reviews: Rows, rankings: Rows) -> QuerySet[Task]:
    """Return the tasks that were answered by these."""
    return Task.objects.filter(Q(result_review__in=reviews.values("pk")) | Q(result_ranking__in=rankings.values("pk")))
