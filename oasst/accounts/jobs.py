"""Jobs that a commit starts."""

from celery import shared_task

from oasst.accounts import names


@shared_task
def mark_alike(looks: str) -> int:
    """Show or hide the API client beside look-alike names, after a user with such a name came or left."""
    return names.update_lookalikes(looks)
