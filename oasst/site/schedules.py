"""What the clock sets off for the whole site."""

import structlog
from celery import shared_task
from django.utils import timezone

from oasst.accounts.authentication.sessions import SessionStore
from oasst.accounts.models import Session
from oasst.core import jobs
from oasst.site import purging
from oasst.site.invariants import differences
from trees.lifecycle.policy import current_policy

log = structlog.get_logger(__name__)

LOGGED = 100  # a broken rule shows in the first few; the command prints all of them


@shared_task
def send_waiting_jobs() -> int:
    """Send again what a commit asked for and what was lost. Runs every minute: /readyz takes it as a sign of life."""
    return jobs.send_waiting()


@shared_task(base=jobs.NightJob, autoretry_for=())
def check_invariants() -> None:
    """Fails when anything disagrees, so that whoever watches the jobs sees it."""
    number = 0
    for number, difference in enumerate(differences(current_policy()), start=1):
        if number <= LOGGED:
            log.error("invariant_broken", **vars(difference))
    if number:
        raise AssertionError(f"{number} differences; ./manage.py check_invariants prints them")


@shared_task
def look_after_purges() -> None:
    """End what a killed worker left half done, and make final what nobody undid in time."""
    purging.erase_what_is_due(policy=current_policy())


@shared_task
def clear_sessions() -> None:
    """Remove sessions that are over: each attempt to sign in leaves one, also that of a robot."""
    SessionStore.clear_expired()


@shared_task
def clear_sessions_of_nobody() -> None:
    """Remove those that are over and in which nobody is signed in: some hold a form, and strangers can make many."""
    Session.objects.filter(account=None, expire_date__lt=timezone.now()).delete()
