"""Idempotency keys, conditional reads, problem documents, and pagination links."""

from typing import Any

import pytest

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks.models import Task
from tests.concurrency.together import at_once
from tests.factories import growing_tree, new_prompt
from tests.wire.conftest import Wire, code_of, person
from trees.models import Message
from trees.policies.reading import current_policy

ADA = person("Ada")
ONCE = {"Idempotency-Key": "attempt-1"}
ASK = {"type": "initial_prompt", "user": ADA}


@pytest.mark.django_db(transaction=True)
class TestIdempotencyKey:
    def test_the_first_answer_again(self, bot: Wire) -> None:
        first = bot.post("tasks/", ASK, headers=ONCE)
        again = bot.post("tasks/", ASK, headers=ONCE)
        assert (again.status_code, again.content) == (200, first.content)
        assert Task.objects.count() == 1
        assert bot.post("tasks/", ASK, headers={"Idempotency-Key": "attempt-2"}).json() != first.json()

    def test_statuses_without_a_body(self, bot: Wire) -> None:
        task = bot.ask(ADA, "initial_prompt").json()
        for _ in range(2):
            ack = bot.post(f"tasks/{task['id']}/ack", {"message_id": "t"}, headers={"Idempotency-Key": "ack"})
            assert (ack.status_code, ack.content) == (204, b"")
        body = {"type": "text_reply_to_message", "user": ADA, "message_id": "t", "user_message_id": "m", "text": "Why?"}
        first = bot.post("tasks/interaction", body, headers=ONCE)
        assert first.status_code == 200
        assert bot.post("tasks/interaction", body, headers=ONCE).json() == first.json()
        assert code_of(bot.post("tasks/interaction", body)) == (400, 2105)  # without the key nothing changes
        assert Message.objects.count() == 1 and list(find_differences(current_policy())) == []

    def test_another_request_with_the_same_key(self, bot: Wire) -> None:
        bot.post("tasks/", ASK, headers=ONCE)
        assert code_of(bot.post("tasks/", {**ASK, "lang": "de"}, headers=ONCE)) == (409, 0)
        assert Task.objects.count() == 1

    def test_keys_belong_to_their_client(self, bot: Wire, other: Wire) -> None:
        first = bot.post("tasks/", ASK, headers=ONCE).json()
        assert other.post("tasks/", ASK, headers=ONCE).json()["id"] != first["id"]

    def test_a_refusal_leaves_nothing_and_may_be_tried_again(self, bot: Wire) -> None:
        body = {"type": "rank_assistant_replies", "user": ADA}
        assert code_of(bot.post("tasks/", body, headers=ONCE)) == (503, 1006)
        assert not User.objects.exists()
        assert bot.post("tasks/", ASK, headers=ONCE).status_code == 200

    @pytest.mark.parametrize("key", ["", "x" * 201])
    def test_bad_keys(self, bot: Wire, key: str) -> None:
        assert code_of(bot.post("tasks/", ASK, headers={"Idempotency-Key": key})) == (400, 0)
        assert not Task.objects.exists()

    def test_all_at_once(self, bot: Wire) -> None:
        bot.post("frontend_users/", ADA)
        results = at_once([lambda: bot.post("tasks/", ASK, headers=ONCE).content] * 4)
        assert len(set(results)) == 1 and isinstance(results[0], bytes), results
        assert Task.objects.count() == 1


@pytest.mark.django_db
class TestKnownAnswers:
    @pytest.mark.parametrize("path", ["messages/{}", "messages/{}/tree", "messages/{}/conversation", "messages/"])
    def test_not_sent_again_until_it_changes(self, bot: Wire, alice: User, path: str) -> None:
        message = growing_tree(alice)
        Message.objects.update(api_client=bot.client)
        path = path.format(message.pk)
        etag = bot.get(path)["ETag"]
        for known in (etag, f'"old", {etag}', etag.removeprefix("W/"), "*"):
            again = bot.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
        assert bot.get(path, headers={"If-None-Match": '"old"'}).status_code == 200
        Message.objects.update(text="Another text")
        changed = bot.get(path, headers={"If-None-Match": etag})
        assert changed.status_code == 200 and changed["ETag"] != etag


@pytest.mark.django_db
class TestProblems:
    def test_when_asked_for(self, bot: Wire) -> None:
        accept = {"Accept": "application/problem+json"}
        response = bot.get("messages/01a201a2-6cd5-7b95-94ce-4f51e1600816", headers=accept)
        assert response["Content-Type"] == "application/problem+json"
        assert response.json() == {
            "type": "/docs/#status-404",
            "title": "Message not found",
            "status": 404,
            "detail": "There is no such message.",
            "code": "message_not_found",
            "error_code": 2001,
            "errors": [],
        }
        wrong = bot.get("messages/x", headers=accept).json()
        assert wrong["code"] == "bad_input" and wrong["errors"][0]["loc"] == ["path", "message_id"]
        assert bot.get("messages/")["Content-Type"] == "application/json"


@pytest.mark.django_db
def test_links_walk_the_pages(site: Wire, alice: User) -> None:
    prompts = [str(new_prompt(alice).pk) for _ in range(5)]
    path, seen = "messages/cursor?max_count=2", []
    while path:
        response: Any = site.http.get(f"/api/v1/{path}")
        seen += [item["id"] for item in response.json()["items"]]
        links = {
            one.split('rel="')[1][:-1]: one[1:].split(">")[0] for one in response.get("Link", "").split(", ") if one
        }
        path = f"messages/cursor{links['next']}" if "next" in links else ""
    assert seen == prompts and set(links) == {"prev"}
