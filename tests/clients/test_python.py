"""A Python client generated from the published schema reads each answer as the right class."""

from typing import Any

import httpx
import pytest

from oasst.site.api_urls import document
from tests.clients.conftest import CLASSES, Site
from tests.clients.python import Client

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
TAKING = ("summarize_story", "rate_summary", "rank_initial_prompts")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(document(), tmp_path_factory.mktemp("clients"), "oasst_data_client")


def test_every_kind_of_task_and_answer(client: Client, site: Site) -> None:
    models = client.models
    program = client.package.AuthenticatedClient(
        base_url=site.url, token=site.key, prefix="", auth_header_name="X-API-Key"
    )
    request, acknowledge, interact = (
        client.operation("tasks", name) for name in ("request_task", "acknowledge", "interact")
    )
    for kind, expected in CLASSES.items():
        who = models.Person(id=kind, display_name=kind, auth_method=models.AuthMethod.LOCAL)
        task = request.sync(client=program, body=models.TaskRequest(type_=models.TaskRequestType(kind), user=who))
        assert type(task).__name__ == expected, (kind, task)
        assert task.type_ == kind
        done = acknowledge.sync_detailed(task.id, client=program, body=models.AckBody(message_id=kind))
        assert done.status_code == 204
        answer = answer_to(models, task, who, kind)
        taken = interact.sync(client=program, body=answer)
        assert isinstance(taken, models.TaskDone), taken


def answer_to(models: Any, task: Any, who: Any, name: str) -> Any:
    """Decide by the class alone, as a program does that trusts its types."""
    if isinstance(task, models.RankPrompterRepliesTask | models.RankAssistantRepliesTask):
        best_first = list(range(len(task.reply_messages)))
        return models.RankingAnswer(user=who, type_="message_ranking", message_id=name, ranking=best_first)
    if isinstance(task, models.LabelInitialPromptTask | models.LabelPrompterReplyTask | models.LabelAssistantReplyTask):
        labels = models.TextLabelsLabels.from_dict(dict.fromkeys((one.value for one in task.mandatory_labels), 0))
        return models.TextLabels(
            user=who, type_="text_labels", message_id=task.message_id, task_id=task.id, text="", labels=labels
        )
    return models.TextReply(
        user=who, type_="text_reply_to_message", message_id=name, user_message_id=f"text-{name}", text=f"Of {name}"
    )


def test_refusals_and_the_fourth_answer(client: Client, site: Site) -> None:
    models = client.models
    program = client.package.AuthenticatedClient(
        base_url=site.url, token=site.key, prefix="", auth_header_name="X-API-Key"
    )
    who = models.Person(id="ada", display_name="Ada", auth_method=models.AuthMethod.LOCAL)
    rating = models.Rating(user=who, type_="message_rating", message_id="none", rating=1)
    refused = client.operation("tasks", "interact").sync(client=program, body=rating)
    assert isinstance(refused, models.Refusal) and refused.error_code == 2100
    for kind in TAKING:
        wanted = models.TaskRequest(type_=models.TaskRequestType(kind), user=who)
        refused = client.operation("tasks", "request_task").sync(client=program, body=wanted)
        assert isinstance(refused, models.Refusal) and refused.error_code == 1006
    missing = httpx.Client(headers={"X-API-Key": site.key})
    refused = missing.post(f"{site.url}/tasks/interaction", json={"type": "nothing", "user": who.to_dict()}).json()
    assert models.Refusal.from_dict(refused).detail[0].loc == ["body", "type"]
