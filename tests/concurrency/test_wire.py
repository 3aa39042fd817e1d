"""Many contributors of one API client at the same moment: they do not block each other, nothing is stored twice."""

from copy import copy
from typing import Any

import pytest
from django.test import Client

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks.models import Task
from tests.concurrency.together import at_once
from tests.wire.conftest import Wire, person
from trees.models import Message
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# A test client keeps its connection between calls, and the pool has eight.
PEOPLE, ROUNDS = 8, 6


def contribute(wire: Wire, name: str) -> list[int]:
    """Take and answer what is wanted most, in rounds; returns every status."""
    who, seen = person(name), []

    def send(response: Any) -> Any:
        seen.append(response.status_code)
        return response

    for number in range(ROUNDS):
        response = send(wire.ask(who))
        if response.status_code != 200:
            continue
        task, own = response.json(), f"{name}-{number}"
        send(wire.ack(task, own))
        body: dict[str, Any] = {"message_id": own, "type": "text_reply_to_message"}
        if "valid_labels" in task:
            body = {"type": "text_labels", "message_id": task["message_id"], "task_id": task["id"], "text": ""}
            body["labels"] = {"spam": 0}
        elif "replies" in task:
            body |= {"type": "message_ranking", "ranking": list(range(len(task["replies"])))}
        else:
            body |= {"user_message_id": f"m-{own}", "text": f"Text {own}"}
        send(wire.interact(who, **body))
    return seen


def test_a_crowd_of_one_program() -> None:
    wire = Wire("bot", trusted=False)
    wire.get("text_labels/report_labels")  # loads the middleware before all threads need it at once
    # A test client is not thread-safe, so each user has their own.
    own = [copy(wire) for _ in range(PEOPLE)]
    for one in own:
        one.http = Client(headers={"X-API-Key": wire.key})
    results = at_once([lambda place=place: contribute(own[place], f"P{place}") for place in range(PEOPLE)])  # type: ignore[misc]
    assert [one for one in results if isinstance(one, Exception)] == []
    seen = {status for one in results for status in one}  # type: ignore[union-attr]
    assert seen == {200, 204}
    assert User.objects.count() == PEOPLE
    done = Task.objects.filter(status=Task.Status.DONE).count()
    assert done == Task.objects.count() == PEOPLE * ROUNDS
    texts = Message.objects.values_list("text", flat=True)
    assert len(texts) == len(set(texts))
    assert list(find_differences(current_policy())) == []
