"""Thirty-two contributors at once over HTTP, on few trees, with requests that arrive twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from oasst.accounts import api_clients
from oasst.site.invariants import find_differences
from tasks.models import Task
from tests.concurrency.together import at_once
from tests.crash.processes import Site
from tests.crash.settings import TREE_POLICY
from tests.wire.conftest import person
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Ranking, Review

PEOPLE, ROUNDS = 32, 5
NOTHING_TO_DO = 1006
RAN_OUT = (2101, 2010, 2011)  # another user took the opening or ended the tree meanwhile


@dataclass
class Contributor:
    """One user with their own connection. `done` has what was acknowledged to them."""

    url: str
    key: str
    name: str
    done: dict[str, set[str]] = field(default_factory=lambda: {"text": set(), "labels": set(), "ranking": set()})
    crashes: list[str] = field(default_factory=list)

    def work(self) -> "Contributor":
        self.http = requests.Session()
        self.http.headers["X-API-Key"] = self.key
        for number in range(ROUNDS):
            self.round(f"{self.name}-{number}")
        return self

    def send(self, path: str, body: Any) -> Any:
        """Send it twice, as after a lost connection: both times the same answer."""
        headers = {"Idempotency-Key": str(uuid4())}
        first, again = (
            self.http.post(f"{self.url}/api/v1/{path}", json=body, headers=headers, timeout=120) for _ in range(2)
        )
        if first.status_code < 300:
            assert (again.status_code, again.content) == (first.status_code, first.content), again.content
        for one in (first, again):
            if one.status_code >= 500 and one.json().get("error_code") != NOTHING_TO_DO:
                self.crashes.append(f"{path}: {one.status_code} {one.text}")
        return first

    def round(self, name: str) -> None:
        who = person(self.name)
        asked = self.send("tasks/", {"type": "random", "user": who})
        if asked.status_code != 200:
            return
        task = asked.json()
        assert self.send(f"tasks/{task['id']}/ack", {"message_id": name}).status_code == 204
        kind, body = answer_to(task, name)
        answer = self.send("tasks/interaction", {"user": who, **body})
        if answer.status_code == 200:
            self.done[kind].add(name if kind == "text" else task["id"])
        else:
            assert answer.json()["error_code"] in RAN_OUT, answer.text


def answer_to(task: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    if "valid_labels" in task:
        labels = dict.fromkeys(task["mandatory_labels"], 0)
        about = {"message_id": task["message_id"], "task_id": task["id"]}
        return "labels", {"type": "text_labels", **about, "text": "", "labels": labels}
    if "replies" in task:
        return "ranking", {"type": "message_ranking", "message_id": name, "ranking": [*range(len(task["replies"]))]}
    text = {"user_message_id": name, "text": f"A text like no other: {name}"}
    return "text", {"type": "text_reply_to_message", "message_id": name, **text}


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.end()


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_turned_away(site: Site) -> None:
    client, key = api_clients.create_api_client(name="crowd")
    people = [Contributor(site.url, key, f"P{number}") for number in range(PEOPLE)]
    results = at_once([one.work for one in people], bound=540)
    assert [one for one in results if not isinstance(one, Contributor)] == [], site.web.said()
    assert [crash for one in people for crash in one.crashes] == []

    told = {kind: set().union(*(one.done[kind] for one in people)) for kind in ("text", "labels", "ranking")}
    assert min(len(names) for kind, names in told.items() if kind != "ranking") >= PEOPLE
    # Each acknowledged answer is stored once, and nothing else is.
    names = list(Message.objects.filter(api_client=client).values_list("frontend_message_id", flat=True))
    assert len(names) == len(set(names)) and set(names) == told["text"]
    for kind, model, result in (("labels", Review, "result_review"), ("ranking", Ranking, "result_ranking")):
        done = Task.objects.filter(status=Task.Status.DONE, **{f"{result}__isnull": False})
        assert {str(pk) for pk in done.values_list("pk", flat=True)} == told[kind]
        assert model.objects.count() == len(told[kind])
    assert list(find_differences(TreePolicy(**TREE_POLICY))) == []
