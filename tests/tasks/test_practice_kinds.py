"""Practice with rankings and "accepted or not", and the texts that administrators choose for practice."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from tasks.models import Task
from tests.factories import growing_tree, new_person, work_until_state
from tests.tasks.test_practice import SMALL, answer_of, finished
from tests.trees.exploring.test_being_reviewed import hold
from trees.contributing import examples, gold, practice, practice_rankings, practice_texts
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import GoldMessage, Message, Practice, PracticeText, Ranking, Review

pytestmark = pytest.mark.django_db
__all__ = ["finished"]  # a fixture
RANKING, REVIEW = PracticeText.Exercise.RANKING, PracticeText.Exercise.REVIEW
WHY = "It says when, how much and for whom."


class Coin(random.Random):
    """Prefers what administrators chose."""

    def randrange(self, *args: Any, **kwargs: Any) -> int:
        return 1


@pytest.fixture
def ida() -> User:
    return new_person("Ida", "admin")


@pytest.fixture
def chosen(finished: Message, ida: User, monkeypatch: pytest.MonkeyPatch) -> Message:
    """An answer that an administrator chose; it is in the half of the messages that do not come by themselves."""
    monkeypatch.setattr(practice, "_is_for_practice", lambda message_id: False)
    choose(answer_of(finished), ida)
    return answer_of(finished)


def choose(message: Message, actor: User, exercise: PracticeText.Exercise = REVIEW, why: str = WHY) -> PracticeText:
    return practice_texts.choose_text(
        message_id=message.pk, exercise=exercise, actor=actor, reason=why, policy=TreePolicy()
    )


def draw(**options: Any) -> practice.PracticeItem:
    return practice.choose(
        Work.LABEL_ASSISTANT_REPLY, ["en"], **{"person": None, "rng": Coin(1), "explained": True, **options}
    )


def draw_ranking(**options: Any) -> practice_rankings.RankingItem:
    return practice_rankings.choose_ranking(
        Work.RANK_ASSISTANT_REPLIES, ["en"], **{"person": None, "rng": Coin(1), **options}
    )


def order(item: practice_rankings.RankingItem, *places: int) -> dict[str, str]:
    return {f"rank_{reply.pk}": str(place) for reply, place in zip(item.best_first, places, strict=True)}


class TestChosenTexts:
    def test_it_comes_with_its_explanation(self, chosen: Message) -> None:
        item = draw()
        assert (item.message_id, item.why, item.is_accepted) == (chosen.pk, WHY, True)
        page = Client().post(reverse("practice_item", args=[chosen.pk]), {"spam": "0"}).text
        assert WHY in page and Practice.objects.count() == 0

    def test_without_one_there_are_the_examples(self, finished: Message) -> None:
        assert draw().is_example and draw_ranking().is_example

    def test_not_again_to_who_practiced_wrote_or_reviewed(self, chosen: Message, bob: User) -> None:
        assert draw(person=bob).message_id == chosen.pk
        client = Client()
        client.force_login(bob)
        client.post(reverse("practice_item", args=[chosen.pk]), {"spam": "0"})
        assert draw(person=bob).is_example
        assert chosen.author and draw(person=chosen.author).is_example
        assert draw(seen={str(chosen.pk)}).is_example

    @pytest.mark.parametrize(
        "change", [{"hidden": True}, {"deleted": True}, {"withdrawn": True}, {"review_result": False}]
    )
    def test_not_once_it_is_gone(self, chosen: Message, change: dict[str, Any]) -> None:
        Message.objects.filter(pk=chosen.pk).update(**change)
        assert draw().is_example
        with pytest.raises(NotFound):
            practice.get_item(str(chosen.pk))

    def test_not_after_an_edit(self, chosen: Message) -> None:
        revision = chosen.revisions.create(text="Other words")
        Message.objects.filter(pk=chosen.pk).update(revision=revision)
        assert draw().is_example

    def test_ended(self, chosen: Message, ida: User) -> None:
        row = PracticeText.objects.get()
        practice_texts.end(text_id=row.pk, actor=ida, reason="Enough.", policy=TreePolicy())
        assert draw().is_example
        for change in (practice_texts.end, practice_texts.explain):
            with pytest.raises(Conflict):
                change(text_id=row.pk, actor=ida, reason="Enough.", policy=TreePolicy())

    def test_the_explanation_can_be_replaced(self, chosen: Message, ida: User) -> None:
        practice_texts.explain(
            text_id=PracticeText.objects.get().pk, actor=ida, reason="Better said.", policy=TreePolicy()
        )
        assert draw().why == "Better said."
        choose(chosen, ida, why="Said a third time.")
        assert draw().why == "Said a third time." and PracticeText.objects.count() == 1

    def test_few_statements_also_with_ten_times_as_many(
        self, chosen: Message, ida: User, alice: User, django_assert_max_num_queries: Callable[[int], Any]
    ) -> None:
        for _ in range(4):
            prompt = growing_tree(alice, SMALL)
            work_until_state(prompt.tree_id, State.READY_FOR_EXPORT, SMALL)
            for reply in Message.objects.filter(parent=prompt):
                Review.objects.filter(message=reply).update(labels={"spam": 0, "quality": 0.75})
                choose(reply, ida)
        reader = new_person("Reader")
        with django_assert_max_num_queries(7):
            assert not draw(person=reader).is_example


class TestWhileReviewing:
    """Otherwise practice would tell that an open review is a check, and even what others answered (decision 130)."""

    def test_not_in_a_conversation_that_one_reviews(self, chosen: Message, ida: User, bob: User) -> None:
        choose(chosen.parent or chosen, ida, RANKING)
        reader = Client()
        reader.force_login(bob)
        pages = [reverse(f"practice_{name}", args=[chosen.pk]) for name in ("item", "verdict")]
        pages.append(reverse("practice_ranking", args=[chosen.parent_id]))
        assert [reader.get(page).status_code for page in pages] == [200] * 3
        task = hold(bob, chosen, check_kind="repeat")
        assert [reader.get(page).status_code for page in pages] == [302] * 3
        assert [reader.post(page, {"spam": "0", "accepted": "1"}).status_code for page in pages] == [404] * 3
        assert draw(person=bob).is_example and draw_ranking(person=bob).is_example
        assert [Client().get(page).status_code for page in pages] == [200] * 3
        Task.objects.filter(pk=task.pk).update(status=Task.Status.DONE, finished_at=timezone.now())
        assert [reader.get(page).status_code for page in pages] == [200] * 3

    def test_nor_one_that_comes_by_itself(self, finished: Message, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(practice, "_is_for_practice", lambda message_id: True)
        options: dict[str, Any] = {"person": bob, "rng": random.Random(1)}

        def drawn() -> set[bool]:
            items = [practice.choose(Work.LABEL_ASSISTANT_REPLY, ["en"], explained=False, **options) for _ in range(9)]
            return {item.is_example for item in items}

        assert False in drawn()
        hold(bob, finished, check_kind="gold")
        assert drawn() == {True}


class TestChoosing:
    def test_only_administrators(self, finished: Message, mo: User, bob: User) -> None:
        for person in (mo, bob):
            with pytest.raises(NotAllowed):
                choose(answer_of(finished), person)
        assert not PracticeText.objects.exists()

    def test_an_explanation_is_needed(self, finished: Message, ida: User) -> None:
        with pytest.raises(Invalid):
            choose(answer_of(finished), ida, why=" ")

    def test_only_published_messages(self, finished: Message, ida: User, alice: User) -> None:
        with pytest.raises(Conflict, match="Only accepted messages"):
            choose(growing_tree(alice), ida)
        Message.objects.filter(pk=finished.pk).update(synthetic=True)
        with pytest.raises(Conflict, match="Only accepted messages"):
            choose(answer_of(finished), ida)

    def test_never_a_gold_message_and_the_other_way_round(self, finished: Message, ida: User) -> None:
        answer, other = Message.objects.filter(parent=finished).order_by("position")[:2]
        gold.mark(message_id=answer.pk, actor=ida, reason="Right.", policy=TreePolicy())
        GoldMessage.objects.update(active=False)
        with pytest.raises(Conflict, match="gold"):
            choose(answer, ida)
        choose(other, ida)
        with pytest.raises(Conflict, match="practice"):
            gold.mark(message_id=other.pk, actor=ida, reason="Right.", policy=TreePolicy())
        assert list(GoldMessage.objects.values_list("message", flat=True)) == [answer.pk]

    def test_a_ranking_needs_ranks(self, finished: Message, ida: User) -> None:
        Message.objects.filter(parent=finished).update(rank=None)
        with pytest.raises(Conflict, match="ranks"):
            choose(finished, ida, RANKING)

    def test_in_the_admin(self, finished: Message, ida: User) -> None:
        client = Client()
        client.force_login(ida)
        data = {"action": "choose_for_review", "_selected_action": [str(answer_of(finished).pk)], "reason": WHY}
        client.post(reverse("admin:trees_message_changelist"), data)
        row = PracticeText.objects.get()
        assert (row.explanation, row.actor, row.work) == (WHY, ida, "label_assistant_reply")
        page = client.get(reverse("admin:trees_practicetext_change", args=[row.pk])).text
        assert WHY in page and "Replace the explanation" in page
        assert client.get(reverse("admin:trees_practicetext_changelist")).status_code == 200


class TestRankings:
    def test_an_example_from_the_first_page_to_the_outcome(self) -> None:
        client = Client()
        page = client.get(reverse("practice"), {"kind": "rank_assistant_replies"}, follow=True)
        assert page.status_code == 200 and "data-rank-item" in page.text
        item = practice_rankings.get_ranking("example-rank-moon")
        path = reverse("practice_ranking", args=[item.key])
        right = client.post(path, order(item, 1, 2, 3)).text
        assert "The same order" in right and item.why[:30] in right and right.count('data-testid="place"') == 3
        assert "2 of 3 pairs are the same way round" in client.post(path, order(item, 2, 1, 3)).text
        assert "The other way round" in client.post(path, order(item, 3, 2, 1)).text
        assert not Practice.objects.exists() and not Ranking.objects.exists()

    @pytest.mark.parametrize("places", [(1, 1, 2), (1, 2, 4), (0, 1, 2)])
    def test_places_have_to_fit(self, places: tuple[int, ...]) -> None:
        item = practice_rankings.get_ranking("example-rank-moon")
        answer = Client().post(reverse("practice_ranking", args=[item.key]), order(item, *places))
        assert answer.status_code == 422 and "Not sent yet" in answer.text

    def test_a_finished_conversation(self, finished: Message, ida: User, bob: User) -> None:
        choose(finished, ida, RANKING, "The first one answers what was asked.")
        item = draw_ranking(person=bob)
        ranks = [reply.rank for reply in item.best_first]
        assert item.key == str(finished.pk) and ranks == [0, 1] and item.shuffled != item.best_first
        before = (Review.everything.count(), Ranking.objects.count())
        client = Client()
        client.force_login(bob)
        page = client.post(reverse("practice_ranking", args=[item.key]), order(item, 1, 2)).text
        assert "The first one answers what was asked." in page and "You have practiced with 1 text" in page
        row = Practice.objects.get()
        assert (row.work, row.compared, row.agreed, row.message_id) == ("rank_assistant_replies", 1, 1, finished.pk)
        assert (Review.everything.count(), Ranking.objects.count()) == before
        assert draw_ranking(person=bob).is_example

    def test_not_one_that_was_not_chosen(self, finished: Message) -> None:
        path = reverse("practice_ranking", args=[finished.pk])
        assert Client().get(path)["Location"] == reverse("practice")
        assert Client().post(path, {}).status_code == 404

    def test_no_gold_reply(self, finished: Message, ida: User) -> None:
        choose(finished, ida, RANKING)
        gold.mark(message_id=answer_of(finished).pk, actor=ida, reason="Right.", policy=TreePolicy())
        assert draw_ranking().is_example

    def test_not_for_who_ranked_or_answered(self, finished: Message, ida: User) -> None:
        choose(finished, ida, RANKING)
        ranked = Ranking.objects.filter(parent=finished)[0].author
        writer = answer_of(finished).author
        assert ranked and draw_ranking(person=ranked).is_example
        assert writer and draw_ranking(person=writer).is_example

    def test_the_shown_order_is_never_the_known_one(self) -> None:
        for example in examples.ranking_examples():
            item = practice_rankings.get_ranking(f"example-{example.name}")
            assert item.shuffled == item.shuffled != item.best_first
            assert len(example.replies) >= 3 and example.why


class TestAcceptedOrNot:
    @pytest.mark.parametrize("kind", ["initial_prompt", "prompter_reply", "assistant_reply"])
    def test_each_kind_of_writing(self, kind: str) -> None:
        page = Client().get(reverse("practice"), {"kind": kind}, follow=True)
        assert (
            page.status_code == 200 and "Accepted or not?" in page.text and f'data-practice-kind="{kind}"' in page.text
        )

    def test_right_and_wrong(self, bob: User) -> None:
        client = Client()
        client.force_login(bob)
        path = reverse("practice_verdict", args=["example-opener-selling"])
        assert client.post(path, {}).status_code == 422
        page = client.post(path, {"accepted": "1"}).text
        assert "It is not accepted" in page and "You thought otherwise" in page and "it offers something" in page
        assert "As you said." in client.post(path, {"accepted": "0"}).text
        assert [(row.compared, row.agreed) for row in Practice.objects.all()] == [(1, 0)], "the first answer stands"

    def test_a_message_that_was_chosen(self, chosen: Message) -> None:
        page = Client().post(reverse("practice_verdict", args=[chosen.pk]), {"accepted": "1"}).text
        assert "It is accepted" in page and WHY in page and "2 of 2 kept it" in page

    def test_no_other_message_nor_example(self, finished: Message) -> None:
        for key in (finished.pk, "example-answer-wrong-but-sure", "example-unknown", "x"):
            assert Client().get(reverse("practice_verdict", args=[key])).status_code == 302
            assert Client().post(reverse("practice_verdict", args=[key]), {"accepted": "1"}).status_code == 404

    def test_two_verdicts_for_each_kind(self) -> None:
        for lang in examples.languages():
            asked = [one for one in examples.practice_examples(lang) if one.for_writers]
            for work in (Work.LABEL_INITIAL_PROMPT, Work.LABEL_PROMPTER_REPLY, Work.LABEL_ASSISTANT_REPLY):
                accepted = [
                    practice.get_verdict(f"example-{one.name}").is_accepted for one in asked if one.work == work
                ]
                assert len(accepted) >= 3 and set(accepted) == {True, False}
            names = [one.name for one in (*examples.practice_examples(lang), *examples.ranking_examples(lang))]
            assert len(names) == len(set(names))
