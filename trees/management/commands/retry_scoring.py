"""manage.py retry_scoring: compute the consensus of failed trees again."""

from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from oasst.core.audit.recording import record
from oasst.embedded.commands import ServiceCommand
from trees.lifecycle.reranking import failed_trees, retry
from trees.models import TreeTransition
from trees.moderation.acts import RETRY_SCORING
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Compute the consensus again for every tree whose scoring failed, now instead of at the scheduled time. "
        "Trees that fail again keep their votes; the reason is printed. Exits with 1 if any does."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        trees = failed_trees()
        failed = 0
        for tree_id in trees:
            if retry(tree_id=tree_id, policy=current_policy(), reason="Tried again by an operator."):
                self.stdout.write(f"{tree_id}: scored")
            else:
                failed += 1
                last = TreeTransition.objects.filter(tree=tree_id).order_by("-id")[0]
                self.stdout.write(f"{tree_id}: {last.reason}")
        if len(trees) > failed:
            with transaction.atomic():
                record(RETRY_SCORING, "trees.messagetree", after={"scored": len(trees) - failed, "failed": failed})
        if failed:
            raise CommandError(f"{failed} of {len(trees)} trees could not be scored.")
        self.stdout.write(f"{len(trees)} trees scored.")
