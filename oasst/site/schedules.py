"""Periodic jobs of the whole site."""

import structlog
from celery import shared_task
from django.utils import timezone

from oasst.accounts import account_bans
from oasst.accounts.authentication import mailed_sign_ins
from oasst.accounts.authentication.sessions import SessionStore
from oasst.accounts.models import Session
from oasst.core import jobs
from oasst.core.audit import chain
from oasst.site import purging
from oasst.site.bulk import previews
from oasst.site.desk import claims
from oasst.site.invariants import find_differences
from oasst.site.overview import history
from trees.policies.reading import current_policy

log = structlog.get_logger(__name__)

MAX_LOGGED = 100  # enough to see which rule is broken; the command prints all differences


@shared_task
def send_waiting_jobs() -> int:
    """Send again jobs that the queue lost. /readyz relies on this running every minute."""
    return jobs.send_waiting()


@shared_task(base=jobs.NightJob, autoretry_for=())
def check_invariants() -> None:
    """Log differences between stored data and the facts. Fails if there are any, so that operators see it."""
    number = 0
    for number, difference in enumerate(find_differences(current_policy()), start=1):
        if number <= MAX_LOGGED:
            log.error("invariant_broken", **vars(difference))
    if number:
        raise AssertionError(f"{number} differences; ./manage.py check_invariants prints them")


@shared_task
def look_after_purges() -> None:
    """Continue purges that a killed worker left unfinished, and make those final that were not undone in time."""
    purging.process_due_purges(policy=current_policy())


@shared_task
def clear_sessions() -> None:
    """Delete expired sessions: each attempt to sign in leaves one, even that of a robot."""
    SessionStore.clear_expired()


@shared_task
def clear_sessions_of_nobody() -> None:
    """Delete expired sessions of anonymous users, of which strangers can create many and some hold a form, and links of
    mails, which hold an address.
    """
    mailed_sign_ins.forget_expired()
    Session.objects.filter(account=None, expire_date__lt=timezone.now()).delete()


@shared_task
def link_audit_entries() -> int:
    """Append new entries of the audit log to its chain; return how many."""
    return chain.link_new()


@shared_task
def forget_desk_claims() -> int:
    """Delete claims of the moderators' desk that ended a day ago; return how many."""
    return claims.forget_expired()


@shared_task(base=jobs.NightJob, autoretry_for=())
def verify_audit_log() -> None:
    """Append what each minute's run does not look for, and verify the whole chain. Fails if anything is wrong."""
    chain.link_all()
    faults = [str(fault) for fault, _ in zip(chain.verify(), range(10), strict=False)]
    if faults:
        raise AssertionError(f"The audit log is not what it was ({'; '.join(faults)}). audit_verify says all.")


@shared_task
def count_queues() -> int:
    """Count how the moderators' queues fare today, and on days that were missed; return how many numbers changed."""
    return history.count_days()


@shared_task
def clean_desk() -> int:
    """Delete acts on many that were shown and not begun, and old counts of the queues; return how many rows."""
    return previews.forget_drafts() + history.forget_days()


@shared_task
def lift_ended_suspensions() -> int:
    """Let people in again whose suspension was until now; return how many."""
    return account_bans.lift_those_that_are_over()
