"""Ban users. Outer writers; `trees.moderation.banned_authors` applies a ban to their trees."""

from django.db import transaction

from oasst.accounts import account_bans, administrator_bans, locks
from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason
from trees import jobs
from trees.moderation import offered_actions


def ban(user: User, *, actor: User, reason: str) -> bool:
    """Ban this user; a job halts their waiting prompts. Return False if this only proposes the ban of an administrator,
    which another administrator has to confirm. Raise as `account_bans.ban`, or `administrator_bans.ban`.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_confirmation(user, actor):
            if not administrator_bans.ban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.ban(user, actor=actor, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def ban_by_operator(user: User, *, reason: str) -> None:
    """Ban any user except the last administrator, without a second person. Raise Invalid (the reason), Conflict
    (`banned`, `closed`, `last_administrator`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if not user.is_active:
            raise Conflict("This account was closed.", code="closed")
        if not user.enabled:
            raise Conflict("This person is banned already.", code="banned")
        account_bans.apply_ban(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def unban_by_operator(user: User, *, reason: str) -> None:
    """End any ban. Raise Invalid (the reason), Conflict (`not_banned`, `purged`)."""
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if user.enabled:
            raise Conflict("This person is not banned.", code="not_banned")
        _refuse_purged(user)
        account_bans.lift_ban(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def set_by_client(user: User, *, enabled: bool, reason: str) -> None:
    """Ban a user or end the ban for an API client that may do so; a repeat changes nothing.

    Inside the caller's transaction, which has locked the user. Raise Conflict `purged`.
    """
    if enabled == user.enabled:
        return
    if enabled:
        _refuse_purged(user)
    (account_bans.lift_ban if enabled else account_bans.apply_ban)(user, actor=None, reason=reason)
    enqueue(jobs.follow_standing, str(user.pk))


def unban(user: User, *, actor: User, reason: str) -> bool:
    """End a ban; a job resumes the prompts that it had halted. Return False if this only proposes to end the
    ban of an administrator, which another administrator has to confirm. Raise as `account_bans.unban`, and Conflict
    `purged`.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_confirmation(user, actor):
            if not administrator_bans.unban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.unban(user, actor=actor, reason=reason)
        _refuse_purged(user)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def withdraw_proposal(user: User, *, actor: User) -> None:
    """Withdraw what this administrator proposed about another one. Raise Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        administrator_bans.withdraw(user, actor=actor)


def _refuse_purged(user: User) -> None:
    if offered_actions.is_purged(user):
        raise Conflict("What they gave was purged. Undo the purge; that lets them in again.", code="purged")
