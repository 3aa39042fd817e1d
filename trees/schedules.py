"""What the clock sets off for trees."""

import structlog
from celery import shared_task

from oasst.core.jobs import NightJob
from trees.contributing import reviewers
from trees.lifecycle import reranking
from trees.lifecycle.policy import current_policy
from trees.outbox import webhooks

log = structlog.get_logger(__name__)


@shared_task
def retry_scoring() -> None:
    """Try the trees again whose scoring failed, less and less often."""
    tried, succeeded = reranking.retry_what_is_due(policy=current_policy())
    if tried:
        log.warning("scoring_retried", tried=tried, succeeded=succeeded)


@shared_task(base=NightJob)
def learn_reviewers() -> None:
    """Estimate how reliable each reviewer is."""
    reviewers.learn()


@shared_task
def forget_deliveries() -> int:
    """Drop what webhooks were told long ago."""
    return webhooks.forget()
