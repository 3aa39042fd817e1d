"""Ban accounts and lift bans. `trees.moderation.bans` handles the consequences for trees.

`administrator_bans` is for bans of administrators, `suspensions` recognizes users who come back with another account.
"""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from oasst.accounts import appeals, suspensions
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Ban, User
from oasst.accounts.roles import require_another_administrator, require_higher_rank
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason


def suspend_if_returning(user: User, known_as: Iterable[str]) -> None:
    """Suspend a new account if a user with one of these names (see `suspensions`) was suspended before.

    Call it only after the user has proved who they are, because it reveals the suspension.
    """
    earlier = suspensions.find_suspension(known_as)
    if earlier is None or not user.enabled:
        return
    apply_ban(user, actor=None, reason=earlier.reason)
    user.notes = f"Signed up again after a suspension. The account before: {earlier.user_id or 'unknown'}."
    user.save(update_fields=["notes"])


@transaction.atomic
def ban(user: User, *, actor: User, reason: str) -> None:
    """Ban a user and show them the reason; banning again changes it.

    Only users of a lower rank can be banned, so nobody can ban themselves, and an administrator always remains.
    Raise NotAllowed (`moderators_only`, `rank`) or Invalid (the reason).
    """
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    apply_ban(user, actor=actor, reason=reason)


@transaction.atomic
def unban(user: User, *, actor: User, reason: str) -> None:
    """Lift the ban of a user. Raise NotAllowed as `ban` does, Invalid (the reason), or Conflict `not_banned`."""
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    if user.enabled:
        raise Conflict("This person is not banned.", code="not_banned")
    lift_ban(user, actor=actor, reason=reason)


def apply_ban(user: User, *, actor: User | None, reason: str) -> None:
    """Write a ban without checking permissions. Needs a lock on the user's row. Raise Conflict `last_administrator`.

    No actor means the operator, or an API client that the reason names.
    """
    require_another_administrator(user)
    user.enabled, user.ban_reason, user.banned_at = False, reason, timezone.now()
    user.save(update_fields=["enabled", "ban_reason", "banned_at"])
    Ban.objects.create(user=user, actor=actor, reason=reason, at=user.banned_at)
    suspensions.remember(user)


def lift_ban(user: User, *, actor: User | None, reason: str) -> None:
    """Write the end of a ban, under the same conditions as `apply_ban`, undo `deleted_at` of a purge, and grant an open
    appeal.
    """
    user.enabled, user.ban_reason, user.banned_at = True, "", None
    if user.is_active:
        user.deleted_at = None
    user.save(update_fields=["enabled", "ban_reason", "banned_at", "deleted_at"])
    Ban.objects.filter(user=user, lifted_at=None).update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=reason)
    appeals.grant_open(user, actor=actor, answer=reason)
    suspensions.forget(user)
