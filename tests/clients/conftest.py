"""A site with work of every kind, used over HTTP by API clients."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from oasst.accounts import api_clients
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply, work_until_state
from tests.wire.conftest import person
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State

POLICY: dict[str, Any] = {
    "goal_tree_size": 6,
    "max_tree_depth": 2,
    "max_children_count": 2,
    "num_prompter_replies": 2,
    "rank_prompter_replies": True,
}
CLASSES = {
    "initial_prompt": "InitialPromptTask",
    "prompter_reply": "PrompterReplyTask",
    "assistant_reply": "AssistantReplyTask",
    "rank_prompter_replies": "RankPrompterRepliesTask",
    "rank_assistant_replies": "RankAssistantRepliesTask",
    "label_initial_prompt": "LabelInitialPromptTask",
    "label_prompter_reply": "LabelPrompterReplyTask",
    "label_assistant_reply": "LabelAssistantReplyTask",
}
"""Kind of task → its name in the published schema."""


class Site:
    def __init__(self, url: str) -> None:
        self.url = f"{url}/api/v1"
        self.key = api_clients.create_api_client(name="generated", trusted=True)[1]

    def post(self, path: str, body: Any) -> Any:
        return requests.post(f"{self.url}/{path}", json=body, headers={"X-API-Key": self.key}, timeout=60)

    def tasks(self) -> dict[str, Any]:
        """Take one task of each kind as it comes, each for another user."""
        found = {}
        for kind in CLASSES:
            answer = self.post("tasks/", {"type": kind, "user": person(kind)})
            assert answer.status_code == 200, (kind, answer.text)
            found[kind] = answer.json()
        return found


@pytest.fixture
def site(transactional_db: None, live_server: Any, settings: Any) -> Iterator[Site]:
    settings.TREE_POLICY = POLICY
    settings.RATE_LIMITS = False
    make_work(TreePolicy(**POLICY))
    yield Site(live_server.url)


def make_work(policy: TreePolicy) -> None:
    """Trees that want work of every kind."""
    ann, ben = new_person("Ann"), new_person("Ben")
    work_until_state(growing_tree(ann, policy).pk, State.RANKING, policy)
    answer = new_reply(growing_tree(ann, policy), ben, policy=policy)
    decide(answer, policy=policy)
    new_reply(answer, ann, policy=policy)
    new_reply(growing_tree(ann, policy), ben, policy=policy)
    growing_tree(ann, policy)
    new_prompt(ann, policy=policy)
