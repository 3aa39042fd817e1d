"""What two independent API clients may see, change or guess of each other's data."""

from uuid import uuid4

import pytest

from oasst.accounts.models import Identity, User
from oasst.api.operations import Access
from oasst.site.api_urls import OPERATIONS
from tasks.models import Task
from tests.factories import growing_tree
from tests.wire.conftest import Wire, code_of, person
from trees.models import Message

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo")


class TestFrontendIds:
    def test_each_has_names_of_its_own(self, bot: Wire, other: Wire) -> None:
        mine = bot.write(ADA, "How do plants drink?", "1001")
        theirs = other.write(ADA, "How do plants eat?", "1001")
        assert bot.get("frontend_messages/1001").json()["id"] == str(mine.pk)
        assert other.get("frontend_messages/1001").json()["id"] == str(theirs.pk)

    def test_others_names_are_not_shown(self, bot: Wire, other: Wire, site: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "secret-name")
        seen = other.get(f"messages/{prompt.pk}")
        assert seen.json()["frontend_message_id"] == str(prompt.pk)
        for path in ("conversation", "tree"):
            assert "secret-name" not in other.get(f"messages/{prompt.pk}/{path}").content.decode()
        task = other.ask(BO, "label_initial_prompt")
        assert task.status_code == 200 and "secret-name" not in task.content.decode()
        assert code_of(other.get("frontend_messages/secret-name")) == (404, 2001)
        for wire in (bot, site):
            assert wire.get(f"messages/{prompt.pk}").json()["frontend_message_id"] == "secret-name"

    def test_a_name_that_exists_elsewhere_answers_like_one_that_does_not(self, bot: Wire, other: Wire) -> None:
        bot.write(ADA, "How do plants drink?", "m1")
        known, unknown = (other.get(f"frontend_messages/{name}") for name in ("m1", "m2"))
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
        bot.take(ADA, "initial_prompt", "t1")
        answers = [
            other.interact(ADA, "text_reply_to_message", message_id=name, user_message_id="x", text="How?")
            for name in ("t1", "t2")
        ]
        assert answers[0].content == answers[1].content and code_of(answers[0]) == (400, 2100)


class TestTasks:
    def test_others_tasks_do_not_exist(self, bot: Wire, other: Wire, alice: User) -> None:
        growing_tree(alice)
        task = bot.take(ADA, "assistant_reply", "a")
        before = Task.objects.values().get()
        assert code_of(other.ack(task, "b")) == (404, 2100)
        assert code_of(other.post(f"tasks/{task['id']}/nack", {})) == (400, 2100)
        assert code_of(other.post("tasks/close", {"message_id": "a"})) == (404, 2100)
        response = other.interact(
            ADA, "text_labels", message_id=str(uuid4()), task_id=task["id"], text="", labels={"spam": 0}
        )
        assert code_of(response) == (400, 2100)
        assert Task.objects.values().get() == before


class TestPeople:
    def test_the_same_name_is_two_people(self, bot: Wire, other: Wire) -> None:
        ids = {wire.post("frontend_users/", ADA).json()["user_id"] for wire in (bot, other)}
        assert len(ids) == 2 and Identity.objects.count() == 2

    def test_others_people_are_not_seen(self, bot: Wire, other: Wire) -> None:
        user_id = bot.post("frontend_users/", ADA).json()["user_id"]
        assert code_of(other.get(f"users/{user_id}")) == code_of(other.get(f"users/{uuid4()}")) == (404, 4002)
        assert code_of(other.get("frontend_users/local/ada")) == (404, 4002)
        for path in ("users/by_username", "users/by_display_name", "frontend_users/"):
            assert other.get(path).json() == []
            assert code_of(other.get(path, api_client_id=bot.client.pk)) == (403, 2)
        assert other.get("users/cursor").json()["items"] == []
        assert code_of(other.get("messages/", user="local:ada")) == (404, 4002)

    def test_others_messages_are_not_listed(self, bot: Wire, other: Wire, site: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        for path in ("messages/", f"users/{prompt.author_id}/messages"):
            assert other.get(path).json() == []
            assert len(site.get(path).json()) == 1
        assert other.get("messages/cursor", user_id=prompt.author_id).json()["items"] == []
        assert other.get("messages/cursor", search_query="plants", lang="en").json()["items"] == []
        for wire in (bot, other):
            for path in ("messages/", "messages/cursor"):
                assert code_of(wire.get(path, api_client_id=bot.client.pk)) == (403, 2)
        assert len(site.get("messages/", api_client_id=bot.client.pk).json()) == 1

    def test_a_foreign_person_can_not_be_spoken_for(self, bot: Wire, other: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        other.post(f"messages/{prompt.pk}/emoji", {"user": ADA, "emoji": "rofl"})
        assert bot.get(f"messages/{prompt.pk}", user="local:ada").json()["user_emojis"] == []


def test_everything_that_changes_others_is_for_trusted_programs(bot: Wire, site: Wire) -> None:
    """Each operation for trusted clients refuses others before any other check."""
    bot.write(ADA, "How do plants drink?", "m1")
    before = list(Message.objects.values()), list(User.objects.values())
    names = {"message_id": uuid4(), "user_id": uuid4(), "auth_method": "local", "username": "ada"}
    for one in OPERATIONS:
        if one.access == Access.TRUSTED:
            path = one.path
            for name, value in names.items():
                path = path.replace(f"<{name}>", str(value))
            assert code_of(bot.call(one.method.lower(), path)) == (403, 2), one.path
    assert (list(Message.objects.values()), list(User.objects.values())) == before
