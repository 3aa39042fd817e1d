"""Celery jobs that run after a commit."""

from uuid import UUID

from celery import shared_task

from oasst.core.jobs import timed_rounds
from trees.lifecycle.policy import current_policy
from trees.moderation import auto_moderation, banned_authors
from trees.moderation.notices import mail_about_withdrawal, mail_author
from trees.outbox import deliveries, webhooks

__all__ = ["follow_standing", "mail_about_withdrawal", "mail_author", "moderate_message", "send_webhooks"]


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
