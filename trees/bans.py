"""Banning people. Outer writers; what a ban means for the trees of the person is `trees.standing`."""

from django.db import transaction

from oasst.accounts import services
from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from trees import jobs
from trees.models import Purge


def ban(user: User, *, actor: User, reason: str) -> None:
    """Shut this person out; their waiting prompts are stopped by a job. Raises what `accounts.services.ban` raises."""
    with transaction.atomic(durable=True):
        services.ban(user, actor=actor, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def set_by_program(user: User, *, enabled: bool, reason: str) -> None:
    """Shut out or let in because a program that may do so said it; again changes nothing. Inside the caller's
    transaction, which has locked the person. Raises Conflict `purged`.
    """
    if enabled == user.enabled:
        return
    if enabled:
        _refuse_purged(user)
    (services.let_in if enabled else services.shut_out)(user, actor=None, reason=reason)
    enqueue(jobs.follow_standing, str(user.pk))


def unban(user: User, *, actor: User, reason: str) -> None:
    """Let this person in again; a job lets the prompts go on that the ban had stopped.

    Raises what `accounts.services.unban` raises, and Conflict `purged`.
    """
    with transaction.atomic(durable=True):
        services.unban(user, actor=actor, reason=reason)
        _refuse_purged(user)
        enqueue(jobs.follow_standing, str(user.pk))


def _refuse_purged(user: User) -> None:
    if Purge.objects.filter(person=user, stage__in=Purge.STANDING).exists():
        raise Conflict("What they gave was purged. Undo the purge; that lets them in again.", code="purged")
