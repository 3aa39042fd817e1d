"""Banning people. Outer writers; what a ban means for the trees of the person is `trees.moderation.banned_authors`."""

from django.db import transaction

from oasst.accounts import account_bans, administrator_bans, locks
from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason
from trees import jobs
from trees.moderation import offered_actions


def ban(user: User, *, actor: User, reason: str) -> bool:
    """Shut this person out; their waiting prompts are stopped by a job. Returns False where this proposes the ban of an
    administrator, which another one has to confirm. Raises what `account_bans.ban` raises, and for an
    administrator what `administrator_bans.ban` raises.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_two(user, actor):
            if not administrator_bans.ban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.ban(user, actor=actor, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def ban_by_operator(user: User, *, reason: str) -> None:
    """Shut anybody out but the last administrator: whoever runs commands on the machine has decided. Raises Invalid
    (the reason), Conflict (`banned`, `closed`, `last_administrator`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if not user.is_active:
            raise Conflict("This account was closed.", code="closed")
        if not user.enabled:
            raise Conflict("This person is banned already.", code="banned")
        account_bans.shut_out(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def unban_by_operator(user: User, *, reason: str) -> None:
    """Let anybody in again. Raises Invalid (the reason), Conflict (`not_banned`, `purged`)."""
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if user.enabled:
            raise Conflict("This person is not banned.", code="not_banned")
        _refuse_purged(user)
        account_bans.let_in(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def set_by_program(user: User, *, enabled: bool, reason: str) -> None:
    """Shut out or let in because a program that may do so said it; again changes nothing. Inside the caller's
    transaction, which has locked the person. Raises Conflict `purged`.
    """
    if enabled == user.enabled:
        return
    if enabled:
        _refuse_purged(user)
    (account_bans.let_in if enabled else account_bans.shut_out)(user, actor=None, reason=reason)
    enqueue(jobs.follow_standing, str(user.pk))


def unban(user: User, *, actor: User, reason: str) -> bool:
    """Let this person in again; a job lets the prompts go on that the ban had stopped. Returns False where this
    proposes it for an administrator, which another one has to confirm.

    Raises what `account_bans.unban` raises, and Conflict `purged`.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_two(user, actor):
            if not administrator_bans.unban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.unban(user, actor=actor, reason=reason)
        _refuse_purged(user)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def withdraw_proposal(user: User, *, actor: User) -> None:
    """Take back what this administrator proposed about another one. Raises Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        administrator_bans.withdraw(user, actor=actor)


def _refuse_purged(user: User) -> None:
    if offered_actions.is_purged(user):
        raise Conflict("What they gave was purged. Undo the purge; that lets them in again.", code="purged")
