"""Chats for clients of Open-Assistant's server: create, list, change, delete, also in batches."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from inference.models import Chat, Turn
from tests.inference.api.conftest import Api, done, refused

NOBODYS = "0b9f6cf2-8f6e-4d53-9f0b-8d3a4f0a7c11"

pytestmark = pytest.mark.django_db


def ids(response: Any) -> list[str]:
    return [one["id"] for one in done(response)["chats"]]


class TestChats:
    def test_a_life(self, ann: Api) -> None:
        made = done(ann.post("chats", {}))
        assert made["title"] is None and made["allow_data_use"] and not made["hidden"]
        path = f"chats/{made['id']}"
        said = ann.say(made["id"], "How do I bake bread?\nI have flour.")
        assert done(ann.get(path))["title"] == "How do I bake bread?"
        assert done(ann.put(path, {"title": " My  bread ", "hidden": True, "allow_data_use": False})) is None
        assert done(ann.put(path, {"active_thread_tail_message_id": said["id"], "title": None})) is None
        now = done(ann.get(path))
        assert (now["title"], now["hidden"], now["allow_data_use"]) == ("My bread", True, False)
        assert now["active_thread_tail_message_id"] == said["id"] and now["messages"] == [said]
        assert ids(ann.get("chats")) == [] and ids(ann.get("chats", include_hidden=True)) == [made["id"]]
        assert done(ann.delete(path)) is None
        for response in (ann.get(path), ann.put(path, {}), ann.delete(path)):
            refused(response, 404)

    def test_a_body_is_not_needed(self, ann: Api) -> None:
        assert done(ann.post("chats"))["id"] != done(ann.post("chats", {"more": 1}))["id"]

    def test_others_chats_do_not_exist(self, ann: Api, ben: Api) -> None:
        chat = ann.new_chat()
        before = done(ann.get(f"chats/{chat}"))
        for response in (
            ben.get(f"chats/{chat}"),
            ben.put(f"chats/{chat}", {"title": "Mine"}),
            ben.delete(f"chats/{chat}"),
            ben.post("chats/batch_delete", {"chat_ids": [chat]}),
        ):
            refused(response, 404)
        assert ids(ben.get("chats")) == [] and done(ann.get(f"chats/{chat}")) == before

    @pytest.mark.parametrize(
        ("body", "status", "place"),
        [
            ({"title": "x" * 101}, 422, "body.title"),
            ({"title": "  "}, 422, "body.title"),
            ({"hidden": "perhaps"}, 422, "body.hidden"),
            ({"active_thread_tail_message_id": "x"}, 422, "body.active_thread_tail_message_id"),
            ({"active_thread_tail_message_id": NOBODYS}, 404, ""),
            ("7", 422, "body"),
            ("null", 422, "body"),
            ("{", 422, "body.1"),
        ],
    )
    def test_a_change_is_made_wholly_or_not_at_all(self, ann: Api, body: Any, status: int, place: str) -> None:
        chat = ann.new_chat()
        before = done(ann.get(f"chats/{chat}"))
        sent = {"hidden": True, "title": "New", **body} if isinstance(body, dict) else body
        assert refused(ann.put(f"chats/{chat}", sent), status).startswith(place)
        assert done(ann.get(f"chats/{chat}")) == before

    def test_the_end_of_a_branch_is_in_the_chat(self, ann: Api) -> None:
        chat, other = ann.new_chat(), ann.new_chat()
        said = ann.say(other)
        refused(ann.put(f"chats/{chat}", {"active_thread_tail_message_id": said["id"]}), 404)
        assert done(ann.get(f"chats/{chat}"))["active_thread_tail_message_id"] is None

    @pytest.mark.parametrize("chat_id", ["x", "hide_al", "1", "%00", NOBODYS])
    def test_ids_of_nothing(self, ann: Api, chat_id: str) -> None:
        refused(ann.get(f"chats/{chat_id}"), 404)

    def test_hide_all(self, ann: Api, ben: Api) -> None:
        ann.new_chat()
        mine, theirs = ann.new_chat(), ben.new_chat()
        assert done(ann.put("chats/hide_all")) is None
        assert ids(ann.get("chats")) == [] and len(ids(ann.get("chats", include_hidden=1))) == 2
        assert ids(ben.get("chats")) == [theirs] and done(ann.get(f"chats/{mine}"))["hidden"]

    def test_a_title_that_was_given_stays(self, ann: Api) -> None:
        chat = ann.new_chat()
        done(ann.put(f"chats/{chat}", {"title": "Mine"}))
        ann.say(chat, "Something else")
        assert done(ann.get(f"chats/{chat}"))["title"] == "Mine"

    def test_deleting_ends_what_is_being_written(self, ann: Api) -> None:
        ann.ask_anew()
        turn = Turn.objects.get()
        done(ann.delete(f"chats/{turn.message.chat_id}"))
        assert Turn.objects.get().state == "stopped"


class TestMany:
    def test_it_works(self, ann: Api) -> None:
        made = done(ann.post("chats/batch", {"chats": [{"title": "One"}, {"hidden": True}, {}]}))
        assert [one["title"] for one in made] == ["One", None, None] and made[1]["hidden"]
        assert done(ann.post("chats/batch_delete", {"chat_ids": [made[0]["id"], made[2]["id"]] * 2})) is None
        assert ids(ann.get("chats", include_hidden=True)) == [made[1]["id"]]

    @pytest.mark.parametrize("chats", [[], [{}] * 101, [{}, {"title": "x" * 101}], [{}, {"title": " "}], [1], None])
    def test_all_of_them_or_none_are_made(self, ann: Api, chats: Any) -> None:
        refused(ann.post("chats/batch", {"chats": chats}), 422)
        assert not Chat.objects.exists()

    def test_all_of_them_or_none_are_deleted(self, ann: Api, ben: Api) -> None:
        mine, theirs = ann.new_chat(), ben.new_chat()
        refused(ann.post("chats/batch_delete", {"chat_ids": [1] * 100_000}), 422)  # not checked one by one
        refused(ann.post("chats/batch_delete", {"chat_ids": [mine, theirs]}), 404)
        refused(ann.post("chats/batch_delete", {"chat_ids": [mine, str(uuid4())]}), 404)
        for odd in ([], [mine] * 101, ["x"], None):
            refused(ann.post("chats/batch_delete", {"chat_ids": odd}), 422)
        assert Chat.objects.filter(deleted_at=None).count() == 2

    def test_there_is_a_limit(self, ann: Api, settings: Any) -> None:
        settings.RATE_LIMITS = True
        settings.LIMITS = {"chat_new_program": "200 per hour"}
        done(ann.post("chats/batch", {"chats": [{}] * 100}))
        done(ann.post("chats/batch", {"chats": [{}] * 50}))
        refused(ann.post("chats/batch", {"chats": [{}] * 100}), 429)
        done(ann.post("chats/batch", {"chats": [{}] * 50}))  # refused requests were not counted
        over = ann.post("chats", {})
        refused(over, 429)
        assert int(over["Retry-After"]) > 0 and Chat.objects.count() == 200


class TestList:
    def test_pages_by_cursor(self, ann: Api) -> None:
        chats = [ann.new_chat() for _ in range(5)][::-1]
        first = done(ann.get("chats", limit=2))
        assert [one["id"] for one in first["chats"]] == chats[:2] and first["prev"] is None
        second = ann.get("chats", limit=2, after=first["next"])
        assert ids(second) == chats[2:4] and 'rel="next"' in second["Link"]
        back = done(ann.get("chats", limit=2, before=second.json()["prev"]))
        assert [one["id"] for one in back["chats"]] == chats[:2] and back["next"] and back["prev"] is None
        last = done(ann.get("chats", limit=2, after=second.json()["next"]))
        assert [one["id"] for one in last["chats"]] == chats[4:] and last["next"] is None

    def test_what_was_used_last_comes_first(self, ann: Api) -> None:
        old, new = ann.new_chat(), ann.new_chat()
        assert ids(ann.get("chats")) == [new, old]
        ann.say(old)
        assert ids(ann.get("chats")) == [old, new]

    def test_ours_by_number_with_search_and_dates(self, ann: Api) -> None:
        chats = [ann.new_chat() for _ in range(3)]
        ann.say(chats[1], "Where do penguins live?")
        page = done(ann.get("chats", page=2, limit=2, sort="created_at", order="asc"))
        assert [one["id"] for one in page["chats"]] == chats[2:]
        assert (page["page"], page["pages"], page["total"]) == (2, 2, 3)
        assert ids(ann.get("chats", search="penguin")) == [chats[1]]
        tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
        assert ids(ann.get("chats", since=tomorrow)) == [] and len(ids(ann.get("chats", until=tomorrow))) == 3
        assert ids(ann.get("chats", model="tiny")) == []

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ({"limit": 0}, 422),
            ({"limit": 101}, 422),
            ({"limit": "many"}, 422),
            ({"after": "x"}, 400),
            ({"after": "eA", "before": "eA"}, 400),
            ({"sort": "user"}, 422),
            ({"since": "yesterday"}, 422),
            ({"search": "x" * 201}, 422),
            ({"page": 0}, 422),
        ],
    )
    def test_bad_questions(self, ann: Api, query: dict[str, Any], status: int) -> None:
        refused(ann.get("chats", **query), status)

    def test_a_chat_costs_the_same_however_long_it_is(self, ann: Api, django_assert_num_queries: Any) -> None:
        chat = ann.new_chat()
        for texts in (["One"], ["Two", "Three", "Four"]):
            for text in texts:
                done(ann.ask(chat, ann.say(chat, text)["id"]))
            with django_assert_num_queries(5):
                shown = done(ann.get(f"chats/{chat}"))
        assert len(shown["messages"]) == 8


class TestOddPaths:
    def test_both_spellings_of_the_slash(self, ann: Api) -> None:
        moved = ann.http.get("/inference/chats/")
        assert moved.status_code == 307 and moved["Location"].endswith("/inference/chats")
        assert ann.http.delete("/inference/account")["Location"].endswith("/inference/account/")

    @pytest.mark.parametrize(
        "path", ["", "nothing", "workers/sessions", "workers/work", "configs/plugin_config", "admin/workers", "metrics"]
    )
    def test_what_is_not_there(self, ann: Api, path: str) -> None:
        refused(ann.get(path), 404)

    def test_a_method_that_is_not_there(self, ann: Api) -> None:
        response = ann.post("configs/features", {})
        refused(response, 405)
        assert response["Allow"] == "GET"

    def test_configs_are_open(self, db: None, chat_on: None) -> None:
        nobody = Api()
        features = done(nobody.get("configs/features"))
        assert features["chat"] and not features["plugins"]
        (tiny,) = done(nobody.get("configs/model_configs"))
        presets = tiny["parameter_configs"]
        assert tiny["name"] == "tiny" and len(presets) == 8 and presets[0]["name"] == "k50"
        assert presets[0]["sampling_parameters"] == {
            "top_k": 50,
            "top_p": 0.95,
            "typical_p": None,
            "temperature": 0.75,
            "repetition_penalty": 1.2,
            "max_new_tokens": 1024,
        }
        assert done(nobody.get("configs/builtin_plugins")) == []

    def test_where_chat_is_off(self, db: None) -> None:
        nobody = Api()
        assert not done(nobody.get("configs/features"))["chat"]
        assert done(nobody.get("configs/model_configs")) == []
