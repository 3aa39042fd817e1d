"""Practice reviews: the outcome is shown at once, nothing of it becomes a review, and no gold message is ever shown."""

import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import Session, User
from oasst.core import ratelimit
from oasst.core.errors import NotFound
from oasst.site.merging import merge_users
from tasks import practice_memory
from tests.accounts.test_kept_forms import sign_in
from tests.factories import growing_tree, new_person, work_until_state
from trees.contributing import examples, gold, practice
from trees.contributing.outcomes import Outcome, outcomes_of
from trees.contributing.practice import Practised
from trees.labels import LABELS
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import GoldMessage, Message, MessageReading, MessageTree, Practice, Ranking, Review

pytestmark = pytest.mark.django_db
SMALL = TreePolicy(goal_tree_size=3, max_children_count=2, max_tree_depth=1, num_required_rankings=1)
EXAMPLE = "example-moon-and-tides"


@pytest.fixture
def finished(alice: User, monkeypatch: pytest.MonkeyPatch) -> Message:
    """The prompt of a finished tree, all of whose messages may be for practice."""
    monkeypatch.setattr(practice, "_is_for_practice", lambda message_id: True)
    prompt = growing_tree(alice, SMALL)
    work_until_state(prompt.tree_id, State.READY_FOR_EXPORT, SMALL)
    for reply in Message.objects.filter(tree=prompt.tree_id):
        Review.objects.filter(message=reply).update(labels={"spam": 0, "quality": 0.75, "not_appropriate": None})
    return prompt


def answer_of(prompt: Message) -> Message:
    return Message.objects.filter(parent=prompt).order_by("position")[0]


def draw(work: Work = Work.LABEL_ASSISTANT_REPLY, person: User | None = None, **kwargs: Any) -> practice.PracticeItem:
    class NoExample(random.Random):
        def randrange(self, *args: Any, **kwargs: Any) -> int:
            return 1

        def randint(self, a: int, b: int) -> int:
            return a

    return practice.choose(work, ["en"], person=person, rng=NoExample(1), **kwargs)


def everything() -> list[int]:
    return [model.objects.count() for model in (Review, Practice, Ranking, Session)]


class TestVisitors:
    def test_it_works(self, finished: Message) -> None:
        browser = Client()
        path = reverse("practice_item", args=[answer_of(finished).pk])
        page = browser.get(path)
        assert page.status_code == 200 and "Is this message junk?" in page.text
        before = everything()
        outcome = browser.post(path, {"spam": "0", "quality": "0.25"})
        assert outcome.status_code == 200
        assert (
            "No, said 2 of 2" in outcome.text and "4 of 5" in outcome.text and "You see it differently" in outcome.text
        )
        assert "Join in" in outcome.text and "You agree on 2 of 3 questions" in outcome.text
        assert everything() == before

    def test_the_first_step_leads_to_a_text_and_stores_nothing(self) -> None:
        before = everything()
        answer = Client().get(reverse("practice"), {"kind": "label_initial_prompt"}, follow=True)
        assert "Check an opener" in answer.text and everything() == before

    def test_it_needs_no_database_session(self, finished: Message) -> None:
        browser = Client()
        browser.post(reverse("practice_item", args=[answer_of(finished).pk]), {"spam": "0"})
        assert set(browser.cookies) <= {practice_memory.COOKIE, "csrftoken"}

    def test_junk_or_not_has_to_be_answered(self) -> None:
        answer = Client().post(reverse("practice_item", args=[EXAMPLE]), {"quality": "1"})
        assert answer.status_code == 422 and "Please answer" in answer.text
        assert practice_memory.COOKIE not in answer.cookies

    def test_after_junk_nothing_else_is_compared(self) -> None:
        answer = Client().post(reverse("practice_item", args=["example-answer-advertising"]), {"spam": "1"})
        assert "You see it as most reviewers do" in answer.text and answer.text.count('data-testid="outcome"') == 1

    def test_it_is_protected_against_other_sites(self) -> None:
        browser = Client(enforce_csrf_checks=True)
        assert browser.post(reverse("practice_item", args=[EXAMPLE]), {"spam": "0"}).status_code == 403

    def test_there_is_a_limit(self, settings: Any) -> None:
        settings.LIMITS = {ratelimit.PRACTICE.name: "1 per hour"}
        settings.RATE_LIMITS = True
        address = {"REMOTE_ADDR": "203.0.113.77"}
        path = reverse("practice_item", args=[EXAMPLE])
        statuses = [Client().post(path, {"spam": "0"}, **address).status_code for _ in range(2)]
        assert statuses == [200, 429]

    def test_a_text_that_is_gone_leads_to_another(self, finished: Message) -> None:
        answer = answer_of(finished)
        Message.objects.filter(pk=answer.pk).update(hidden=True)
        path = reverse("practice_item", args=[answer.pk])
        assert Client().get(path).url == reverse("practice")  # type: ignore[attr-defined]
        assert Client().post(path, {"spam": "0"}).status_code == 404

    @pytest.mark.parametrize("key", ["example-unknown", "nonsense", "018f6b1e-0000-7000-8000-000000000001", "example-"])
    def test_unknown_texts(self, key: str) -> None:
        assert Client().get(reverse("practice_item", args=[key])).status_code == 302
        assert Client().post(reverse("practice_item", args=[key]), {"spam": "0"}).status_code == 404

    def test_few_statements_also_with_more_trees(
        self, finished: Message, alice: User, django_assert_max_num_queries: Callable[[int], Any]
    ) -> None:
        for _ in range(2):
            work_until_state(growing_tree(alice, SMALL).tree_id, State.READY_FOR_EXPORT, SMALL)
        with django_assert_max_num_queries(6):
            draw()
        with django_assert_max_num_queries(6):
            Client().post(reverse("practice_item", args=[answer_of(finished).pk]), {"spam": "0"})


class TestWhatIsShown:
    def test_each_kind(self, finished: Message) -> None:
        item = draw()
        assert item.message_id and item.conversation[-1].is_target and item.conversation[-1].id == item.message_id
        assert list(item.outcomes) == ["spam", "not_appropriate", "quality"]
        assert draw(Work.LABEL_INITIAL_PROMPT).message_id == finished.pk
        assert draw(Work.LABEL_PROMPTER_REPLY).is_example  # there is none in this tree

    @pytest.mark.parametrize(
        "change",
        [
            {"hidden": True},
            {"deleted": True},
            {"withdrawn": True},
            {"synthetic": True},
            {"review_result": False},
            {"consent": ""},
        ],
    )
    def test_only_published_texts(self, finished: Message, change: dict[str, Any]) -> None:
        Message.objects.filter(tree=finished.tree_id).update(**change)
        assert draw().is_example
        with pytest.raises(NotFound):
            practice.get_item(str(answer_of(finished).pk))

    def test_nothing_below_a_text_that_is_not_published(self, finished: Message) -> None:
        Message.objects.filter(pk=finished.pk).update(synthetic=True)
        assert draw().is_example

    def test_nothing_that_a_machine_or_a_reviewer_found_unfit(self, finished: Message) -> None:
        answers = Message.objects.filter(parent=finished)
        MessageReading.objects.filter(revision__in=answers.values("revision")).delete()
        first, second = answers
        MessageReading.objects.create(revision_id=first.revision_id, kind="toxicity", flagged=True)
        Review.objects.filter(message=second).update(labels={"spam": 0, "hate_speech": 1})
        assert draw().is_example

    def test_nothing_of_trees_that_go_on(self, finished: Message) -> None:
        MessageTree.objects.update(state=State.RANKING.value)
        assert draw().is_example

    @pytest.mark.parametrize("active", [True, False])
    def test_no_gold_message(self, finished: Message, active: bool) -> None:
        admin = new_person("Ruth", role="admin")
        for message in Message.objects.filter(tree=finished.tree_id):
            gold.mark(message_id=message.pk, actor=admin, reason="Sure.", policy=SMALL)
        GoldMessage.objects.update(active=active)
        assert draw().is_example and draw(Work.LABEL_INITIAL_PROMPT).is_example
        with pytest.raises(NotFound):
            practice.get_item(str(finished.pk))

    def test_half_of_the_others_never_come_either(self) -> None:
        """So that what never comes need not be gold."""
        share = sum(practice._is_for_practice(uuid4()) for _ in range(400)) / 400
        assert 0.35 < share < 0.65

    def test_not_to_its_author_and_reviewers(self, finished: Message, alice: User) -> None:
        assert draw(Work.LABEL_INITIAL_PROMPT, alice).is_example
        reviewer = Review.objects.filter(message=finished)[0].author
        assert draw(Work.LABEL_INITIAL_PROMPT, reviewer).is_example
        assert not draw(Work.LABEL_INITIAL_PROMPT, new_person("New")).is_example

    def test_what_was_seen_does_not_come_again(self, finished: Message) -> None:
        assert draw(Work.LABEL_INITIAL_PROMPT, seen={str(finished.pk)}).is_example

    def test_every_third_is_an_example(self, finished: Message) -> None:
        rolls = [random.Random(number) for number in range(30)]
        drawn = [practice.choose(Work.LABEL_INITIAL_PROMPT, ["en"], person=None, rng=rng) for rng in rolls]
        assert 3 < sum(one.is_example for one in drawn) < 18


class TestPeople:
    def test_practice_is_recorded_and_counts_for_nothing(self, finished: Message, bob: User) -> None:
        browser = Client()
        browser.force_login(bob)
        path = reverse("practice_item", args=[answer_of(finished).pk])
        before = Review.everything.count()
        for quality in ("0.75", "0"):  # only the first answer is kept
            answer = browser.post(path, {"spam": "0", "quality": quality})
            assert "You have practiced with 1 text" in answer.text
        row = Practice.objects.get(person=bob)
        assert (row.compared, row.agreed, row.message_id) == (3, 3, answer_of(finished).pk)
        assert Review.everything.count() == before
        assert practice_memory.COOKIE not in answer.cookies

    def test_who_joins_is_credited_once(self, finished: Message, bob: User, carol: User) -> None:
        browser = Client()
        for key, spam in ((EXAMPLE, "0"), (EXAMPLE, "1"), (str(finished.pk), "0")):
            browser.post(reverse("practice_item", args=[key]), {"spam": spam})
        sign_in(bob, browser)
        assert sorted(Practice.objects.filter(person=bob).values_list("example", "agreed")) == [
            ("", 2),
            ("moon-and-tides", 3),
        ]
        browser.post(reverse("account_logout"))
        sign_in(carol, browser)
        assert not Practice.objects.filter(person=carol).exists()
        assert practice.summary_of(bob).reviews == 2

    @pytest.mark.parametrize("cookie", ["", "x", "a:b:c"])
    def test_a_forged_cookie_is_nothing(self, bob: User, cookie: str) -> None:
        browser = Client()
        browser.cookies[practice_memory.COOKIE] = cookie
        sign_in(bob, browser)
        assert not Practice.objects.exists()
        assert browser.get(reverse("practice"), follow=True).status_code == 200

    def test_the_cookie_stays_small(self) -> None:
        browser = Client()
        for one in examples.practice_examples():
            browser.post(reverse("practice_item", args=[f"example-{one.name}"]), {"spam": "0"})
        assert len(browser.cookies[practice_memory.COOKIE].value) < 2500

    def test_a_message_that_is_gone_is_left_out(self, bob: User) -> None:
        gone = Practised(uuid4(), str(uuid4()), Work.LABEL_INITIAL_PROMPT, "en", 3, 2, timezone.now())
        assert practice.record(bob, [gone]) == 0

    def test_merging_keeps_it(self, bob: User, carol: User) -> None:
        for person in (bob, carol):
            browser = Client()
            browser.force_login(person)
            browser.post(reverse("practice_item", args=[EXAMPLE]), {"spam": "0"})
        merge_users(destination_id=bob.pk, source_ids=[carol.pk])
        assert practice.summary_of(bob).reviews == 1


class TestOutcomes:
    def test_in_words(self) -> None:
        outcomes = outcomes_of([{"spam": 0, "quality": 1, "pii": None}, {"spam": 1, "quality": 0.5, "pii": 1}])
        words = {name: outcome.in_words for name, outcome in outcomes.items()}
        assert words == {"spam": "They were divided", "pii": "They were divided", "quality": "4 of 5"}
        assert Outcome(LABELS["spam"], 1 / 3, 3).in_words == "No, said 2 of 3"
        assert Outcome(LABELS["quality"], 0.83, 3).in_words == "4.3 of 5"

    def test_one_reviewer_is_no_outcome(self) -> None:
        assert outcomes_of([{"spam": 0}]) == {}

    @pytest.mark.parametrize(
        ("label", "mean", "answer", "agrees"),
        [("spam", 0, 0.0, True), ("spam", 0, 1.0, False), ("spam", 0.5, 1.0, True), ("quality", 0.5, 0.75, True),
         ("quality", 0.5, 1.0, False)],
    )  # fmt: skip
    def test_agreeing(self, label: str, mean: float, answer: float, agrees: bool) -> None:
        assert Outcome(LABELS[label], mean, 2).agrees(answer) == agrees

    @pytest.mark.parametrize(
        "given", [None, 7, {"spam": 1}, {"spam": {"value": "x"}}, {"spam": {"value": 7, "count": 3}}]
    )
    def test_a_file_may_hold_anything(self, given: Any) -> None:
        assert outcomes_of([], Message(imported={"given": {"labels": given}})) == {}

    def test_the_means_of_a_file_count(self) -> None:
        message = Message(imported={"given": {"labels": {"spam": {"value": 0, "count": 3}}}})
        assert outcomes_of([], message)["spam"].in_words == "No, said 3 of 3"


class TestExamples:
    def test_two_of_each_kind_and_both_verdicts(self) -> None:
        names = []
        for lang in examples.languages():
            items = [practice.get_item(f"example-{one.name}") for one in examples.practice_examples(lang)]
            names += [item.key for item in items]
            for work in (Work.LABEL_INITIAL_PROMPT, Work.LABEL_PROMPTER_REPLY, Work.LABEL_ASSISTANT_REPLY):
                of_kind = [item for item in items if item.work == work]
                assert {item.outcomes["spam"].mean for item in of_kind} == {0, 1} and all(one.why for one in of_kind)
                assert len(of_kind) >= 3
        assert len(set(names)) == len(names)
