"""Checks over the wire: an API client and its users cannot tell them from ordinary reviews."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from oasst.accounts.identities import person_of_body
from oasst.accounts.models import User
from tasks import checks
from tasks.models import Capacity, Task
from tests.factories import decide, growing_tree, new_person, new_reply
from tests.tasks.test_checks import measure, with_history
from tests.wire.conftest import Wire, person
from trees.contributing import gold, reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, Review, Skip

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo")
KIND = "label_assistant_reply"
POLICY: dict[str, Any] = {"check_share": 1 / 15, "check_repeats": 0, "check_least_pool": 1, "max_active_trees": 0}


@pytest.fixture(autouse=True)
def lucky(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The dice always ask for a check, about a good message."""
    monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: 0.0))
    settings.TREE_POLICY = POLICY


@pytest.fixture
def known(alice: User) -> Message:
    """A gold reply to which people reacted, and another reply that waits for reviews."""
    reply = new_reply(growing_tree(alice), new_person("Writer"), "One text.")
    decide(reply)
    new_reply(growing_tree(new_person("Other")), new_person("Second"), "One text.")
    boss = new_person("Boss", role="admin")
    gold.mark(message_id=reply.pk, actor=boss, reason="Surely right.", policy=TreePolicy(**POLICY))
    reactions.set_reaction(message_id=reply.pk, user=new_person("Fan"), emoji="+1")
    measure(TreePolicy(**POLICY))
    assert Capacity.objects.get(lang="en").checked_kinds == [KIND]
    return reply


def experienced(client: Wire, body: dict[str, str]) -> User:
    return with_history(person_of_body(client.client, body))


def newest() -> Task:
    return Task.objects.latest("created_at")


def shape(value: Any) -> Any:
    """Return the payload without what any two messages differ in."""
    own = {"id", "message_id", "user_id", "frontend_message_id", "text"}
    if isinstance(value, dict):
        return {name: "·" if name in own else shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("client", ["bot", "site"])
def test_the_payload_is_that_of_an_ordinary_review(client: str, request: pytest.FixtureRequest, known: Message) -> None:
    wire: Wire = request.getfixturevalue(client)
    experienced(wire, ADA)
    check = wire.ask(ADA, KIND).json()
    assert (newest().check_kind, check["message_id"]) == ("gold", str(known.pk))
    ordinary = wire.ask(BO, KIND).json()
    assert newest().check_kind == ""
    assert shape(check) == shape(ordinary)


def answer(wire: Wire, body: dict[str, str], task: dict[str, Any]) -> Any:
    about = {"message_id": task["message_id"], "task_id": task["id"], "text": task["reply"], "labels": {"spam": 0}}
    return wire.interact(body, "text_labels", **about)


def decline(wire: Wire, body: dict[str, str], task: dict[str, Any]) -> Any:
    return wire.post(f"tasks/{task['id']}/nack", {"reason": "unclear"}, user=f"local:{body['id']}")


@pytest.mark.parametrize("end", [answer, decline])
def test_so_is_what_follows(bot: Wire, known: Message, end: Callable[..., Any]) -> None:
    """Acknowledged, answered or declined, and once more: the same status and the same body."""
    experienced(bot, ADA)
    before = known.reviews.count(), Skip.objects.count()
    seen = []
    for body in (ADA, BO):
        task = bot.take(body, KIND, f"of {body['id']}")
        assert newest().check_kind == ("gold" if body is ADA else "")
        responses = [bot.ack(task, f"of {body['id']}"), end(bot, body, task), end(bot, body, task)]
        seen.append([(one.status_code, {**one.json(), "id": 0} if one.content else {}) for one in responses])
        if body is ADA:
            assert (known.reviews.count(), Skip.objects.count()) == before
    assert seen[0] == seen[1]
    assert Review.by_author.filter(kind="gold").count() == (end is answer)
    assert Happening.objects.filter(kind=Happening.Kind.MESSAGE_CHECKED).count() == (end is answer)
