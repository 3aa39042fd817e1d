"""The number of SQL statements of hot operations: small, and the same with ten times the rows."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from oasst.accounts.models import User
from tests.factories import decide, growing_tree, new_people, new_prompt, new_reply, work_until_state
from tests.wire.conftest import Wire, person
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State

pytestmark = pytest.mark.django_db
ADA = person("Ada")
SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)
# The service has a budget of 12; the key, the user and the client's own id of the task are 3 more.
BUDGET = 15


def cost(act: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[int, Any]:
    """Return the number of statements, and the response."""
    with CaptureQueriesContext(connection) as found:
        response = act(*args, **kwargs)
    assert response.status_code < 300, response.json()
    number = sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE")) for query in found)
    return number, response.json() if response.content else None


def costs(bot: Wire, alice: User, trees: int) -> dict[str, int]:
    """Return the statements of each step of a round, with this many trees."""
    for number in range(trees):
        prompt = growing_tree(alice, SMALL, lang=f"x{'abcdefghij'[number]}a")
        new_prompt(alice)
        if number == 0:
            work_until_state(prompt.pk, State.RANKING, SMALL)
    growing_tree(alice, SMALL, lang="xza")
    bot.ask(ADA, "initial_prompt")  # creates the user
    found: dict[str, int] = {}

    def round_of(kind: str, lang: str, **answer: Any) -> None:
        found[f"ask {kind}"], task = cost(bot.ask, ADA, kind, lang=lang)
        found["ack"], _ = cost(bot.ack, task, kind)
        body = {"message_id": kind, **answer}
        if "valid_labels" in task:
            body |= {"message_id": task["message_id"], "task_id": task["id"]}
        found[f"answer {kind}"], _ = cost(bot.interact, ADA, **body)

    round_of("label_initial_prompt", "en", type="text_labels", text="", labels={"spam": 0})
    round_of("rank_assistant_replies", "xaa", type="message_ranking", ranking=[0, 1, 2])
    round_of("initial_prompt", "en", type="text_reply_to_message", user_message_id=f"m{trees}", text=f"How, {trees}?")
    round_of("assistant_reply", "xza", type="text_reply_to_message", user_message_id="r", text="So.")
    found["availability"], _ = cost(bot.post, "tasks/availability", ADA)
    return found


@pytest.mark.parametrize("trees", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_round(bot: Wire, alice: User, trees: int) -> None:
    found = costs(bot, alice, trees)
    assert found.pop("availability") <= 5
    assert found.pop("ack") == 2
    assert max(found.values()) <= BUDGET, found


def test_reading_costs_the_same_for_any_number_of_messages(site: Wire, alice: User) -> None:
    prompt = growing_tree(alice)
    site.post("frontend_users/", ADA)
    paths = {
        "messages/": 3,
        "messages/cursor?include_user=true": 5,
        f"messages/{prompt.pk}": 3,
        f"messages/{prompt.pk}/conversation": 3,
        f"messages/{prompt.pk}/tree": 3,
        f"messages/{prompt.pk}/children": 3,
    }

    def measured() -> dict[str, int]:
        return {path: cost(site.get, path, user="local:ada")[0] for path in paths}

    measured()  # the first use of a key writes its time
    assert measured() == paths
    for writer in new_people(3):
        decide(new_reply(prompt, writer))
        new_prompt(writer)
    assert measured() == paths
