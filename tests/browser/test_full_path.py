"""Four users take a conversation from its first prompt to the data set, in a browser."""

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command
from playwright.sync_api import Page

from tests.browser.conftest import DESK, PHONE, NewVisitor
from tests.browser.driver import do_task, sign_in, take_any_task
from trees.lifecycle.states import State
from trees.models import MessageTree

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_trees"),
]

EVERY_KIND = {
    "initial_prompt",
    "label_initial_prompt",
    "assistant_reply",
    "label_assistant_reply",
    "prompter_reply",
    "label_prompter_reply",
    "rank_assistant_replies",
}


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_four_people_finish_a_tree(visitor: NewVisitor, keep: Callable[[Page, str], None], script: bool) -> None:
    people = {
        name: visitor(script=script, dark=dark, viewport=viewport)
        for name, dark, viewport in (
            ("alice", False, DESK),
            ("bob", True, DESK),
            ("carol", False, PHONE),
            ("dora", True, PHONE),
        )
    }
    for name, page in people.items():
        sign_in(page, f"{name}@example.org")
    keep(people["alice"], f"dashboard-{'script' if script else 'plain'}")

    done: set[str] = set()
    for _ in range(60):  # a round is one task per user; the order is random
        if MessageTree.objects.filter(state=State.READY_FOR_EXPORT).exists():
            break
        for name, page in people.items():
            if take_any_task(page):
                kind = page.get_by_test_id("task").get_attribute("data-task-kind") or ""
                if kind not in done:
                    keep(page, f"{kind}-{name}-{'script' if script else 'plain'}")
                done.add(do_task(page))

    assert done == EVERY_KIND
    out = StringIO()
    call_command("export_trees", stdout=out, stderr=StringIO())
    finished = [json.loads(line) for line in out.getvalue().splitlines()]
    assert finished[0]["tree_state"] == "ready_for_export"
    replies = finished[0]["prompt"]["replies"]
    assert [reply["rank"] for reply in replies] == [0, 1]
