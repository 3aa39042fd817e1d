"""manage.py rerank_trees: rank the replies of finished trees again from the votes."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import QuerySet

from oasst.core.audit.recording import record
from oasst.core.jobs import PartialFailure, run_for_each
from oasst.core.text.validation import clean_pool_tag
from oasst.embedded.commands import ServiceCommand
from trees import acts
from trees.interchange.selection import Selection
from trees.interchange.writer import nothing_matches
from trees.lifecycle.reranking import RankChange, rerank
from trees.lifecycle.states import State
from trees.models import MessageTree
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Rank the replies of finished trees again from the rankings that count now, one tree per transaction, and "
        "print each rank that changed. --dry-run changes nothing. A second run changes nothing more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="every finished tree")
        which.add_argument("--tree", type=UUID, help="the tree with this id")
        which.add_argument("--lang", help="the finished trees of this language")
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        trees: QuerySet[MessageTree] = MessageTree.objects.filter(state=State.READY_FOR_EXPORT.value)
        if options["tree"]:
            trees = trees.filter(pk=options["tree"])
            if not trees.exists():
                raise CommandError(f"There is no finished tree with the id {options['tree']}.")
        if options["lang"]:
            lang = clean_pool_tag(options["lang"])
            trees = trees.filter(lang__iexact=lang)
            if not trees.exists():
                raise CommandError(nothing_matches(Selection(lang=lang)))
        counts: Counter[str] = Counter()
        failed = ""

        def rerank_one(tree_id: UUID) -> None:
            changes = rerank(tree_id=tree_id, policy=current_policy(), dry_run=options["dry_run"])
            counts.update(looked=1, changed=int(bool(changes)), ranks=len(changes))
            for change in changes:
                self.stdout.write(_line(change))

        try:
            run_for_each(trees.order_by("number").values_list("pk", flat=True).iterator(), rerank_one)
        except PartialFailure as error:
            failed = str(error)
        if counts["changed"] and not options["dry_run"]:
            with transaction.atomic():
                record(acts.RERANK, "trees.messagetree", after=dict(counts))
        changed = "would change" if options["dry_run"] else "changed"
        self.stdout.write(
            f"{counts['looked']} finished trees: {counts['ranks']} ranks in {counts['changed']} of them {changed}."
        )
        if failed:
            raise CommandError(failed)


def _line(change: RankChange) -> str:
    before, after = ("none" if rank is None else str(rank) for rank in (change.before, change.after))
    return f"tree {change.tree}: message {change.message}: rank {before} → {after}"
