"""Celery jobs of notices. `oasst.site.jobs` names them for Celery."""

from uuid import UUID

from celery import shared_task

from oasst.core.jobs import timed_rounds
from oasst.site.notices import choices, digests, keeping, levels, personal, writing


@shared_task
def write_notices() -> None:
    """Write notices until every event is read. Also runs periodically, in case a message to the worker was lost."""
    for _ in timed_rounds():
        if writing.read_outbox() < writing.BATCH:
            break


@shared_task
def tell_levels() -> None:
    """Tell people of levels that they reached."""
    for _ in timed_rounds():
        if levels.tell_levels() < levels.BATCH:
            break


@shared_task
def begin_digests() -> int:
    """Enqueue the mails that are due."""
    return digests.begin_digests()


@shared_task
def forget_old_notices() -> None:
    """Delete notices that are older than a year."""
    for _ in timed_rounds():
        if keeping.delete_old() < keeping.BATCH:
            break


@shared_task
def forget_person(person_id: str) -> None:
    """Delete the notices of a closed account."""
    choices.forget_person(UUID(person_id))


@shared_task
def tell_of_warning(warning_id: int) -> None:
    """Tell a person of a warning, or that it was taken back."""
    personal.tell_of_warning(warning_id)


@shared_task
def tell_of_appeal(appeal_id: str) -> None:
    """Tell a person the answer to an appeal against a decision."""
    personal.tell_of_appeal(UUID(appeal_id))
