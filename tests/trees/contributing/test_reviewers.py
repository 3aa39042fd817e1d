"""How reliable reviewers are: the estimate, what is stored of it, and who sees it."""

import random
import tempfile
import tracemalloc
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from tests.factories import DEFAULT, decide, new_people, new_prompt, review
from trees.contributing import reviewers, skill_estimation
from trees.contributing.skill_estimation import Answers, Estimate, estimate
from trees.lifecycle.consensus import Skill
from trees.models import Message, Review, ReviewerRecord, ReviewerSkill
from trees.moderation import moderator_actions

RIGHT = {"Ann": (0.9, 0.95), "Ben": (0.8, 0.9), "Cem": (0.6, 0.97), "Dana": (0.5, 0.5), "Eli": (0.95, 0.7)}
# Made by crowd-kit 1.4.2 from the same answers (as a frame with columns task, worker, label):
# DawidSkene(n_iter=1000, tol=0).fit(frame), then errors_.loc[(who, 1), 1], errors_.loc[(who, 0), 0] and priors_[1].
CROWD_KIT = {
    "Ann": (0.931943, 0.951888),
    "Ben": (0.791857, 0.893539),
    "Cem": (0.632260, 0.982086),
    "Dana": (0.560689, 0.482140),
    "Eli": (0.932925, 0.700531),
}
CROWD_KIT_SHARE = 0.3009371518


def some_answers() -> list[Answers[str, str]]:
    dice = random.Random(11)
    texts = []
    for _ in range(500):
        bad, given = dice.random() < 0.3, []
        for who, (finds, spares) in RIGHT.items():
            if dice.random() < 0.8:
                given.append((who, (dice.random() < (finds if bad else spares)) == bad))
        if given:
            texts.append(Answers("q", "en", given))
    return texts


def skills(texts: list[Answers[str, str]]) -> dict[str, Skill]:
    return {person: skill for (_, person), skill in estimate(lambda: texts).people.items()}


class TestEstimate:
    def test_without_shrinking_it_is_that_of_crowd_kit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("START_VOTES", "PERSON_VOTES", "GROUP_VOTES"):
            monkeypatch.setattr(skill_estimation, name, 1e-9)
        monkeypatch.setattr(skill_estimation, "SETTLED", 1e-12)
        monkeypatch.setattr(skill_estimation, "SUREST", Skill(1.0, 1.0))
        texts = some_answers()
        found = estimate(lambda: texts, rounds=1000)
        assert found.shares["q"] == pytest.approx(CROWD_KIT_SHARE, abs=1e-6)
        for who, expected in CROWD_KIT.items():
            assert found.people["q", who] == pytest.approx(expected, abs=1e-6)

    def test_good_and_careless_reviewers_are_told_apart(self) -> None:
        for who, found in skills(some_answers()).items():
            assert found == pytest.approx(RIGHT[who], abs=0.1)

    def test_few_answers_move_nobody_far(self) -> None:
        new = skills([*some_answers(), Answers("q", "en", [("Ann", False), ("Ben", False), ("New", True)])])["New"]
        assert 0.6 < new.spares < 0.9

    def test_who_answers_the_opposite_counts_for_nothing(self) -> None:
        texts = [Answers("q", "en", [*one.answers, ("Not", not one.answers[0][1])]) for one in some_answers()]
        finds, spares = skills(texts)["Not"]
        assert finds >= 1 - spares, "else their yes would speak for no"

    def test_a_language_borrows_from_the_others_but_differs(self) -> None:
        texts = some_answers()
        texts += [Answers("q", "de", [("Ben", False), ("Ann", index % 2 == 0), ("Eli", False)]) for index in range(100)]
        found = estimate(lambda: texts)
        assert found.skills["q", "de", "Ann"].spares < 0.65 < 0.8 < found.skills["q", "en", "Ann"].spares
        assert found.well_known_skill("q", "de", "Ann") is not None
        assert found.well_known_skill("q", "fr", "Ann") is None

    def test_known_truth_and_earlier_odds_count(self) -> None:
        estimated: Estimate[str, str] = Estimate()
        assert estimated.chance_of_yes(Answers("q", "en", [("Ann", False)], truth=True)) == 1
        plain, suspected = (estimated.chance_of_yes(Answers("q", "en", [("A", True)], odds=odds)) for odds in (1, 5))
        assert suspected > plain

    def test_nothing_at_all(self) -> None:
        assert estimate(lambda: list[Answers[str, str]]()).skills == {}

    def test_it_reads_the_answers_again_and_keeps_none(self) -> None:
        rounds = 0

        def read() -> Iterator[Answers[str, str]]:
            nonlocal rounds
            rounds += 1
            yield from some_answers()

        estimate(read, rounds=3)
        assert rounds == 3


def test_memory_depends_on_people_not_on_answers() -> None:
    def peak(texts: int) -> int:
        with tempfile.TemporaryFile() as file:
            collected = reviewers._Collected(file)
            tracemalloc.start()
            for number in range(texts):
                reviews = [(UUID(int=(number + i) % 20), {"spam": number % 2, "quality": 0.5}) for i in range(3)]
                collected.add("en", True, reviews)
            estimate(collected.read, rounds=2)
            result = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return result

    assert peak(3_000) < 1.5 * peak(300)


def give(prompt: Message, person: User, **labels: float) -> None:
    Review.objects.create(message=prompt, revision_id=prompt.revision_id, author=person, labels={"spam": 0, **labels})


@pytest.mark.django_db
class TestLearning:
    def test_records(self, alice: User, mo: User) -> None:
        careful, hasty = new_people(2)
        for number in range(6):
            prompt = new_prompt(alice)
            review(prompt, careful)
            review(prompt, hasty, spam=number % 2)
            decide(prompt)
        assert reviewers.learn() >= 2
        record = ReviewerRecord.objects.get(person=hasty)
        assert (record.decided, record.agreed) == (6, 3)
        assert ReviewerRecord.objects.get(person=careful).agreed == 6
        before = list(ReviewerRecord.objects.order_by("pk").values_list("person", "agreed", "finds", "spares"))
        reviewers.learn()
        assert list(ReviewerRecord.objects.order_by("pk").values_list("person", "agreed", "finds", "spares")) == before
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=DEFAULT)
        reviewers.learn()
        assert ReviewerRecord.objects.get(person=hasty).decided == 5

    def test_labels_and_scales(self, alice: User) -> None:
        people = new_people(3)
        for _ in range(25):
            prompt = new_prompt(alice)
            for person, quality in zip(people, (0.5, 0.5, 1.0), strict=True):
                give(prompt, person, quality=quality, pii=1 if person == people[2] else 0, humor=0.5)
        reviewers.learn()
        generous = ReviewerSkill.objects.get(person=people[2], lang="en", label="quality")
        assert (generous.texts, generous.differed, generous.finds) == (25, 25, None)
        assert 0.3 < generous.leans < 0.5  # type: ignore[operator]
        assert ReviewerSkill.objects.get(person=people[2], lang="en", label="pii").differed == 25
        first, second = reviewers.notable_differences(people[2])
        assert {first.label.name, second.label.name} == {"quality", "pii"}
        assert {first.tendency, second.tendency} == {"higher", ""}
        assert reviewers.notable_differences(people[0]) == []

    def test_who_stops_reviewing_is_forgotten(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        give(prompt, bob)
        give(prompt, carol)
        reviewers.learn()
        assert ReviewerSkill.objects.filter(person=bob).exists()
        Review.objects.filter(author=bob).delete()
        reviewers.learn()
        assert not ReviewerSkill.objects.filter(person=bob).exists()
        assert not ReviewerRecord.objects.filter(person=bob).exists()

    def test_a_crash_in_the_middle_leaves_what_was_known(
        self, alice: User, bob: User, carol: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompt = new_prompt(alice)
        give(prompt, bob)
        give(prompt, carol)
        reviewers.learn()
        before = list(ReviewerSkill.objects.order_by("pk").values())
        Review.objects.filter(author=bob).delete()
        monkeypatch.setattr(reviewers, "_skills", lambda *arguments: iter([None]))
        with pytest.raises(AttributeError):
            reviewers.learn()
        assert list(ReviewerSkill.objects.order_by("pk").values()) == before

    def test_ten_times_the_reviews_cost_no_more_statements(self, alice: User) -> None:
        people = new_people(3)

        def cost(texts: int) -> int:
            for _ in range(texts):
                prompt = new_prompt(alice)
                for person in people:
                    give(prompt, person)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                reviewers.learn()
            return len(queries)

        assert cost(3) == cost(27)


@pytest.mark.django_db
class TestWhoSeesIt:
    @pytest.fixture
    def generous(self, bob: User) -> User:
        ReviewerRecord.objects.create(
            person=bob, decided=30, agreed=20, finds=0.7, spares=0.9, updated_at=timezone.now()
        )
        self.skill(bob, "quality", texts=40, differed=30, leans=0.4, close=0.2)
        self.skill(bob, "humor", texts=19, differed=19, leans=0.4, close=0.2)
        self.skill(bob, "verdict", texts=40, differed=4, finds=0.7, spares=0.9)
        return bob

    @staticmethod
    def skill(person: User, label: str, **values: float) -> None:
        ReviewerSkill.objects.create(person=person, lang="en", label=label, updated_at=timezone.now(), **values)

    def test_the_person(self, client: Client, generous: User) -> None:
        client.force_login(generous)
        page = client.get(reverse("points")).text
        assert "“Overall quality” in English" in page
        assert "30 of 40</span> texts. You usually answer higher" in page
        assert "Humor" not in page, "nothing is said of too few texts"

    def test_nobody_else(self, client: Client, generous: User, eve: User) -> None:
        client.force_login(eve)
        assert "differ most" not in client.get(reverse("points")).text
        address = reverse("admin:accounts_user_change", args=[generous.pk])
        assert client.get(address).status_code in (302, 403, 404)

    def test_moderators(self, client: Client, generous: User, mo: User) -> None:
        client.force_login(mo)
        page = client.get(reverse("admin:accounts_user_change", args=[generous.pk])).text
        assert "20 of 30 reviews in line with the outcome" in page
        assert "20 of 100 within a step of the others" in page
        assert "yes in 70 of 100 where yes is right" in page
