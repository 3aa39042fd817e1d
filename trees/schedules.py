"""What the clock sets off for trees."""

from celery import shared_task

from trees import reviewers


@shared_task
def learn_reviewers() -> None:
    """Estimate how reliable each reviewer is."""
    reviewers.learn()
