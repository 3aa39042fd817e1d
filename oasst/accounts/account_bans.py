"""Ban accounts, for good or until a date, and lift bans. `trees.moderation.bans` handles the consequences for trees.

`administrator_bans` is for bans of administrators, `suspensions` recognizes users who come back with another account.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import acts, appeals, suspensions
from oasst.accounts.locks import lock_user
from oasst.accounts.models import ApiClient, Appeal, Ban, User
from oasst.accounts.roles import require_another_administrator, require_higher_rank
from oasst.core.after_commit import enqueue_by_name
from oasst.core.audit.putting_back import put_back, read_changes
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, Invalid
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason

LONGEST = timedelta(days=3660)
OVER = "Its time is over."
"""What the history of bans says of one that ended by itself."""
MAIL_JOB = "oasst.accounts.jobs.mail_about_ban"  # by name, because jobs mail and this module is below them
STANDING_JOB = "trees.jobs.follow_standing"  # by name, because it is in a higher layer


def suspend_if_returning(user: User, known_as: Iterable[str]) -> None:
    """Suspend a new account if a user with one of these names (see `suspensions`) was suspended before.

    Call it only after the user has proved who they are, because it reveals the suspension.
    """
    earlier = suspensions.find_suspension(known_as)
    if earlier is None or not user.enabled:
        return
    _write_ban(user, actor=None, reason=earlier.reason, until=earlier.until)
    user.notes = f"Signed up again after a suspension. The account before: {earlier.user_id or 'unknown'}."
    user.save(update_fields=["notes"])


@transaction.atomic
def ban(user: User, *, actor: User, reason: str, until: datetime | None = None) -> None:
    """Ban a user, if given until a date, and show them the reason; banning again changes reason and date.

    Only users of a lower rank can be banned, so nobody can ban themselves, and an administrator always remains.
    Raise NotAllowed (`moderators_only`, `rank`) or Invalid (the reason, `until`).
    """
    reason = clean_reason(reason)
    check_until(until)
    user = lock_user(user)
    require_higher_rank(actor, user)
    apply_ban(user, actor=actor, reason=reason, until=until)


def check_until(until: datetime | None) -> None:
    """Raise Invalid `until` for an end that is over, or too far away to be meant."""
    if until is not None and not timezone.now() < until < timezone.now() + LONGEST:
        raise Invalid(gettext("A suspension ends in the future, within ten years."), code="until", field="until")


@transaction.atomic
def unban(user: User, *, actor: User, reason: str) -> None:
    """Lift the ban of a user. Raise NotAllowed as `ban` does, Invalid (the reason), or Conflict `not_banned`."""
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    if user.enabled:
        raise Conflict("This person is not suspended.", code="not_banned")
    lift_ban(user, actor=actor, reason=reason)


def apply_ban(
    user: User,
    *,
    actor: User | None,
    reason: str,
    until: datetime | None = None,
    program: ApiClient | None = None,
) -> None:
    """Write a ban without checking permissions. Needs a lock on the user's row. Raise Conflict `last_administrator`.

    No actor means the operator, or the API client `program`, which the reason names.
    """
    with recorded_rows(
        acts.BAN, user, _changed_by_bans(user), actor=actor, program=program, person_id=user.pk, reason=reason
    ):
        _write_ban(user, actor=actor, reason=reason, until=until)


def _write_ban(user: User, *, actor: User | None, reason: str, until: datetime | None) -> None:
    require_another_administrator(user)
    user.enabled, user.ban_reason, user.banned_at, user.banned_until = False, reason, timezone.now(), until
    user.save(update_fields=["enabled", "ban_reason", "banned_at", "banned_until"])
    row = Ban.objects.create(user=user, actor=actor, reason=reason, at=user.banned_at, until=until)
    suspensions.remember(user)
    if user.email:
        enqueue_by_name(MAIL_JOB, row.pk)


def lift_ban(user: User, *, actor: User | None, reason: str, program: ApiClient | None = None) -> None:
    """Write the end of a ban, under the same conditions as `apply_ban`, undo `deleted_at` of a purge, and grant an open
    appeal.
    """
    with recorded_rows(
        acts.UNBAN, user, _changed_by_bans(user), actor=actor, program=program, person_id=user.pk, reason=reason
    ):
        user.enabled, user.ban_reason, user.banned_at, user.banned_until = True, "", None, None
        if user.is_active:
            user.deleted_at = None
        user.save(update_fields=["enabled", "ban_reason", "banned_at", "banned_until", "deleted_at"])
        in_force = Ban.objects.filter(user=user, lifted_at=None)
        in_force.update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=reason)
        appeals.grant_open(user, actor=actor, answer=reason)
        suspensions.forget(user)


def undo(user: User, entry: AuditEntry, *, actor: User, reason: str) -> None:
    """Undo a ban or its end: the account, its bans, an appeal and what recognizes who comes back are as before. Needs
    an open transaction. An appeal that was sent since a ban is granted with it.

    Raise NotAllowed as `ban` does, Conflict (`built_on`, `erased`, `last_administrator`).
    """
    user = lock_user(user)
    require_higher_rank(actor, user)
    changes = read_changes(entry)
    put_back(changes, {"user": User, "ban": Ban, "appeal": Appeal})
    suspensions.put_back(changes)
    lock_user(user)
    if user.enabled:
        appeals.grant_open(user, actor=actor, answer=reason)
    else:
        require_another_administrator(user)
        suspensions.remember(user)


_USER = ("enabled", "ban_reason", "banned_at", "banned_until", "deleted_at")
_BAN = ("actor_id", "reason", "at", "until", "lifted_at", "lifted_by_id", "lift_reason")


def _changed_by_bans(user: User) -> dict[str, Watched]:
    return {
        "user": Watched(User.objects.filter(pk=user.pk), _USER),
        "ban": Watched(Ban.objects.filter(user=user), _BAN),
        "appeal": Watched(
            Appeal.objects.filter(user=user, entry=None), ("status", "decided_by_id", "decided_at", "answer")
        ),
        suspensions.TABLE: Watched(suspensions.known_of(user), suspensions.COLUMNS),
    }


def lift_those_that_are_over(now: datetime | None = None) -> int:
    """Lift the bans whose time is over; return how many. One transaction for each, so it may run twice at once."""
    due = Ban.objects.filter(lifted_at=None, until__lte=now or timezone.now()).order_by("until")
    people = dict.fromkeys(due.values_list("user", flat=True)[:1000])
    return sum(lift_if_over(person_id, now) for person_id in people)


@transaction.atomic
def lift_if_over(person_id: UUID, now: datetime | None = None) -> bool:
    """Lift the ban of a user if its time is over."""
    user = lock_user(User.objects.get(pk=person_id))
    until = user.banned_until
    if user.enabled or until is None or until > (now or timezone.now()) or user.deleted_at is not None:
        return False
    lift_ban(user, actor=None, reason=OVER)
    enqueue_by_name(STANDING_JOB, str(user.pk))
    return True


def forget_end(user: User) -> None:
    """Let a ban not end by itself for now, because what the user gave is purged. Needs a lock on the user's row."""
    if user.banned_until is not None:
        _end_at(user, None)


def remember_end(user: User) -> None:
    """Let a ban end by itself again when it was meant to. Needs a lock on the user's row."""
    if not user.enabled:
        rows = Ban.objects.filter(user=user, lifted_at=None).order_by("-pk")
        _end_at(user, rows.values_list("until", flat=True).first())


def _end_at(user: User, until: datetime | None) -> None:
    """Set when the ban ends, also for who comes back with another account."""
    user.banned_until = until
    user.save(update_fields=["banned_until"])
    suspensions.remember(user)
