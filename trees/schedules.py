"""Periodic Celery jobs for trees."""

import structlog
from celery import shared_task

from oasst.core.jobs import NightJob
from trees import hard_prompts
from trees.contributing import gold, reviewers
from trees.enrichment import topics
from trees.lifecycle import reranking
from trees.outbox import webhooks
from trees.policies.reading import current_policy
from trees.quality import learning, scores

log = structlog.get_logger(__name__)


@shared_task
def retry_scoring() -> None:
    """Retry the trees whose scoring failed, with growing pauses."""
    tried, succeeded = reranking.retry_due(policy=current_policy())
    if tried:
        log.warning("scoring_retried", tried=tried, succeeded=succeeded)


@shared_task(base=NightJob)
def learn_reviewers() -> None:
    """Find gold messages, then estimate how reliable each reviewer is."""
    gold.refresh(current_policy())
    reviewers.learn()


@shared_task(base=NightJob)
def find_topics() -> int:
    """Find what the prompts of each language are about."""
    return topics.find_topics()


@shared_task(base=NightJob)
def learn_quality() -> int:
    """Learn what reviewers accept, and predict again what they will say of texts that wait."""
    learned = learning.learn()
    scores.refresh()
    return len(learned)


@shared_task(base=NightJob)
def propose_hard_prompts() -> int:
    """Propose questions of chats that were answered badly as prompts, and drop those whose chat was deleted."""
    return hard_prompts.propose(current_policy())


@shared_task
def predict_quality() -> int:
    """Predict what reviewers will say of texts that wait, and put the reviews in order."""
    return scores.refresh()


@shared_task
def forget_deliveries() -> int:
    """Delete old webhook deliveries."""
    return webhooks.delete_old_deliveries()
