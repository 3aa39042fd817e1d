"""manage.py rerank_trees: order the replies of finished trees again from the votes."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import QuerySet

from oasst.core.jobs import SomeFailed, one_by_one
from oasst.core.text.validation import clean_pool_tag
from oasst.embedded.commands import ServiceCommand
from trees.interchange.selection import Selection
from trees.interchange.writer import nothing_matches
from trees.lifecycle.policy import current_policy
from trees.lifecycle.reranking import Reranked, rerank
from trees.lifecycle.states import State
from trees.models import MessageTree


class Command(ServiceCommand):
    help = (
        "Order the replies of finished trees again from the rankings that stand now, one tree a transaction, and print "
        "each rank that changed. --dry-run changes nothing. Running it again changes nothing more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="every finished tree")
        which.add_argument("--tree", type=UUID, help="the tree with this id")
        which.add_argument("--lang", help="the finished trees of this language")
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")

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

        def look(tree_id: UUID) -> None:
            found = rerank(tree_id=tree_id, policy=current_policy(), dry_run=options["dry_run"])
            counts.update(looked=1, changed=int(bool(found)), ranks=len(found))
            for one in found:
                self.stdout.write(_line(one))

        try:
            one_by_one(trees.order_by("number").values_list("pk", flat=True).iterator(), look)
        except SomeFailed as error:
            failed = str(error)
        would = "would change" if options["dry_run"] else "changed"
        self.stdout.write(
            f"{counts['looked']} finished trees: {counts['ranks']} ranks in {counts['changed']} of them {would}."
        )
        if failed:
            raise CommandError(failed)


def _line(one: Reranked) -> str:
    before, after = ("none" if rank is None else str(rank) for rank in (one.before, one.after))
    return f"tree {one.tree}: message {one.message}: rank {before} → {after}"
