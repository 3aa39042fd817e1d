"""The task protocol: requesting, acknowledging, declining, answering, closing, with all refusals."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from leaderboard.jobs import count_what_happened
from oasst.accounts.models import Identity, User
from tasks.models import Task
from tests.factories import decide, growing_tree, new_prompt, new_reply, work_until_state
from tests.wire.conftest import Wire, code_of, person, problems, work_on
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, Review, Skip

pytestmark = pytest.mark.django_db
ADA, BO, CY = person("Ada"), person("Bo"), person("Cy")
TYPES = {
    *("random", "summarize_story", "rate_summary", "initial_prompt", "prompter_reply", "assistant_reply"),
    *("rank_initial_prompts", "rank_prompter_replies", "rank_assistant_replies", "label_initial_prompt"),
    *("label_assistant_reply", "label_prompter_reply"),
}
ALL_LABELS = [
    *("spam", "lang_mismatch", "quality", "creativity", "humor", "toxicity", "violence", "not_appropriate"),
    *("pii", "hate_speech", "sexual_content"),
]
SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)


def done(response: Any) -> bool:
    return bool(response.status_code == 200 and response.json()["type"] == "task_done")


class TestPayloads:
    def test_initial_prompt(self, bot: Wire) -> None:
        task = bot.ask(ADA, "initial_prompt", lang="de").json()
        assert task == {"id": task["id"], "type": "initial_prompt", "hint": None}

    def test_label_initial_prompt(self, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice, "Explain tides to a child.")
        task = bot.ask(ADA, "label_initial_prompt").json()
        assert task["message_id"] == str(prompt.pk)
        assert task["valid_labels"] == ALL_LABELS == [label["name"] for label in task["labels"]]
        assert (task["mandatory_labels"], task["mode"], task["disposition"]) == (["spam"], "full", "quality")
        assert task["prompt"] == "Explain tides to a child." and "reply" not in task
        assert task["conversation"]["messages"] == [
            {
                "id": str(prompt.pk),
                "user_id": str(alice.pk),
                "frontend_message_id": str(prompt.pk),
                "text": "Explain tides to a child.",
                "lang": "en",
                "is_assistant": False,
                "emojis": {},
                "user_emojis": [],
                "user_is_author": False,
                "synthetic": False,
            }
        ]

    def test_a_simple_review(self, bot: Wire, alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tasks.assignment.random.random", lambda: 1.0)
        new_prompt(alice)
        task = bot.ask(ADA, "label_initial_prompt").json()
        # 1.0 is above even a certain full review.
        assert (task["mode"], task["disposition"]) == ("simple", "spam")
        assert task["valid_labels"] == ["spam", "lang_mismatch"]

    def test_replies(self, bot: Wire, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        task = bot.ask(ADA, "assistant_reply").json()
        assert set(task) == {"id", "type", "conversation"}
        assert [message["text"] for message in task["conversation"]["messages"]] == [prompt.text]
        decide(new_reply(prompt, bob))
        task = bot.ask(ADA, "prompter_reply").json()
        assert set(task) == {"id", "type", "conversation", "hint"} and task["hint"] is None
        assert [message["is_assistant"] for message in task["conversation"]["messages"]] == [False, True]

    def test_explicit_reviews_of_replies_are_full(self, bot: Wire, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        task = bot.ask(ADA, "label_assistant_reply").json()
        assert task["reply"] == reply.text and "prompt" not in task
        assert task["mode"] == "full"
        assert task["valid_labels"][2] == "fails_task" and task["valid_labels"][4] == "helpfulness"

    def test_ranking(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.RANKING, SMALL)
        task = bot.ask(ADA, "rank_assistant_replies").json()
        assert task["ranking_parent_id"] == task["message_tree_id"] == str(prompt.pk)
        assert [message["text"] for message in task["reply_messages"]] == task["replies"]
        assert len(task["replies"]) == 3 and task["reveal_synthetic"] is False
        assert {message["synthetic"] for message in task["reply_messages"]} == {None}
        assert task["conversation"]["messages"][-1]["id"] == str(prompt.pk)

    def test_only_models_are_revealed(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.RANKING, SMALL)
        Message.objects.filter(parent=prompt).update(synthetic=True)
        task = bot.ask(ADA, "rank_assistant_replies").json()
        assert task["reveal_synthetic"] is True
        assert {message["synthetic"] for message in task["reply_messages"]} == {True}

    def test_no_top_level_message(self, bot: Wire, alice: User) -> None:
        """A bot treats a member with that name as an error."""
        new_prompt(alice)
        for kind in ("initial_prompt", "label_initial_prompt"):
            assert "message" not in bot.ask(ADA, kind).json()


class TestAsking:
    @pytest.mark.parametrize("type", ["summarize_story", "rate_summary", "rank_initial_prompts", "assistant_reply"])
    def test_nothing_of_this_type(self, bot: Wire, type: str) -> None:
        response = bot.ask(ADA, type)
        assert code_of(response) == (503, 1006)
        assert int(response["Retry-After"]) > 0
        assert not Task.objects.exists()

    def test_without_a_user(self, bot: Wire) -> None:
        assert code_of(bot.post("tasks/", {"type": "random", "user": None, "collective": False, "lang": None})) == (
            400,
            4000,
        )
        assert code_of(bot.post("tasks/", {})) == (400, 4000)
        assert code_of(bot.ask({**ADA, "id": ""})) == (400, 2012)

    def test_a_user_is_made_and_renamed(self, bot: Wire) -> None:
        bot.ask(ADA, "initial_prompt")
        bot.ask({**ADA, "display_name": "Ada  L.\u202e"}, "initial_prompt")
        bot.ask({**ADA, "display_name": ""}, "initial_prompt")
        assert [user.display_name for user in User.objects.all()] == ["Ada L."]
        assert Identity.objects.get().username == "ada"

    def test_banned_people(self, bot: Wire) -> None:
        bot.ask(ADA, "initial_prompt")
        User.objects.update(enabled=False)
        for response in (bot.ask(ADA, "initial_prompt"), bot.post("tasks/availability", ADA)):
            assert code_of(response) == (503, 4001)
            assert response["Retry-After"]
        assert Task.objects.count() == 1

    def test_terms_where_the_site_asks_for_them(self, bot: Wire, settings: Any) -> None:
        settings.API_REQUIRES_TERMS = True
        assert code_of(bot.ask(ADA, "initial_prompt")) == (451, 4003)
        bot.post("frontend_users/", {**ADA, "tos_acceptance": True})
        assert bot.ask(ADA, "initial_prompt").status_code == 200

    def test_too_many_at_once(self, bot: Wire) -> None:
        for _ in range(8):
            assert bot.ask(ADA, "initial_prompt").status_code == 200
        response = bot.ask(ADA, "initial_prompt")
        assert code_of(response) == (400, 1012)
        assert response["Retry-After"] == "300"

    def test_too_often(self, bot: Wire) -> None:
        for _ in range(4):
            assert code_of(bot.ask(ADA, "assistant_reply")) == (503, 1006)
        response = bot.ask(ADA, "assistant_reply")
        assert code_of(response) == (429, 429)
        assert 0 < int(response["Retry-After"]) <= 120
        assert code_of(bot.ask(BO, "assistant_reply")) == (503, 1006)
        assert bot.ask(ADA, "initial_prompt").status_code == 200

    def test_languages(self, bot: Wire, alice: User) -> None:
        new_prompt(alice, lang="pt-BR")
        assert code_of(bot.ask(ADA, "label_initial_prompt", lang="pt")) == (503, 1006)
        assert bot.ask(ADA, "label_initial_prompt", lang="PT-br").status_code == 200
        assert bot.ask(ADA, "initial_prompt", lang="").status_code == 200
        assert Task.objects.get(kind="initial_prompt").lang == "en"
        assert problems(bot.ask(ADA, lang="x" * 33)) == {("body", "lang", "value_error.language")}

    def test_a_broken_conversation_is_not_offered(self, bot: Wire, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        new_reply(prompt, bob)
        Message.objects.filter(pk=prompt.pk).update(review_result=False)
        Opening.objects.exclude(work="label_assistant_reply").delete()
        assert code_of(bot.ask(ADA, "label_assistant_reply")) == (503, 1006)
        assert not Task.objects.filter(status="open").exists()


class TestAvailability:
    def test_twelve_types(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        counts = bot.post("tasks/availability", ADA).json()
        assert set(counts) == TYPES
        assert counts["label_initial_prompt"] == 1 and counts["initial_prompt"] > 0
        assert counts["random"] == sum(number for name, number in counts.items() if name != "random")
        assert bot.post("tasks/availability", ADA, lang="de").json()["label_initial_prompt"] == 0
        assert not Task.objects.exists()

    def test_nobody(self, bot: Wire) -> None:
        assert code_of(bot.post("tasks/availability")) == (400, 4000)
        response = bot.http.post("/api/v1/tasks/availability", "null", content_type="application/json")
        assert code_of(response) == (400, 4000)
        assert code_of(bot.post("tasks/availability", {**ADA, "id": ""})) == (400, 2012)


class TestAcknowledging:
    def test_it_is_repeatable(self, bot: Wire) -> None:
        task = bot.ask(ADA, "initial_prompt").json()
        assert [bot.ack(task, "a").status_code for _ in range(2)] == [204, 204]
        assert code_of(bot.ack(task, "b")) == (400, 2103)
        bot.interact(ADA, "text_reply_to_message", message_id="a", user_message_id="m", text="How?")
        assert bot.ack(task, "a").status_code == 204
        assert code_of(bot.ack(task, "b")) == (400, 2103)

    def test_refusals(self, bot: Wire, other: Wire) -> None:
        task = bot.ask(ADA, "initial_prompt").json()
        assert code_of(bot.ack({"id": uuid4()}, "a")) == (404, 2100)
        assert code_of(other.ack(task, "a")) == (404, 2100)
        assert code_of(bot.ack(task, "")) == (400, 2000)
        Task.objects.update(expires_at=timezone.now())
        assert code_of(bot.ack(task, "a")) == (400, 2101)
        assert Task.objects.get().frontend_message_id is None

    def test_one_id_names_one_task(self, bot: Wire, other: Wire) -> None:
        first, second = (bot.ask(ADA, "initial_prompt").json() for _ in range(2))
        bot.ack(first, "a")
        assert code_of(bot.ack(second, "a")) == (400, 2103)
        foreign = other.ask(ADA, "initial_prompt").json()
        assert other.ack(foreign, "a").status_code == 204

    def test_the_header_is_only_looked_up(self, bot: Wire) -> None:
        task = bot.ask(ADA, "initial_prompt").json()
        bot.post("frontend_users/", BO)
        path = f"tasks/{task['id']}/ack"
        assert code_of(bot.post(path, {"message_id": "a"}, user="local:nobody")) == (404, 4002)
        assert bot.post(path, {"message_id": "a"}, user="local:bo").status_code == 204


class TestDeclining:
    def nack(self, wire: Wire, task: Any, user: str = "local:ada", **body: Any) -> Any:
        return wire.post(f"tasks/{task['id']}/nack", body, user=user)

    def test_it_is_not_offered_again(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        task = bot.ask(ADA, "label_initial_prompt").json()
        assert self.nack(bot, task, reason="too technical").status_code == 204
        assert self.nack(bot, task).status_code == 204
        assert Skip.objects.get().note == "too technical"
        assert code_of(bot.ask(ADA, "label_initial_prompt")) == (503, 1006)
        assert bot.ask(BO, "label_initial_prompt").status_code == 200

    def test_without_a_header_it_is_the_owner(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        task = bot.ask(ADA, "label_initial_prompt").json()
        assert self.nack(bot, task, user="", reason="no").status_code == 204
        assert Skip.objects.get().author.display_name == "Ada"

    def test_refusals(self, bot: Wire, other: Wire, alice: User) -> None:
        new_prompt(alice)
        task = bot.ask(ADA, "label_initial_prompt").json()
        bot.post("frontend_users/", BO)
        other.post("frontend_users/", ADA)
        assert code_of(self.nack(bot, {"id": uuid4()})) == (400, 2100)
        assert code_of(self.nack(other, task)) == (400, 2100)
        assert code_of(self.nack(bot, task, user="local:bo")) == (400, 2106)
        assert code_of(self.nack(bot, task, user="local:nobody")) == (404, 4002)
        assert ("body", "reason", "value_error.any_str.max_length") in problems(self.nack(bot, task, reason="x" * 513))
        Task.objects.update(expires_at=timezone.now())
        assert code_of(self.nack(bot, task)) == (400, 2101)
        assert not Skip.objects.exists()
        User.objects.filter(display_name="Ada").update(enabled=False)
        assert code_of(self.nack(bot, task)) == (503, 4001)

    def test_a_done_task(self, bot: Wire) -> None:
        task = bot.take(ADA, "initial_prompt", "a")
        bot.interact(ADA, "text_reply_to_message", message_id="a", user_message_id="m", text="How?")
        assert code_of(self.nack(bot, task)) == (400, 2105)

    def test_an_answer_after_it_is_taken(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        task = bot.take(ADA, "label_initial_prompt", "a")
        self.nack(bot, task)
        response = bot.interact(
            ADA, "text_labels", message_id=task["message_id"], task_id=task["id"], text="", labels={"spam": 0}
        )
        assert done(response)
        assert Review.objects.count() == 1


class TestTexts:
    def reply(self, wire: Wire, **more: Any) -> Any:
        body = {"message_id": "a", "user_message_id": "m1", "text": "How do plants drink?", **more}
        return wire.post("tasks/interaction", {"type": "text_reply_to_message", "user": ADA, **body})

    def test_a_prompt(self, bot: Wire) -> None:
        task = bot.take(ADA, "initial_prompt", "a", lang="de")
        response = self.reply(bot)
        assert done(response) and response.json()["id"] != task["id"]
        message = Message.objects.get()
        assert (message.lang, message.text, message.frontend_message_id) == ("de", "How do plants drink?", "m1")
        assert message.tree.state == State.INITIAL_PROMPT_REVIEW
        stored = Task.objects.get()
        assert (stored.status, stored.result_message_id) == (Task.Status.DONE, message.pk)

    def test_the_language_of_the_answer(self, bot: Wire, alice: User) -> None:
        growing_tree(alice, lang="de")
        bot.take(ADA, "assistant_reply", "a", lang="de")
        assert done(self.reply(bot, lang=None))
        bot.take(BO, "assistant_reply", "b", lang="de")
        assert done(self.reply(bot, user=BO, message_id="b", user_message_id="m2", text="Else", lang="PT-br"))
        assert set(Message.objects.filter(depth=1).values_list("lang", flat=True)) == {"de", "pt-BR"}

    def test_refusals(self, bot: Wire, other: Wire) -> None:
        bot.take(ADA, "initial_prompt", "a")
        bot.post("frontend_users/", BO)
        assert code_of(self.reply(bot, message_id="")) == (400, 2000)
        assert code_of(self.reply(bot, user_message_id="")) == (400, 2000)
        assert code_of(self.reply(bot, message_id="unknown")) == (400, 2100)
        assert code_of(self.reply(other)) == (400, 2100)
        assert code_of(self.reply(bot, user=BO)) == (400, 2106)
        assert code_of(self.reply(bot, user_message_id="x" * 201)) == (400, 1004)
        assert problems(self.reply(bot, text=" \n ")) == {("body", "text", "value_error.any_str.min_length")}
        assert code_of(self.reply(bot, text="\u200b")) == (400, 1010)
        assert code_of(self.reply(bot, text="a" * 2001)) == (400, 1008)
        assert code_of(self.reply(bot, text="bell \x07")) == (400, 1004)
        assert not Message.objects.exists()
        assert Task.objects.get(frontend_message_id="a").status == Task.Status.OPEN
        assert done(self.reply(bot, text="a" * 2000))

    def test_done_and_expired(self, bot: Wire) -> None:
        bot.take(ADA, "initial_prompt", "a")
        assert done(self.reply(bot))
        assert code_of(self.reply(bot)) == (400, 2105)
        bot.take(ADA, "initial_prompt", "b")
        Task.objects.filter(frontend_message_id="b").update(expires_at=timezone.now())
        assert code_of(self.reply(bot, message_id="b", user_message_id="m2")) == (400, 2101)
        assert Message.objects.count() == 1

    def test_the_same_again(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        bot.take(ADA, "initial_prompt", "a")
        assert done(self.reply(bot))
        bot.take(ADA, "initial_prompt", "b")
        assert code_of(self.reply(bot, message_id="b", user_message_id="m2")) == (400, 1009)
        assert code_of(self.reply(bot, message_id="b", text="Another one?")) == (400, 1004)  # m1 is taken
        bot.take(ADA, "assistant_reply", "c")
        assert done(self.reply(bot, message_id="c", user_message_id="m3", text="By their roots."))
        Task.objects.filter(frontend_message_id="c").update(status="open", finished_at=None, result_message=None)
        assert code_of(self.reply(bot, message_id="c", user_message_id="m4", text="Through leaves.")) == (400, 1011)
        assert Message.objects.filter(parent=prompt).count() == 1

    def test_no_text_is_wanted(self, bot: Wire, alice: User) -> None:
        new_prompt(alice)
        bot.take(ADA, "label_initial_prompt", "a")
        assert code_of(self.reply(bot)) == (400, 2107)

    def test_a_stopped_tree(self, bot: Wire, site: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        bot.take(ADA, "assistant_reply", "a")
        site.put(f"messages/{prompt.pk}/tree/state", halt=True)
        assert code_of(self.reply(bot)) == (400, 2010)
        site.delete(f"messages/{prompt.pk}")
        assert code_of(self.reply(bot)) == (404, 2001)
        assert Message.objects.count() == 1

    def test_a_place_that_was_lost(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        bot.take(ADA, "assistant_reply", "a")
        Opening.objects.filter(message=prompt, holder=None).delete()
        Opening.objects.update(lease=uuid4())
        assert code_of(self.reply(bot)) == (400, 2101)

    def test_activity_and_streak(self, bot: Wire) -> None:
        """The outbox reader records them a moment later (`leaderboard.streaks`)."""
        user = bot.post("frontend_users/", ADA).json()
        assert (user["streak_days"], user["last_activity_date"]) == (None, None)
        assert user["streak_last_day_date"]
        bot.take(ADA, "initial_prompt", "a")
        self.reply(bot)
        count_what_happened()
        user = bot.get("frontend_users/local/ada").json()
        assert user["streak_days"] == 1 and user["last_activity_date"]


class TestRankings:
    @pytest.fixture
    def task(self, bot: Wire, alice: User) -> Any:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.RANKING, SMALL)
        return bot.take(ADA, "rank_assistant_replies", "a")

    def rank(self, bot: Wire, ranking: list[Any], **more: Any) -> Any:
        return bot.interact(ADA, "message_ranking", **{"message_id": "a", "ranking": ranking, **more})

    def test_best_first(self, bot: Wire, task: Any) -> None:
        assert done(self.rank(bot, ["2", 0, 1], not_rankable=None))
        shown = [message["id"] for message in task["reply_messages"]]
        stored = Ranking.objects.get()
        assert [str(one) for one in stored.ordered_ids] == [shown[2], shown[0], shown[1]]
        assert stored.not_rankable is False

    def test_not_rankable(self, bot: Wire, task: Any) -> None:
        assert done(self.rank(bot, [0, 1, 2], not_rankable=True))
        assert Ranking.objects.get().not_rankable is True

    @pytest.mark.parametrize("ranking", [[0, 1], [1, 2, 3], [0, 0, 1], [0, 1, 2, 3], [-1, 0, 1]])
    def test_no_permutation(self, bot: Wire, task: Any, ranking: list[int]) -> None:
        assert code_of(self.rank(bot, ranking)) == (400, 2003)
        assert not Ranking.objects.exists()
        assert done(self.rank(bot, [0, 1, 2]))

    def test_refusals(self, bot: Wire, task: Any) -> None:
        assert problems(self.rank(bot, [])) == {("body", "ranking", "value_error.list.min_items")}
        assert code_of(self.rank(bot, [0, 1, 2], message_id="unknown")) == (400, 2100)
        bot.take(ADA, "initial_prompt", "p")
        assert code_of(self.rank(bot, [0, 1], message_id="p")) == (400, 2102)
        gone = Message.objects.filter(depth=1).first()
        assert gone is not None
        Message.objects.filter(pk=gone.pk).update(deleted=True)
        assert code_of(self.rank(bot, [0, 1, 2])) == (400, 2011)
        assert not Ranking.objects.exists()

    def test_ratings_are_asked_for_by_no_task(self, bot: Wire, task: Any) -> None:
        assert code_of(bot.interact(ADA, "message_rating", message_id="a", rating=3)) == (400, 2102)
        assert code_of(bot.interact(ADA, "message_rating", message_id="b", rating=3)) == (400, 2100)
        assert problems(bot.interact(ADA, "message_rating", message_id="a", rating=0)) == {
            ("body", "rating", "value_error.number.not_gt")
        }


class TestLabels:
    @pytest.fixture
    def prompt(self, alice: User) -> Message:
        return new_prompt(alice)

    @pytest.fixture
    def task(self, bot: Wire, prompt: Message) -> Any:
        return bot.take(ADA, "label_initial_prompt", "a")

    def label(self, wire: Wire, task: Any, labels: Any, who: Any = ADA, **more: Any) -> Any:
        body = {"message_id": task["message_id"], "task_id": task["id"], "text": "", "labels": labels, **more}
        return wire.interact(who, "text_labels", **body)

    def test_strings_are_numbers(self, bot: Wire, task: Any) -> None:
        assert done(self.label(bot, task, dict.fromkeys(task["valid_labels"], "0")))
        review = Review.objects.get()
        assert review.kind == Review.Kind.REVIEW and review.labels["spam"] == 0

    def test_refusals(self, bot: Wire, other: Wire, task: Any) -> None:
        bot.post("frontend_users/", BO)
        assert problems(self.label(bot, task, {"nonsense": 1})) == {("body", "labels", "nonsense", "type_error.enum")}
        assert problems(self.label(bot, task, {"spam": 2})) == {("body", "labels", "spam", "value_error.number.not_le")}
        assert problems(self.label(bot, task, {"spam": None})) == {
            ("body", "labels", "spam", "type_error.none.not_allowed")
        }
        assert problems(self.label(bot, task, {"spam": "NaN"})) != set()
        assert code_of(self.label(bot, task, {"spam": 0, "fails_task": 0})) == (400, 2051)
        assert code_of(self.label(bot, task, {"quality": 1})) == (400, 2052)
        assert code_of(self.label(bot, task, {"spam": 0}, message_id=str(uuid4()))) == (400, 2050)
        assert code_of(self.label(bot, task, {"spam": 0}, task_id=str(uuid4()))) == (400, 2100)
        assert code_of(self.label(other, task, {"spam": 0})) == (400, 2100)
        assert code_of(self.label(bot, task, {"spam": 0}, who=BO)) == (400, 2106)
        prompt_task = bot.take(ADA, "initial_prompt", "p")
        assert code_of(self.label(bot, task, {"spam": 0}, task_id=prompt_task["id"])) == (400, 2102)
        assert not Review.objects.exists()
        assert done(self.label(bot, task, {"spam": 0}))
        assert code_of(self.label(bot, task, {"spam": 0})) == (400, 2105)

    def test_it_must_be_acknowledged(self, bot: Wire, prompt: Message) -> None:
        task = bot.ask(ADA, "label_initial_prompt").json()
        assert code_of(self.label(bot, task, {"spam": 0})) == (400, 2104)
        assert not Review.objects.exists()

    def test_own_messages_and_twice(self, bot: Wire, task: Any) -> None:
        ada = User.objects.get(display_name="Ada")
        Message.objects.update(author=ada)
        assert code_of(self.label(bot, task, {"spam": 0})) == (400, 2053)
        Message.objects.update(author=None)
        Review.objects.create(
            message_id=task["message_id"], revision_id=task["message_id"], author=ada, labels={"spam": 0}
        )
        assert code_of(self.label(bot, task, {"spam": 0})) == (400, 2053)

    def test_a_reply_is_known_by_its_task(self, bot: Wire, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        task = bot.take(ADA, "label_assistant_reply", "a")
        assert done(self.label(bot, task, {"spam": 0}, message_id=str(uuid4())))
        assert Review.objects.filter(author__display_name="Ada").get().message_id == reply.pk

    def test_the_older_door_decides_too(self, bot: Wire, prompt: Message) -> None:
        for name in ("Ada", "Bo", "Cy"):
            if not Opening.objects.exists():
                break
            who = person(name)
            task = bot.take(who, "label_initial_prompt", name)
            body = {"type": "text_labels", "user": who, "message_id": task["message_id"], "task_id": task["id"]}
            response = bot.post("text_labels/", {**body, "text": "", "labels": {"spam": 0}})
            assert (response.status_code, response.content) == (204, b"")
        prompt.refresh_from_db()
        assert prompt.review_result is True

    def test_free_ones(self, bot: Wire, prompt: Message) -> None:
        body = {"message_id": str(prompt.pk), "text": "x"}
        assert done(bot.interact(ADA, "text_labels", **body, labels={"humor": 1}))
        response = bot.post("text_labels/", {"user": ADA, **body, "labels": {"humor": 0.5, "fails_task": 0}})
        assert response.status_code == 204
        review = Review.objects.get()
        assert (review.kind, review.labels) == (Review.Kind.FREE, {"humor": 0.5, "fails_task": 0.0})
        prompt.refresh_from_db()
        assert prompt.review_count == 0
        body = {"message_id": str(uuid4()), "text": "", "labels": {"spam": 0}}
        assert code_of(bot.post("text_labels/", {"user": ADA, **body})) == (404, 2001)
        assert code_of(bot.interact(ADA, "text_labels", **body)) == (404, 2001)

    def test_reports(self, bot: Wire, prompt: Message) -> None:
        body = {"type": "text_labels", "user": ADA, "text": "This is rude.", "is_report": True, "labels": []}
        for _ in range(2):
            assert bot.post("text_labels/", {**body, "message_id": str(prompt.pk)}).status_code == 204
        assert bot.get(f"messages/{prompt.pk}").json()["emojis"] == {"red_flag": 1}
        report = prompt.reports.get()
        assert report.text == "This is rude." and report.category == "other"  # twice is harmless
        assert code_of(bot.post("text_labels/", {**body, "message_id": str(uuid4())})) == (404, 2001)


class TestShapes:
    """An interaction without a type gets the first schema that its members fit."""

    def test_by_members(self, bot: Wire, alice: User) -> None:
        bot.take(ADA, "initial_prompt", "a")
        body: dict[str, Any] = {"user": ADA, "message_id": "a", "user_message_id": "m", "text": "How?"}
        assert done(bot.post("tasks/interaction", body))
        assert code_of(bot.post("tasks/interaction", {"user": ADA, "message_id": "b", "rating": 1})) == (400, 2100)
        assert code_of(bot.post("tasks/interaction", {"user": ADA, "message_id": "b", "ranking": [0]})) == (400, 2100)
        message = new_prompt(alice)
        labels = {"user": ADA, "message_id": str(message.pk), "text": "", "labels": {"humor": 1}}
        assert done(bot.post("tasks/interaction", labels))

    def test_pairs_for_objects(self, bot: Wire, alice: User) -> None:
        body: dict[str, Any] = {"user": ADA, "message_id": str(new_prompt(alice).pk), "text": ""}
        assert done(bot.post("tasks/interaction", list({**body, "labels": [["humor", "1"]]}.items())))
        assert Review.objects.get().labels == {"humor": 1}
        assert done(
            bot.post("tasks/interaction", {**body, "user": BO, "labels": "", "is_report": True, "text": "Rude"})
        )
        wrong = {**body, "type": "text_labels", "user": CY}
        assert problems(bot.post("tasks/interaction", {**wrong, "labels": [["humour", 1]]})) == {
            ("body", "labels", "humour", "type_error.enum")
        }
        for labels in (["humor"], [[1, 1]], 7):
            assert problems(bot.post("tasks/interaction", {**wrong, "labels": labels})) == {
                ("body", "labels", "type_error.dict")
            }

    def test_none_of_them(self, bot: Wire) -> None:
        missing = {name for *_, name, kind in problems(bot.post("tasks/interaction", {})) if kind.endswith("missing")}
        assert missing == {"user", "message_id", "user_message_id", "text", "rating", "ranking", "labels"}
        assert problems(bot.post("tasks/interaction", {"type": "nonsense", "user": ADA})) == {
            ("body", "type", "value_error.const")
        }
        assert problems(bot.post("tasks/interaction", {"type": 7})) == {("body", "type", "value_error.const")}


class TestCollective:
    def test_everybody_may_answer_until_it_is_closed(self, bot: Wire, alice: User) -> None:
        prompt = growing_tree(alice)
        task = bot.ask(ADA, "assistant_reply", collective=True).json()
        bot.ack(task, "all")
        assert not Opening.objects.exclude(holder=None).exists()
        for number, who in enumerate((ADA, BO)):
            response = bot.interact(
                who, "text_reply_to_message", message_id="all", user_message_id=f"m{number}", text=f"Text {number}"
            )
            assert done(response), response.json()
        assert Message.objects.filter(parent=prompt).count() == 2
        again = bot.interact(ADA, "text_reply_to_message", message_id="all", user_message_id="m9", text="More")
        assert code_of(again) == (400, 1011)
        assert Task.objects.filter(status="open").count() == 1
        assert done(bot.post("tasks/close", {"message_id": "all"}))
        assert code_of(bot.post("tasks/close", {"message_id": "all"})) == (400, 2105)
        late = bot.interact(CY, "text_reply_to_message", message_id="all", user_message_id="m7", text="Late")
        assert code_of(late) == (400, 2105)

    def test_closing_refused(self, bot: Wire, other: Wire) -> None:
        bot.take(ADA, "initial_prompt", "a")
        assert code_of(bot.post("tasks/close", {"message_id": "a"})) == (400, 2106)
        assert code_of(other.post("tasks/close", {"message_id": "a"})) == (404, 2100)
        assert code_of(bot.post("tasks/close", {"message_id": ""})) == (400, 2000)
        assert Task.objects.get().status == Task.Status.OPEN

    def test_declining_is_personal(self, bot: Wire, alice: User) -> None:
        growing_tree(alice)
        task = bot.ask(ADA, "assistant_reply", collective=True).json()
        bot.post("frontend_users/", BO)
        assert bot.post(f"tasks/{task['id']}/nack", {}, user="local:bo").status_code == 204
        assert Skip.objects.get().author.display_name == "Bo"
        assert Task.objects.get().status == Task.Status.OPEN


def test_a_tree_from_prompt_to_export_over_the_wire(bot: Wire, site: Wire) -> None:
    prompt = bot.write(ADA, "How do plants drink?", "m1")
    for name in [f"P{number}" for number in range(40)]:
        if MessageTree.objects.get(pk=prompt.pk).state == State.READY_FOR_EXPORT:
            break
        _contribute(bot, person(name))
    else:
        work_on(prompt, State.READY_FOR_EXPORT)
    assert site.get(f"messages/{prompt.pk}/tree/state").json()["state"] == "ready_for_export"
    tree = site.get(f"messages/{prompt.pk}/tree").json()["messages"]
    assert {message["rank"] for message in tree if message["parent_id"]} >= {0, 1}


def _contribute(bot: Wire, who: dict[str, str]) -> None:
    for number in range(6):
        response = bot.ask(who)
        if response.status_code != 200 or response.json()["type"] == "initial_prompt":
            return
        task, name = response.json(), f"{who['id']}-{number}"
        bot.ack(task, name)
        if "valid_labels" in task:
            response = bot.interact(
                who, "text_labels", message_id=task["message_id"], task_id=task["id"], text="", labels={"spam": 0}
            )
        elif "replies" in task:
            order = list(range(len(task["replies"])))
            response = bot.interact(who, "message_ranking", message_id=name, ranking=order)
        else:
            response = bot.interact(
                who, "text_reply_to_message", message_id=name, user_message_id=f"m-{name}", text=f"Text {name}"
            )
        assert done(response), response.json()


class TestPools:
    """A language is a pool of work: any well-formed tag, in one spelling."""

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("PT-br", "pt-BR"), ("ZH-hant", "zh-Hant"), ("x-medicine", "x-medicine"), ("Chemistry", "chemistry")],
    )
    def test_any_tag_is_a_pool_of_its_own(self, bot: Wire, given: str, kept: str) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1", lang=given)
        assert prompt.lang == prompt.tree.lang == kept
        assert bot.post("tasks/availability", person("Bo"), lang=given.upper()).json()["label_initial_prompt"] == 1
        assert bot.post("tasks/availability", person("Bo"), lang="en").json()["label_initial_prompt"] == 0
        assert bot.ask(person("Bo"), "label_initial_prompt", lang=given.lower()).status_code == 200

    @pytest.mark.parametrize("given", ["a" * 33, "e n", "en_US", "-en", "én"])
    def test_no_tag(self, bot: Wire, given: str) -> None:
        assert bot.ask(ADA, "initial_prompt", lang=given).status_code == 422
        assert not Task.objects.exists()
