"""Celery jobs that run after a commit."""

from uuid import UUID

from celery import shared_task
from django.conf import settings

from oasst.core.after_commit import enqueue
from oasst.core.jobs import ROUND_SECONDS, timed_rounds
from trees.enrichment import pairs, queue, reading
from trees.enrichment.registry import readers
from trees.moderation import auto_moderation, banned_authors
from trees.moderation.notices import mail_about_withdrawal, mail_author
from trees.outbox import deliveries, webhooks
from trees.policies import runs
from trees.policies.reading import current_policy

__all__ = [
    "find_near_duplicates",
    "follow_standing",
    "mail_about_withdrawal",
    "mail_author",
    "moderate_message",
    "queue_unread_texts",
    "read_texts",
    "run_policy",
    "send_webhooks",
]


@shared_task
def moderate_message(message_id: str) -> None:
    """Check whether the complaints about this message suffice for automatic moderation."""
    auto_moderation.moderate(message_id=UUID(message_id), policy=current_policy())


@shared_task
def follow_standing(person_id: str) -> None:
    """Apply a ban or its end to the user's waiting prompts, and recount what their complaints had hidden.

    `accounts.closing.close_account` starts it by its name.
    """
    banned_authors.stop_or_resume_prompts(person_id=UUID(person_id), policy=current_policy())
    auto_moderation.recount(person_id=UUID(person_id), policy=current_policy())


@shared_task(autoretry_for=())
def send_webhooks() -> int:
    """Deliver events to webhooks. Also runs periodically, for retries and lost wake-ups."""
    for _ in timed_rounds():
        if webhooks.read_outbox() < webhooks.BATCH:
            break
    return deliveries.run()


@shared_task(autoretry_for=())
def queue_unread_texts() -> int:
    """Queue new texts for the machines that read them, and wake those with work. Also runs periodically, for retries
    and lost wake-ups.
    """
    kinds, queued = list(readers()), 0
    for _ in timed_rounds() if kinds else ():
        number = queue.queue_unread(kinds)
        queued += number
        if number < queue.BATCH:
            break
    for kind in queue.kinds_due(kinds):
        read_texts.apply_async((kind,), retry=False)
    return queued


@shared_task(autoretry_for=())
def read_texts(kind: str) -> str:
    """Let the reader of this kind read what waits for it."""
    reader = readers().get(kind)
    return reading.run(reader).summary() if reader else "off"


@shared_task(autoretry_for=())
def find_near_duplicates() -> int:
    """Compare new texts with all others. Also runs periodically, for the rest of its work and lost wake-ups."""
    return pairs.find_pairs() if settings.OASST_SCORING else 0


@shared_task
def run_policy(run_id: str) -> str:
    """Go on with a preview or an application of rules. A new job does the rest: others have their turn."""
    run = runs.continue_run(run_id=int(run_id), seconds=ROUND_SECONDS)
    if run.is_under_way:
        enqueue(run_policy, run_id)
    return run.stage
