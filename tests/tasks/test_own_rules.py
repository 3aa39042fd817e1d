"""A language with rules of its own: what people are offered and asked in it."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.site.invariants import find_differences
from tasks import assignment, checks, lottery, queries, review_modes, submission
from tasks.backlog import activate
from tasks.forms import label_form
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tasks.supply import read_supply
from tests.factories import conversation, decide, new_people, new_person, new_prompt, state_of
from tests.tasks.test_checks import measure
from tests.tasks.test_pages import signed_in
from tests.trees.interchange.test_interchange import load
from tests.wire.conftest import Wire, bot, person  # noqa: F401  a fixture
from trees.contributing import gold, reviews
from trees.lifecycle.policy import EVERY_LANGUAGE, TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Review

pytestmark = pytest.mark.django_db
ASKED = ["spam", "lang_mismatch", "quality"]
MANDATORY = ["spam", "quality"]
POLICY = TreePolicy.of(
    {
        EVERY_LANGUAGE: {"max_active_trees": 1, "min_active_rankings": 1, "p_full_labeling_review_prompt": 0},
        "de": {
            "num_reviews_initial_prompt": 1,
            "max_active_trees": 2,
            "min_active_rankings": 2,
            "max_prompt_lottery_waiting": 2,
            "labels_initial_prompt": ASKED,
            "labels_prompter_reply": ASKED,
            "labels_assistant_reply": ASKED,
            "mandatory_labels": MANDATORY,
            "p_full_labeling_review_prompt": 1,
            "check_least_pool": 1,
        },
    }
)


def take(person: User, lang: str, kind: Kind | None = Kind.LABEL_INITIAL_PROMPT) -> Task:
    return assignment.request_task(user=person, lang=lang, kind=kind, policy=POLICY)


def accepted(lang: str) -> Message:
    prompt = new_prompt(new_person("Writer"), policy=POLICY, lang=lang)
    labels = {"spam": 0, "quality": 1}
    for reader in new_people(POLICY.in_language(lang).num_reviews_initial_prompt - (lang == "en")):  # two of three do
        with transaction.atomic():
            reviews.record_labels(message=prompt, author=reader, labels=labels, policy=POLICY)
    return prompt


class TestSupply:
    def test_each_language_lets_as_many_grow_as_its_rules_say(self, bob: User) -> None:
        for lang, most in (("de", 2), ("en", 1)):
            prompts = [accepted(lang) for _ in range(3)]
            assert lottery.draw(lang, POLICY, limit=3) == most
            assert sorted(state_of(one) for one in prompts) == [State.GROWING] * most + [
                State.PROMPT_LOTTERY_WAITING
            ] * (3 - most)
        assert read_supply("de", POLICY).waiting == 1
        assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []

    def test_the_backlog_gives_as_many_as_its_rankers_may_have(self, tmp_path: Any) -> None:
        for lang in ("de", "en"):
            load(tmp_path, *(conversation(lang=lang) | {"tree_state": "backlog_ranking"} for _ in range(3)))
            while activate(lang, POLICY):
                pass
        ranked = MessageTree.objects.filter(state=State.RANKING.value)
        assert [ranked.filter(lang=lang).count() for lang in ("de", "en")] == [2, 1]

    def test_people_see_the_room_of_their_language(self, alice: User) -> None:
        rooms = [queries.availability(alice, lang, POLICY)[Kind.INITIAL_PROMPT] for lang in ("de", "en", "fr")]
        assert rooms == [2, 101, 101]  # what waits for the lottery may be 2 at most; reviewers take 100

    def test_a_request_costs_no_more_statements(self, alice: User) -> None:
        new_prompt(alice, policy=POLICY, lang="de")
        new_prompt(alice, policy=POLICY, lang="fr")
        counts = []
        readers = [new_person("Reader") for _ in range(3)]  # how many statements a free name takes is chance
        for reader, lang in zip(readers, ("fr", "fr", "de"), strict=True):  # the first prepares statements
            with CaptureQueriesContext(connection) as asked:
                take(reader, lang)
            counts.append(len(asked))
        assert counts[1] == counts[2]


class TestLabels:
    def test_the_page_asks_what_the_language_asks(
        self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tasks.views.current_policy", lambda: POLICY)
        new_prompt(alice, policy=POLICY, lang="de")
        task = take(bob, "de")
        client = signed_in(bob)
        url = reverse("task", args=[task.pk])
        page = client.get(url).text
        assert 'name="quality"' in page and 'name="humor"' not in page
        answered = client.post(url, {"spam": "0"})
        assert answered.status_code == 422 and not Review.objects.exists()
        answered = client.post(url, {"spam": "0", "quality": "1", "then": "stop"})
        assert answered.status_code == 302, answered.context["form"].errors
        assert Review.objects.get().labels["quality"] == 1

    @pytest.mark.parametrize(
        ("labels", "code"),
        [({"spam": 0}, "label_missing"), ({"spam": 0, "quality": 1, "humor": 1}, "label_not_asked")],
    )
    def test_other_answers_are_refused(self, alice: User, bob: User, labels: dict[str, float], code: str) -> None:
        new_prompt(alice, policy=POLICY, lang="de")
        task = take(bob, "de")
        with pytest.raises(Invalid) as refusal:
            submission.submit_labels(task_id=task.pk, user=bob, labels=labels, policy=POLICY)
        assert refusal.value.code == code
        task.refresh_from_db()
        assert (task.status, Review.objects.count()) == (Task.Status.OPEN, 0)

    def test_a_message_of_another_language_is_asked_about_by_that_ones_rules(self, alice: User, bob: User) -> None:
        """An API client may send a reply in another language than its conversation. Form and service ask alike."""
        prompt = new_prompt(alice, policy=POLICY, lang="de")
        Message.objects.filter(pk=prompt.pk).update(lang="en")
        task = take(bob, "de")
        assert task.mode == Review.Mode.SIMPLE
        assert list(label_form(task, POLICY).fields) == ["spam", "lang_mismatch"]
        submission.submit_labels(task_id=task.pk, user=bob, labels={"spam": 0}, policy=POLICY)
        assert Review.objects.count() == 1

    def test_a_review_is_changed_by_the_same_rules(self, alice: User, bob: User) -> None:
        rules = TreePolicy.of({"de": {"mandatory_labels": MANDATORY}})
        prompt = new_prompt(alice, policy=rules, lang="de")
        task = assignment.request_task(user=bob, lang="de", kind=Kind.LABEL_INITIAL_PROMPT, policy=rules)
        first = {"spam": 0, "quality": 1}
        submission.submit_labels(task_id=task.pk, user=bob, labels=first, policy=rules)
        review = Review.objects.get(message=prompt)
        with pytest.raises(Invalid):
            reviews.change_labels(review_id=review.pk, author=bob, labels={"spam": 1}, policy=rules)
        review.refresh_from_db()
        assert review.labels == first
        reviews.change_labels(review_id=review.pk, author=bob, labels={"spam": 1, "quality": 0}, policy=rules)

    def test_the_wire_says_what_the_language_asks(
        self,
        bot: Wire,  # noqa: F811
        alice: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for module in ("tasks.api.tasks", "tasks.api.interactions", "trees.api.labels"):
            monkeypatch.setattr(f"{module}.current_policy", lambda: POLICY)
        prompt = new_prompt(alice, policy=POLICY, lang="de")
        task = bot.take(person("Ada"), "label_initial_prompt", "one", lang="de")
        assert (task["valid_labels"], task["mandatory_labels"], task["mode"]) == (ASKED, MANDATORY, "full")
        found = bot.get("text_labels/valid_labels", message_id=prompt.pk).json()
        assert [one["name"] for one in found["valid_labels"]] == ASKED


class TestModes:
    def test_reviews_are_full_or_short_by_language(self, alice: User, bob: User) -> None:
        modes = []
        for lang in ("de", "en"):
            new_prompt(alice, policy=POLICY, lang=lang)
            modes.append(take(bob, lang).mode)
        assert modes == [Review.Mode.FULL, Review.Mode.SIMPLE]

    def test_the_dashboard_promises_the_points_of_the_language(
        self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("oasst.site.pages.current_policy", lambda: POLICY)
        promised = []
        for lang in ("de", "en"):
            new_prompt(alice, policy=POLICY, lang=lang)
            User.objects.filter(pk=bob.pk).update(contribution_languages=[lang], work_language=lang)
            cards = signed_in(bob).get(reverse("dashboard")).context["cards"]
            promised.append(next(str(card["pay"]) for card in cards if card["kind"] == Kind.LABEL_INITIAL_PROMPT))
        assert promised[0] != promised[1]
        assert review_modes.modes_when_asked(Kind.LABEL_INITIAL_PROMPT, POLICY.in_language("de")) == {Review.Mode.FULL}


class TestChecks:
    def test_they_begin_when_the_language_has_enough_gold_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: 0.9))
        boss = new_person("Boss", role="admin")
        marked: list[UUID] = []
        for lang in ("de", "en"):
            prompt = new_prompt(new_person("Writer"), lang=lang)
            decide(prompt)
            gold.mark(message_id=prompt.pk, actor=boss, reason="Surely right.", policy=POLICY)
            marked.append(prompt.pk)
        measure(POLICY)
        Capacity.objects.create(
            lang="de", reviews=1, replies=1, rankings=1, since="2026-01-01T00:00Z", measured_at="2026-01-01T00:00Z"
        )
        checks.measure(POLICY)
        kinds = dict(Capacity.objects.values_list("lang", "checked_kinds"))
        assert kinds == {"de": [Kind.LABEL_INITIAL_PROMPT.value], "en": []}
        assert {pool.lang: pool.missing for pool in gold.pools(POLICY)} == {"de": 0, "en": 49}
