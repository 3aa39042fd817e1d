"""manage.py learn_quality: learn what reviewers accept, as the nightly job does."""

from typing import Any

from django.core.management.base import CommandError

from oasst.embedded.commands import ServiceCommand
from trees.enrichment import embeddings
from trees.quality import learning, scores


class Command(ServiceCommand):
    help = (
        "Learn from the verdicts of reviewers which texts they accept, show how good such predictions are on texts "
        "that the model has not seen, and make predictions about all texts that wait for reviews. Every night a job "
        "does the same. Moderators see the result at /admin/trees/qualitymodel/."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not embeddings.is_on():
            raise CommandError("Nothing to learn with: OASST_SCORING is off or OASST_EMBEDDINGS is none.")
        learned = learning.learn(say=self._say)
        if not learned:
            raise CommandError("No message has a vector yet. Run `./manage.py read_messages --kind embedding` first.")
        made = scores.refresh()
        self.stdout.write(f"{made} predictions made about texts that wait for reviews.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
