"""Work that a commit sets off."""

from uuid import UUID

from celery import shared_task

from oasst.core.jobs import rounds
from trees.lifecycle.policy import current_policy
from trees.moderation import auto_moderation, banned_authors
from trees.moderation.notices import mail_about_withdrawal, mail_author
from trees.outbox import deliveries, webhooks

__all__ = ["follow_standing", "mail_about_withdrawal", "mail_author", "moderate_message", "send_webhooks"]


@shared_task
def moderate_message(message_id: str) -> None:
    """Look whether people complained about this message often enough for something to happen by itself."""
    auto_moderation.apply(message_id=UUID(message_id), policy=current_policy())


@shared_task
def follow_standing(person_id: str) -> None:
    """Stop the waiting prompts of somebody who was banned, or let them go on; what their complaints hid is shown where
    too few others complain. The end of an account sets it off by its name (`accounts.closing.close_account`).
    """
    banned_authors.stop_or_resume_prompts(person_id=UUID(person_id), policy=current_policy())
    auto_moderation.recount(person_id=UUID(person_id), policy=current_policy())


@shared_task(autoretry_for=())
def send_webhooks() -> int:
    """Tell programs what happened. The clock starts it too, for wake-ups that were lost and for what is tried again."""
    for _ in rounds():
        if webhooks.read_outbox() < webhooks.BATCH:
            break
    return deliveries.run()
