"""Work that a commit sets off."""

from celery import shared_task

from oasst.accounts import names


@shared_task
def mark_alike(looks: str) -> int:
    """Show programs beside the names of their people where somebody else came who is called alike, or left."""
    return names.mark_alike(looks)
