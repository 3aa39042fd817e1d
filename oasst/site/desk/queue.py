"""The queue of the desk: what is next for a moderator."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from oasst.accounts.models import User
from oasst.site.desk import claims, sources
from oasst.site.desk.subjects import Item, items_of


@dataclass(frozen=True)
class Filters:
    """What a moderator wants to see now; empty for everything."""

    source: str = ""
    lang: str = ""

    def lets_through(self, item: Item) -> bool:
        has_source = not self.source or any(reason.source == self.source for reason in item.reasons)
        return has_source and (not self.lang or item.lang == self.lang)


@dataclass(frozen=True)
class Board:
    """What the desk says of its queue to one moderator."""

    waiting: list[Item]
    """What they could take now, or hold, in the order of the desk, as the filters want it."""
    mine: Item | None
    """What they hold; without reasons if nothing waits about it anymore."""
    held_by_others: int
    is_more: bool
    """More waits than was looked at."""
    by_source: Counter[str]
    """How much waits by source, whatever the filters."""
    langs: list[str]

    @property
    def oldest(self) -> datetime | None:
        return min((item.since for item in self.waiting), default=None)


def read_board(moderator: User, langs: Collection[str] | None = None, filters: Filters | None = None) -> Board:
    """Return the queue as this moderator sees it. Two statements."""
    filters = filters or Filters()
    taken = claims.taken(moderator)
    reasons = sources.read_reasons(moderator, langs)
    items = items_of(reasons)
    if not moderator.is_superuser:
        items = [item for item in items if item.subject not in taken.passed_on]
    free = [item for item in items if item.subject not in taken.others]
    mine = None
    if taken.mine is not None:
        mine = next((item for item in items if item.subject == taken.mine), Item(taken.mine))
    numbers = Counter(reason.source for reason in reasons)
    return Board(
        waiting=[item for item in free if filters.lets_through(item)],
        mine=mine,
        held_by_others=len(items) - len(free),
        is_more=max(numbers.values(), default=0) >= sources.OF_EACH,
        by_source=Counter(source for item in free for source in {reason.source for reason in item.reasons}),
        langs=sorted({item.lang for item in free if item.lang}),
    )


def take_next(
    moderator: User,
    langs: Collection[str] | None = None,
    *,
    filters: Filters | None = None,
    skipped: Collection[str] = (),
) -> Item | None:
    """Claim and return the next item, but none of those `skipped` (ids of subjects). None if nothing is left."""
    items = read_board(moderator, langs, filters).waiting
    return claims.take_first(moderator, [item for item in items if item.subject.id not in skipped])
