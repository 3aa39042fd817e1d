"""What a bulk act would do. The rows are fixed and stored here, so that it does what was shown."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.roles import has_higher_rank
from oasst.core.errors import Invalid
from oasst.site.bulk.acts import Act, Kind
from oasst.site.models import BulkAct, BulkRow
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.moderation.finding import MOST_AT_ONCE

MAX_ROWS = MOST_AT_ONCE
BATCH = 1_000
DRAFTS_KEPT = timedelta(days=1)
SHOWN_AUTHORS = 5
LEFT_OUT = {
    "own": _("you wrote them yourself"),
    "deleted": _("removed already"),
    "stands": _("not removed"),
    "language": _("in languages that you do not moderate"),
    "same_language": _("in this language already"),
    "with_above": _("go with one above them, which is chosen too"),
    "came_with_above": _("were removed with one above them: bring that back"),
    "rank": _("of your rank or above"),
    "rank_of_author": _("written by people of your rank or above"),
    "yourself": _("yourself"),
    "suspended": _("suspended already"),
    "closed": _("have closed their account"),
}
"""Why something chosen is left out."""


@dataclass
class Preview:
    """The rows, and what the page says of them."""

    ids: list[UUID] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    below: int = 0
    stopping: int = 0
    authors: Counter[str] = field(default_factory=Counter)
    """By id; an empty one stands for messages without an author here."""

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": len(self.ids),
            "left_out": dict(self.left_out),
            "below": self.below,
            "stopping": self.stopping,
            "authors": [list(pair) for pair in self.authors.most_common(SHOWN_AUTHORS)],
            "number_of_authors": len(self.authors),
        }


def draft_on_messages(
    *,
    actor: User,
    kind: Kind,
    messages: QuerySet[Message],
    chosen_by: str,
    langs: Collection[str] | None = None,
    spared: Collection[UUID] = (),
    value: str = "",
) -> BulkAct:
    """Store what this act would do to these messages. `langs` are the languages of the actor, None for all; what the
    authors with the ids `spared` wrote is left out, because of their rank.

    Raise NotAllowed, Invalid (`too_many`, `nothing_left`).
    """
    require_moderator(actor)
    rows = list(messages.order_by("pk").values_list("pk", "author_id", "deleted", "lang", "tree_id")[: MAX_ROWS + 1])
    _refuse_too_many(rows)
    if kind.act == Act.MOVE:
        rows = _one_of_each_tree(rows)
    preview, by_tree, authors = Preview(), dict[UUID, set[UUID]](), dict[UUID, str]()
    for pk, author_id, deleted, lang, tree_id in rows:
        why = _left_out(kind, actor, author_id, deleted, lang, langs)
        if kind.act == Act.MOVE and lang == value:
            why = "same_language"
        if why := why or ("rank_of_author" if author_id in spared else ""):
            preview.left_out[why] += 1
        else:
            authors[pk] = str(author_id or "")
            by_tree.setdefault(tree_id, set()).add(pk)
    if kind.takes_below or kind.act == Act.RESTORE:
        for pk in _look_below(preview, kind, by_tree):
            del authors[pk]
    if kind.stops_trees:
        preview.stopping = _count_stopping(by_tree)
    preview.ids, preview.authors = list(authors), Counter(authors.values())
    return _store(actor, kind, preview, chosen_by, value)


def draft_on_people(*, actor: User, kind: Kind, people: Sequence[User], chosen_by: str, value: str = "") -> BulkAct:
    """Store what this act would do to these people. Raise NotAllowed, Invalid (`nothing_left`)."""
    require_moderator(actor)
    preview = Preview()
    for person in people:
        if why := _person_left_out(kind, actor, person):
            preview.left_out[why] += 1
        else:
            preview.ids.append(person.pk)
    return _store(actor, kind, preview, chosen_by, value)


def forget_drafts() -> int:
    """Delete what was shown a day ago and never begun; return how many."""
    old = BulkAct.objects.filter(stage=BulkAct.Stage.DRAFT, created_at__lt=timezone.now() - DRAFTS_KEPT)
    number = 0
    for bulk in old:
        with transaction.atomic():
            # Somebody may begin it at this moment.
            number += BulkAct.objects.filter(pk=bulk.pk, stage=BulkAct.Stage.DRAFT).delete()[1].get("site.BulkAct", 0)
    return number


def _left_out(
    kind: Kind, actor: User, author_id: UUID | None, deleted: bool, lang: str, langs: Collection[str] | None
) -> str:
    if langs is not None and lang not in langs:
        return "language"
    if author_id == actor.pk:
        return "own"
    if kind.act == Act.RESTORE:
        return "" if deleted else "stands"
    return "deleted" if deleted else ""


def _one_of_each_tree(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the prompts of these messages' conversations, since a conversation moves as a whole."""
    trees = {tree_id for *_, tree_id in rows}
    columns = ("pk", "author_id", "deleted", "lang", "tree_id")
    return list(Message.objects.filter(pk__in=trees).order_by("pk").values_list(*columns))


def _person_left_out(kind: Kind, actor: User, person: User) -> str:
    if person.pk == actor.pk:
        return "yourself"
    if not has_higher_rank(actor, person):
        return "rank"
    if person.deleted_at is not None or not person.is_active:
        return "closed"
    return "suspended" if kind.act == Act.SUSPEND and not person.enabled else ""


def _look_below(preview: Preview, kind: Kind, by_tree: dict[UUID, set[UUID]]) -> list[UUID]:
    """Return what goes or comes with a chosen one above it, and count what goes with the others."""
    with_above = []
    for trees in _batches(list(by_tree)):
        parents, deleted = dict[UUID, UUID | None](), set[UUID]()
        rows = Message.objects.filter(tree__in=trees).values_list("pk", "parent_id", "deleted")
        for pk, parent_id, is_deleted in rows:
            parents[pk] = parent_id
            if is_deleted:
                deleted.add(pk)
        chosen = set().union(*(by_tree[tree] for tree in trees))
        for pk in parents:
            if not chosen.isdisjoint(_above(pk, parents)):
                if kind.takes_below and pk not in deleted:
                    preview.below += 1
                if pk in chosen:
                    preview.left_out["came_with_above" if kind.act == Act.RESTORE else "with_above"] += 1
                    with_above.append(pk)
    return with_above


def _count_stopping(by_tree: dict[UUID, set[UUID]]) -> int:
    """Return how many conversations stop because their prompt goes. A tree has the id of its prompt."""
    roots = [tree_id for tree_id, chosen in by_tree.items() if tree_id in chosen]
    trees = (MessageTree.objects.filter(pk__in=batch) for batch in _batches(roots))
    return sum(batch.exclude(state=State.HALTED_BY_MODERATOR.value).count() for batch in trees)


def _above(message_id: UUID, parents: dict[UUID, UUID | None]) -> Iterator[UUID]:
    parent_id = parents[message_id]
    while parent_id is not None:
        yield parent_id
        parent_id = parents[parent_id]


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _refuse_too_many(rows: Sequence[Any]) -> None:
    if len(rows) > MAX_ROWS:
        message = gettext("These are more than %(number)s messages. Choose fewer of them.")
        raise Invalid(message % {"number": f"{MAX_ROWS:,}"}, code="too_many")


def _store(actor: User, kind: Kind, preview: Preview, chosen_by: str, value: str) -> BulkAct:
    if not preview.ids:
        reasons = ", ".join(f"{number} {LEFT_OUT[why]}" for why, number in preview.left_out.items())
        message = gettext("Nothing of it can be done (%(why)s).")
        raise Invalid(message % {"why": reasons or gettext("nothing is chosen")}, code="nothing_left")
    with transaction.atomic(durable=True):
        bulk = BulkAct.objects.create(
            moderator=actor, act=kind.act, value=value, chosen_by=chosen_by[:500], preview=preview.as_json()
        )
        BulkRow.objects.bulk_create((BulkRow(bulk=bulk, subject_id=pk) for pk in preview.ids), batch_size=BATCH)
    return bulk
