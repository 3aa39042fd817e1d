"""Many mixed items of the desk, settled by keyboard in Chromium by two moderators; `scripts/bench desk` runs it.

The page's own share of an item is the time from the first key until the next item can be read. Reading is counted with
READING seconds an item; nobody waits for it here.
"""

import os
import statistics
import sys
from collections import defaultdict
from typing import Any

import pytest
from playwright.sync_api import Browser

from oasst.site.models import DeskDecision
from tests.browser.desk_work import item_of, make_items, open_desk, settle, start
from tests.factories import new_person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
ITEMS = int(os.environ.get("DESK_ITEMS", "100"))
READING = 4.0


def test_many_items_by_two_moderators(browser: Browser, live_server: Any, settings: Any) -> None:
    settings.RATE_LIMITS = False
    make_items(ITEMS)
    pages = [open_desk(browser, live_server.url, new_person(name, "moderator")) for name in ("Mo", "Moira")]
    for page in pages:
        start(page)
    took: dict[str, list[float]] = defaultdict(list)
    turn = 0
    while any(item_of(page)[0] for page in pages):
        held = [key for _, key in map(item_of, pages) if key]
        assert len(held) == len(set(held)), "two moderators hold the same item"
        # The second one decides about every tenth item and otherwise only holds one.
        page = pages[1] if turn % 10 == 9 or not item_of(pages[0])[0] else pages[0]
        if kind := item_of(page)[0]:
            took[kind].append(settle(page))
        turn += 1
    assert DeskDecision.objects.filter(undone_at=None).count() == ITEMS
    _tell(took)


def _tell(took: dict[str, list[float]]) -> None:
    every = sorted(seconds for of_kind in took.values() for seconds in of_kind)
    for kind, of_kind in sorted(took.items()):
        sys.stdout.write(f"{kind:8} {len(of_kind):4} items, {statistics.median(of_kind):.2f} s each (median)\n")
    own, median = statistics.mean(every), statistics.median(every)
    p95 = every[int(len(every) * 0.95) - 1]
    whole = len(every) * (own + READING)
    sys.stdout.write(
        f"{len(every)} items: own share {own:.2f} s an item (median {median:.2f}, p95 {p95:.2f}); with {READING:.0f} s "
        f"of reading each, {whole // 60:.0f} min {whole % 60:.0f} s in all\n"
    )
