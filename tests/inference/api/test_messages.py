"""Messages for clients of Open-Assistant's server: ask, read, vote, compare, report."""

from typing import Any
from uuid import uuid4

import pytest

from inference.models import Chat, ChatMessage, ChatReport, DraftChoice, Turn, Vote
from inference.turns.states import TurnState
from oasst.accounts.models import User
from tests.inference.api.conftest import GREEDY, Api, answered, done, path_of, refused, turn_of

pytestmark = pytest.mark.django_db


def stored() -> tuple[int, ...]:
    kinds = (Chat, ChatMessage, Turn, Vote, ChatReport, DraftChoice)
    return tuple(kind._default_manager.count() for kind in kinds)


class TestAsking:
    def test_it_works(self, ann: Api) -> None:
        chat = ann.new_chat()
        said = ann.say(chat, "Hello")
        assert (said["role"], said["state"], said["content"], said["parent_id"]) == (
            "prompter",
            "manual",
            "Hello",
            None,
        )
        assert said["work_parameters"] is None and said["score"] == 0 and said["reports"] == []
        asked = done(ann.ask(chat, said["id"]))
        assert (asked["role"], asked["state"], asked["content"]) == ("assistant", "pending", None)
        assert (asked["parent_id"], asked["chat_id"]) == (said["id"], chat)
        work = asked["work_parameters"]
        assert work["model_config"]["model_id"] == "tiny" and not work["do_sample"]
        assert work["sampling_parameters"]["max_new_tokens"] == 60
        answered(asked)
        now = done(ann.get(path_of(asked)))
        assert (now["state"], now["content"]) == ("complete", "An answer.")
        assert done(ann.get(f"chats/{chat}"))["messages"] == [said, now]
        assert ann.say(chat, "Go on", parent=asked["id"])["parent_id"] == asked["id"]

    def test_indentation_and_every_line_break_are_kept(self, ann: Api) -> None:
        said = ann.say(ann.new_chat(), "\n    x = 1\x0b    y = 2\u2028z\r\n")
        assert said["content"] == "    x = 1\n    y = 2\nz"

    def test_the_settings_of_the_reference_reach_the_turn(self, ann: Api) -> None:
        asked = ann.ask_anew(
            sampling_parameters={
                "top_k": 50,
                "top_p": 0.95,
                "typical_p": None,
                "temperature": 0.75,
                "repetition_penalty": 1.2,
                "max_new_tokens": 17,
                "unknown": 1,
            }
        )
        kept = turn_of(asked).sampling
        assert (kept["top_k"], kept["top_p"], kept["temperature"], kept["max_tokens"]) == (50, 0.95, 0.75, 17)
        assert asked["work_parameters"]["seed"] == kept["seed"] and asked["work_parameters"]["do_sample"]

    @pytest.mark.parametrize("sampling", [None, {}, {"max_new_tokens": None}])
    def test_nothing_chosen(self, ann: Api, sampling: Any) -> None:
        assert ann.ask_anew(sampling_parameters=sampling)["work_parameters"]["sampling_parameters"]["max_new_tokens"]

    def test_instructions_of_one_answer(self, ann: Api) -> None:
        asked = ann.ask_anew(system_prompt="Be brief.", user_profile="I bake.", user_response_instructions="In rhyme.")
        told = turn_of(asked).system_prompt
        assert told.startswith("Be brief.") and "I bake." in told and told.endswith("In rhyme.")
        chat = Chat.objects.get()
        assert chat.system_prompt == "" and asked["work_parameters"]["system_prompt"] == told
        Chat.objects.update(system_prompt="Be long.")
        again = done(ann.ask(str(chat.pk), asked["parent_id"]))
        assert turn_of(again).system_prompt == "Be long.", "those of the chat where the request has none"

    def test_plugins_are_taken_and_left_alone(self, ann: Api) -> None:
        asked = ann.ask_anew(plugins=[{"url": "http://169.254.169.254/", "enabled": True}], used_plugin={"x": 1})
        assert asked["work_parameters"]["plugins"] == [] and asked["used_plugin"] is None

    @pytest.mark.parametrize(
        ("state", "shown", "content"),
        [
            (TurnState.STOPPED, "complete", "Some"),
            (TurnState.FAILED, "aborted_by_worker", "Some"),
            (TurnState.TIMED_OUT, "timeout", "Some"),
        ],
    )
    def test_how_an_answer_may_end(self, ann: Api, state: TurnState, shown: str, content: str) -> None:
        asked = ann.ask_anew()
        answered(asked, "Some", state)
        now = done(ann.get(path_of(asked)))
        assert (now["state"], now["content"]) == (shown, content)
        assert ann.get(f"{path_of(asked)}/events").status_code == 204

    def test_stopping(self, ann: Api, ben: Api) -> None:
        asked = ann.ask_anew()
        refused(ben.post(f"{path_of(asked)}/stop"), 404)
        assert turn_of(asked).state == "pending"
        assert done(ann.post(f"{path_of(asked)}/stop")) is None
        assert turn_of(asked).state == "stopped"


class TestRefused:
    """And nothing is stored."""

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"content": ""}, 422),
            ({"content": " \n"}, 422),
            ({"content": "x" * 20_001}, 413),
            ({"content": "\0"}, 422),
            ({"content": "\ud800"}, 422),
            ({"content": None}, 422),
            ({}, 422),
            ({"content": "Hi", "parent_id": "x"}, 422),
            ({"content": "Hi", "parent_id": str(uuid4())}, 400),
        ],
    )
    def test_messages(self, ann: Api, body: dict[str, Any], status: int) -> None:
        chat = ann.new_chat()
        before = stored()
        refused(ann.post(f"chats/{chat}/prompter_message", body), status)
        assert stored() == before

    def test_a_body_that_is_too_large(self, ann: Api) -> None:
        chat = ann.new_chat()
        before = stored()
        response = ann.post(f"chats/{chat}/prompter_message", {"content": "x" * 3_000_000})
        assert response.status_code == 413
        assert response.json() == {"detail": "The body is too large.", "code": "too_large"}
        assert stored() == before

    def test_parents(self, ann: Api, ben: Api) -> None:
        mine, theirs = ann.ask_anew(), ben.ask_anew()
        other_chat = ann.new_chat()
        before = stored()
        say = f"chats/{mine['chat_id']}/prompter_message"
        for parent in (mine["id"], mine["parent_id"], theirs["id"], theirs["parent_id"]):
            refused(ann.post(say, {"content": "Hi", "parent_id": parent}), 400)
        for chat, parent, status in [
            (mine["chat_id"], mine["id"], 400),  # an answer
            (mine["chat_id"], theirs["parent_id"], 400),
            (mine["chat_id"], str(uuid4()), 400),
            (other_chat, mine["parent_id"], 400),  # of another chat of theirs
            (theirs["chat_id"], theirs["parent_id"], 404),
        ]:
            refused(ann.ask(chat, parent), status)
        assert stored() == before

    @pytest.mark.parametrize(
        ("more", "place"),
        [
            ({"model_config_name": "gpt-9"}, "There is no model called"),
            ({"sampling_parameters": {"temperature": -1}}, "body.sampling_parameters.temperature"),
            ({"sampling_parameters": {"temperature": "nan"}}, "body.sampling_parameters.temperature"),
            ({"sampling_parameters": {"top_p": 0}}, "body.sampling_parameters.top_p"),
            ({"sampling_parameters": {"max_new_tokens": 0}}, "body.sampling_parameters.max_new_tokens"),
            ({"sampling_parameters": ["top_k"]}, "body.sampling_parameters"),
            ({"user_response_instructions": "x" * 2001}, "body.user_response_instructions"),
            ({"parent_id": None}, "body.parent_id"),
            ({"plugins": "all"}, "body.plugins"),
        ],
    )
    def test_settings(self, ann: Api, more: dict[str, Any], place: str) -> None:
        chat = ann.new_chat()
        said = ann.say(chat)
        before = stored()
        assert refused(ann.ask(chat, said["id"], **more), 422).startswith(place)
        assert stored() == before

    def test_a_full_queue_is_an_honest_503(self, ann: Api, ben: Api, settings: Any, monkeypatch: Any) -> None:
        from inference.policy import ChatPolicy

        monkeypatch.setattr("inference.api.messages.current_policy", lambda: ChatPolicy(queue_limit=1))
        ben.ask_anew()
        chat = ann.new_chat()
        said = ann.say(chat)
        before = stored()
        response = ann.ask(chat, said["id"])
        assert "waiting" in refused(response, 503) and 1 <= int(response["Retry-After"]) <= 60
        assert response.json()["code"] == "queue_full" and stored() == before

    def test_too_many_at_once_and_a_full_chat(self, ann: Api, monkeypatch: Any) -> None:
        from inference.policy import ChatPolicy

        asked = ann.ask_anew()
        chat, prompt = asked["chat_id"], asked["parent_id"]
        for _ in range(9):  # more than are answered at once, so some wait
            done(ann.ask(chat, prompt))
        monkeypatch.setattr("inference.api.messages.current_policy", lambda: ChatPolicy(queue_limit=20))
        over = ann.ask(chat, prompt)
        assert refused(over, 429) and 1 <= int(over["Retry-After"]) <= 60
        monkeypatch.setattr("inference.api.messages.current_policy", lambda: ChatPolicy(messages_in_chat=4))
        refused(ann.ask(chat, prompt), 413)
        refused(ann.post(f"chats/{chat}/prompter_message", {"content": "Hi"}), 413)
        monkeypatch.setattr("inference.api.messages.current_policy", lambda: ChatPolicy(characters_in_chat=20))
        refused(ann.post(f"chats/{chat}/prompter_message", {"content": "x" * 21}), 413)

    def test_the_rate_limit(self, ann: Api, settings: Any) -> None:
        settings.RATE_LIMITS = True
        settings.LIMITS = {"chat_turn_program": "21 per 10 minutes"}
        chat = ann.new_chat()
        said = ann.say(chat)
        for _ in range(21):  # one more than at the pages
            asked = done(ann.ask(chat, said["id"]))
            done(ann.post(f"{path_of(asked)}/stop"))
        before = stored()
        over = ann.ask(chat, said["id"])
        refused(over, 429)
        assert 0 < int(over["Retry-After"]) <= 600 and stored() == before

    def test_where_chat_is_off(self, ann: Api, settings: Any) -> None:
        chat = ann.new_chat()
        said = ann.say(chat)
        settings.OASST_CHAT_MODEL = "none"
        refused(ann.ask(chat, said["id"]), 422)

    def test_others_messages_do_not_exist(self, ann: Api, ben: Api) -> None:
        theirs = ben.ask_anew()
        answered(theirs)
        mine = ann.ask_anew()
        before = stored()
        for path in (path_of(theirs), f"chats/{mine['chat_id']}/messages/{theirs['id']}"):
            for response in (
                ann.get(path),
                ann.get(f"{path}/events"),
                ann.post(f"{path}/votes", {"score": 1}),
                ann.post(f"{path}/reports", {"report_type": "spam", "reason": "x"}),
                ann.post(f"{path}/message_evals", {"inferior_message_ids": [mine["id"]]}),
                ann.post(f"{path}/stop"),
            ):
                refused(response, 404)
        refused(ann.get(f"chats/{ann.new_chat()}/messages/{mine['id']}"), 404)
        assert stored() == (before[0] + 1, *before[1:])


class TestVotesAndReports:
    def test_a_vote_is_the_present_thumb(self, ann: Api) -> None:
        asked = ann.ask_anew()
        answered(asked)
        for score in (1, -1, 0):
            assert done(ann.post(f"{path_of(asked)}/votes", {"score": score})) is None
            assert done(ann.get(path_of(asked)))["score"] == score
        for odd in (2, -2, "up", None):
            refused(ann.post(f"{path_of(asked)}/votes", {"score": odd}), 422)
        prompt = {**asked, "id": asked["parent_id"]}
        refused(ann.post(f"{path_of(prompt)}/votes", {"score": 1}), 400)
        refused(ann.get(f"{path_of(prompt)}/events"), 400)
        assert not Vote.objects.exists()

    def test_reports(self, ann: Api) -> None:
        asked = ann.ask_anew()
        answered(asked)
        path = f"{path_of(asked)}/reports"
        for kind in ("spam", "offensive", "feedback"):
            assert done(ann.post(path, {"report_type": kind, "reason": f"It is {kind}."})) is None
        shown = done(ann.get(path_of(asked)))["reports"]
        assert [one["report_type"] for one in shown] == ["spam", "offensive", "feedback"]
        assert shown[0]["reason"] == "It is spam."
        for body in ({"report_type": "rude", "reason": "x"}, {"report_type": "spam", "reason": " "}, {}):
            refused(ann.post(path, body), 422)
        assert ChatReport.objects.count() == 3


class TestComparing:
    @pytest.fixture
    def drafts(self, ann: Api) -> list[dict[str, Any]]:
        first = ann.ask_anew()
        found = [first, *(done(ann.ask(first["chat_id"], first["parent_id"])) for _ in range(2))]
        for draft in found:
            answered(draft)
        return found

    def choose(self, api: Api, chosen: dict[str, Any], *rejected: dict[str, Any]) -> Any:
        return api.post(f"{path_of(chosen)}/message_evals", {"inferior_message_ids": [one["id"] for one in rejected]})

    def test_it_works(self, ann: Api, alice: User, drafts: list[dict[str, Any]]) -> None:
        assert done(self.choose(ann, *drafts)) is None
        choice = DraftChoice.objects.get()
        assert (choice.user, str(choice.chosen_id)) == (alice, drafts[0]["id"]) and choice.chosen_at
        assert {str(one.pk) for one in choice.rejected.all()} == {drafts[1]["id"], drafts[2]["id"]}

    def test_said_twice_it_is_kept_once_and_what_is_said_last_counts(
        self, ann: Api, drafts: list[dict[str, Any]]
    ) -> None:
        for _ in range(2):
            done(self.choose(ann, *drafts))
        assert DraftChoice.objects.count() == 1
        done(self.choose(ann, drafts[1], drafts[0], drafts[2]))
        choice = DraftChoice.objects.get()
        assert str(choice.chosen_id) == drafts[1]["id"] and choice.rejected.count() == 2

    def test_only_complete_answers_to_the_same_message(self, ann: Api, ben: Api, drafts: list[dict[str, Any]]) -> None:
        waiting = done(ann.ask(drafts[0]["chat_id"], drafts[0]["parent_id"]))
        elsewhere, theirs = ann.ask_anew(), ben.ask_anew()
        prompt = {**drafts[0], "id": drafts[0]["parent_id"]}
        for rejected in ([waiting], [elsewhere], [theirs], [prompt], [drafts[0]], [], [drafts[1], theirs]):
            refused(self.choose(ann, drafts[0], *rejected), 422)
        refused(self.choose(ann, waiting, drafts[0]), 422)
        refused(self.choose(ann, prompt, drafts[0]), 400)
        assert not DraftChoice.objects.exists()


def test_greedy_is_what_is_asked_for(ann: Api) -> None:
    assert ann.ask_anew(sampling_parameters=GREEDY)["work_parameters"]["sampling_parameters"]["temperature"] == 0
