"""What a ban, and its end, writes to an account. What follows for a person's trees: `trees.moderation.bans`.

Two administrators decide about a third one: `administrator_bans`. Who comes back under another account: `suspensions`.
"""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from oasst.accounts import suspensions
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Ban, User
from oasst.accounts.roles import require_another_administrator, require_higher_rank
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason


def suspend_if_known(user: User, known_as: Iterable[str]) -> None:
    """Suspend a new account whose owner was suspended under one of these names (see `suspensions`) before.

    The person hears it after they proved who they are, never earlier, and from the same page as everybody.
    """
    known = suspensions.find(known_as)
    if known is None or not user.enabled:
        return
    shut_out(user, actor=None, reason=known.reason)
    user.notes = f"Signed up again after a suspension. The account before: {known.user_id or 'unknown'}."
    user.save(update_fields=["notes"])


@transaction.atomic
def ban(user: User, *, actor: User, reason: str) -> None:
    """Shut this person out. The reason is shown to them; banning again changes it.

    Only people of a lower rank can be banned, so that nobody bans themselves and an administrator always stays.
    Raises NotAllowed (`moderators_only`, `rank`) or Invalid (the reason).
    """
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    shut_out(user, actor=actor, reason=reason)


@transaction.atomic
def unban(user: User, *, actor: User, reason: str) -> None:
    """Let this person in again. Raises NotAllowed as `ban` does, Invalid (the reason), or Conflict `not_banned`."""
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    if user.enabled:
        raise Conflict("This person is not banned.", code="not_banned")
    let_in(user, actor=actor, reason=reason)


def shut_out(user: User, *, actor: User | None, reason: str) -> None:
    """What a ban writes. Who may do it was asked before, and the person's row is locked; without an actor it was a
    program, which the reason names, or the operator. Raises Conflict `last_administrator`.
    """
    require_another_administrator(user)
    user.enabled, user.ban_reason, user.banned_at = False, reason, timezone.now()
    user.save(update_fields=["enabled", "ban_reason", "banned_at"])
    Ban.objects.create(user=user, actor=actor, reason=reason, at=user.banned_at)
    suspensions.remember(user)


def let_in(user: User, *, actor: User | None, reason: str) -> None:
    """What the end of a ban writes, as `shut_out`. Also whom a program's purge marked as gone is back."""
    user.enabled, user.ban_reason, user.banned_at = True, "", None
    if user.is_active:
        user.deleted_at = None
    user.save(update_fields=["enabled", "ban_reason", "banned_at", "deleted_at"])
    Ban.objects.filter(user=user, lifted_at=None).update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=reason)
    suspensions.forget(user)
