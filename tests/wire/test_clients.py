"""What each known client does, call by call: exactly what it sends, and every member that it reads."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from oasst.accounts.models import User
from tests.factories import growing_tree, new_prompt, new_reply
from tests.wire.conftest import Wire, work_on
from trees.lifecycle.states import State
from trees.models import Message, Ranking, Review

pytestmark = pytest.mark.django_db

# The members that the strict Python client requires, by the type of the task.
RANKING = {"conversation", "replies", "reply_messages", "message_tree_id", "ranking_parent_id", "reveal_synthetic"}
LABELLING = {"message_id", "valid_labels", "conversation"}
REQUIRED: dict[str, set[str]] = {
    "initial_prompt": set(),
    "prompter_reply": {"conversation"},
    "assistant_reply": {"conversation"},
    "rank_prompter_replies": RANKING,
    "rank_assistant_replies": RANKING,
    "label_initial_prompt": LABELLING,
    "label_prompter_reply": LABELLING,
    "label_assistant_reply": LABELLING,
    "task_done": set(),
}


def parse(response: Any) -> Any:
    """Read a response like the Python client: None for 204, else JSON; a refusal must have a known number."""
    if response.status_code == 204:
        return None
    body = json.loads(response.content)
    if response.status_code >= 300:
        raise ClientError(body["error_code"], body["message"])
    assert UUID(body["id"]) and REQUIRED[body["type"]] <= set(body)
    return body


class ClientError(Exception):
    pass


class TestOasstApiClient:
    """The asynchronous Python library: four calls, all members always sent, unset ones as null."""

    def test_a_ranking_from_start_to_end(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        work_on(prompt, State.RANKING)
        http = Client(headers={"x-api-key": bot.key})
        user = {"id": "8812", "display_name": "Noor", "auth_method": "discord"}

        def post(path: str, body: dict[str, Any]) -> Any:
            return parse(http.post(f"/api/v1/tasks/{path}", body, content_type="application/json"))

        task = post("", {"type": "random", "user": user, "collective": False, "lang": None})
        assert task["type"] == "rank_assistant_replies"
        assert post(f"{task['id']}/ack", {"message_id": "1072946"}) is None
        answer = {
            "type": "message_ranking",
            "user": user,
            "message_id": "1072946",
            "ranking": list(range(len(task["reply_messages"])))[::-1],
            "not_rankable": None,
        }
        assert post("interaction", answer)["type"] == "task_done"
        shown = [UUID(message["id"]) for message in task["reply_messages"]]
        assert Ranking.objects.get(author__display_name="Noor").ordered_ids == shown[::-1]
        with pytest.raises(ClientError, match="2105"):
            post("interaction", answer)

    def test_declining_sends_no_user(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        user = {"id": "8812", "display_name": "Noor", "auth_method": "discord"}
        task = parse(bot.post("tasks/", {"type": "random", "user": user, "collective": False, "lang": None}))
        assert parse(bot.post(f"tasks/{task['id']}/nack", {"reason": "no time"})) is None

    def test_nothing_to_do_is_a_typed_error(self, bot: Wire) -> None:
        body = {"type": "rate_summary", "user": {"id": "1", "display_name": "N", "auth_method": "discord"}}
        with pytest.raises(ClientError, match="1006"):
            parse(bot.post("tasks/", {**body, "collective": False, "lang": None}))
        with pytest.raises(ClientError, match="4000"):
            parse(bot.post("tasks/", {"type": "random", "user": None, "collective": False, "lang": None}))


class TestTextFrontend:
    """The script that simulates users: names with spaces, no language, labels as strings or random numbers."""

    def test_ten_rounds(self, site: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        new_reply(prompt, alice)
        for person in ("John Smith", "Mary Major", "Ann Other"):
            user = {"id": person, "display_name": person, "auth_method": "local"}
            response = site.post("frontend_users/", {**user, "tos_acceptance": True})
            assert response.status_code == 200
            for _ in range(5):
                response = site.post("tasks/", {"type": "random", "user": user})
                if response.status_code != 200:
                    break
                assert self.play(site, response.json(), user) == "task_done"
        assert Message.objects.count() > 2 and Review.objects.exists()

    def play(self, site: Wire, task: dict[str, Any], user: dict[str, str]) -> Any:
        number = str(uuid4())
        assert site.post(f"tasks/{task['id']}/ack", {"message_id": number}).content == b""
        body: dict[str, Any] = {"message_id": number, "task_id": task["id"], "user": user}
        if task["type"] in ("initial_prompt", "prompter_reply"):
            assert task["hint"] is None
        for message in task["conversation"]["messages"] if "conversation" in task else ():
            assert isinstance(message["is_assistant"], bool) and message["text"]
        if task["type"].startswith("rank"):
            order = list(range(len(task["replies"])))
            body |= {"type": "message_ranking", "ranking": order}
        elif task["type"].startswith("label"):
            assert task["mode"] in ("simple", "full") and isinstance(task["mandatory_labels"], list)
            text = task["prompt"] if task["type"] == "label_initial_prompt" else task["reply"]
            labels = dict.fromkeys(task["valid_labels"], "0") | {"spam": 0.0}
            body |= {"type": "text_labels", "message_id": task["message_id"], "text": text, "labels": labels}
        else:
            text = f"Written in round {number}."
            body |= {"type": "text_reply_to_message", "user_message_id": str(uuid4()), "text": text}
        response = site.post("tasks/interaction", body)
        assert response.status_code == 200, response.json()
        return response.json()["type"]


class TestJavaScriptBot:
    """It looks only at the body: a top-level member `message` is an error, 204 is success."""

    def call(self, bot: Wire, path: str, body: dict[str, Any]) -> Any:
        http = Client(headers={"X-API-Key": bot.key, "X-OASST-USER": "discord:99"})
        response = http.post(f"/api/v1/tasks/{path}", body, content_type="application/json")
        if response.status_code == 204:
            assert response.content == b""
            return True
        return json.loads(response.content)

    def test_rounds(self, bot: Wire, alice: User, bob: User) -> None:
        user = {"id": "99", "display_name": "Zoë", "auth_method": "discord"}
        new_reply(growing_tree(alice, lang="uk-UA"), bob)
        ask = {"type": "random", "user": user, "collective": False, "lang": "uk-UA"}
        task = self.call(bot, "", ask)
        assert "message" not in task
        assert all(isinstance(one["frontend_message_id"], str) for one in task["conversation"]["messages"])
        assert self.call(bot, f"{task['id']}/nack", {"reason": ""}) is True
        task = self.call(bot, "", ask)
        name = task.get("message_id", str(uuid4()))
        assert self.call(bot, f"{task['id']}/ack", {"message_id": name}) is True
        answer = {"taskId": task["id"], "user": user, "message_id": name, "user_message_id": str(uuid4())}
        answer |= {"type": "text_reply_to_message", "lang": "uk-UA", "text": "Відповідь."}
        done = self.call(bot, "interaction", answer)
        if task["type"].startswith("label"):  # it does not support these
            assert done["error_code"] == 2107 and done["message"]
        else:
            assert done["type"] == "task_done"


class TestWebsite:
    """The server side of the site: JSON content type on every call, the person in a header, strict JSON on 2xx."""

    @pytest.fixture
    def web(self, site: Wire) -> Any:
        http = Client(headers={"X-API-Key": site.key, "X-OASST-USER": "google:1077"})

        def call(method: str, path: str, body: Any = "") -> Any:
            response = getattr(http, method)(f"/api/v1/{path}", data=body, content_type="application/json")
            if response.status_code == 204:
                return None
            assert response.status_code < 300, response.content
            return json.loads(response.content)

        call.http = http  # type: ignore[attr-defined]
        return call

    USER = {"id": "1077", "display_name": "Ines", "auth_method": "google"}

    def sign_up(self, web: Any) -> str:
        user = web("post", "frontend_users/", self.USER)
        assert user["tos_acceptance_date"] is None
        assert web("put", f"users/{user['user_id']}?tos_acceptance=true") is None
        known = web("post", "frontend_users/", self.USER)
        assert known["tos_acceptance_date"] and known["user_id"] == user["user_id"]
        # `get` with a body as the site sends it would hide the query; the content type alone is what matters here.
        assert web.http.get("/api/v1/frontend_users/google/1077").json()["tos_acceptance_date"]
        return str(user["user_id"])

    def get(self, web: Any, path: str) -> Any:
        response = web.http.get(f"/api/v1/{path}", headers={"Content-Type": "application/json"})
        assert response.status_code == 200, response.content
        return response.json()

    def test_a_contributor(self, web: Any, alice: User, bob: User) -> None:
        self.sign_up(web)
        prompt = growing_tree(alice)
        new_reply(prompt, bob)
        counts = web("post", "tasks/availability?lang=en", self.USER)
        assert {"label_assistant_reply", "assistant_reply"} <= {kind for kind, number in counts.items() if number > 0}

        task = web("post", "tasks/", {"type": "label_assistant_reply", "user": self.USER, "lang": "en"})
        assert task["labels"][0] == {**task["labels"][0], "name": "spam", "widget": "yes_no"}
        local = str(uuid4())
        assert web("post", f"tasks/{task['id']}/ack", {"message_id": local}) is None
        assert web("post", f"tasks/{task['id']}/ack", {"message_id": local}) is None
        body = {"type": "text_labels", "user": self.USER, "task_id": task["id"], "user_message_id": str(uuid4())}
        labels = dict.fromkeys(task["valid_labels"], 0)
        body |= {"lang": "en", "text": "unused", "labels": labels, "message_id": task["message_id"]}
        assert web("post", "tasks/interaction", body)["type"] == "task_done"

        task = web("post", "tasks/", {"type": "assistant_reply", "user": self.USER, "lang": "en"})
        web("post", f"tasks/{task['id']}/ack", {"message_id": "w1"})
        body = {"type": "text_reply_to_message", "user": self.USER, "task_id": task["id"], "message_id": "w1"}
        body |= {"user_message_id": "w2", "lang": "en", "text": "In the third way."}
        web("post", "tasks/interaction", body)
        task = web("post", "tasks/", {"type": "initial_prompt", "user": self.USER, "lang": "en"})
        assert web("post", f"tasks/{task['id']}/nack", {}) is None

    def test_messages(self, web: Any, alice: User) -> None:
        self.sign_up(web)
        prompt = growing_tree(alice)
        reply = new_reply(prompt, User.objects.get(display_name="Ines"))
        assert isinstance(self.get(web, "messages/?lang=en"), list)
        query = "max_count=10&desc=true&username=1077&auth_method=google&after="
        mine = self.get(web, f"messages/cursor?{query}")
        assert [item["id"] for item in mine["items"]] == [str(reply.pk)]
        assert mine["next"] is None and mine["prev"] is None
        one = self.get(web, f"messages/{reply.pk}?username=1077&auth_method=google")
        assert (one["parent_id"], one["user_emojis"], one["user_is_author"]) == (str(prompt.pk), [], True)
        assert self.get(web, f"messages/{reply.pk}/conversation")["messages"]
        assert self.get(web, f"messages/{prompt.pk}/children")[0]["id"] == str(reply.pk)
        tree = self.get(web, f"messages/{reply.pk}/tree?include_spam=true&include_deleted=false")["messages"]
        known = {message["id"] for message in tree}
        assert all(message["parent_id"] is None or message["parent_id"] in known for message in tree)
        emoji = web("post", f"messages/{prompt.pk}/emoji", {"user": self.USER, "emoji": "+1", "op": "add"})
        assert emoji["user_emojis"] == ["+1"]
        assert self.get(web, f"messages/{prompt.pk}")["emojis"] == {"+1": 1}
        labels = self.get(web, f"text_labels/valid_labels?message_id={prompt.pk}")["valid_labels"]
        assert {"name", "widget"} <= set(labels[0])
        body = {"type": "text_labels", "message_id": str(prompt.pk), "user": self.USER}
        assert web("post", "text_labels/", {**body, "labels": [], "text": "rude", "is_report": True}) is None
        labelled = {**body, "labels": {"humor": 0.5}, "text": "", "is_report": False}
        assert web.http.post("/api/v1/text_labels/", labelled, content_type="application/json").status_code == 204

    def test_moderating(self, web: Any, alice: User, bob: User) -> None:
        user_id = self.sign_up(web)
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        query = "search_text=In&sort_key=display_name&max_count=20&after="
        assert self.get(web, f"users/cursor?{query}")["items"][0]["user_id"] == user_id
        assert self.get(web, f"users/{user_id}")["display_name"] == "Ines"
        changes = "enabled=true&notes=fine+person&show_on_leaderboard=false&display_name=Ines"
        assert web("put", f"users/{user_id}?{changes}") is None
        found = self.get(
            web,
            "messages/cursor?include_deleted=true&include_user=true&search_query=bake%20bread&lang=en&desc=true&max_count=10",
        )
        assert [item["id"] for item in found["items"]] == [str(prompt.pk)]
        assert found["items"][0]["user"]["display_name"] == "Alice"
        assert self.get(web, f"messages/{reply.pk}/tree/state")["active"] is True
        assert web("put", f"messages/{reply.pk}/tree/state?halt=true")["active"] is False
        assert web("put", f"messages/{reply.pk}/tree/state?halt=false")["active"] is True
        assert web("delete", f"messages/{reply.pk}") is None
        assert web("put", f"messages/{reply.pk}/undelete") is None
        edit = {"message_id": str(reply.pk), "user": self.USER, "new_content": "Edited."}
        assert web("post", f"messages/{reply.pk}/edit", edit) is None
        assert len(self.get(web, f"messages/{reply.pk}/history")) == 2
        assert self.get(web, "stats/")["message_trees"] == 1
        assert self.get(web, "stats/tree_manager")["state_counts"]
        dummy = {"id": "__dummy_user__", "display_name": "Dummy User", "auth_method": "local"}
        assert web("post", "tasks/availability?lang=en", dummy)
        assert self.get(web, "admin/backend_settings/full")["PROJECT_NAME"]
        assert self.get(web, "admin/backend_settings/public")["PROJECT_NAME"]
        assert web("delete", f"users/{user_id}") is None
