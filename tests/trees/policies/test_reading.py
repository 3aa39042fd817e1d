"""The rules in force: cheap, everywhere within seconds, and nothing that another release stored takes the site down."""

from typing import Any
from unittest import mock

import pytest
from django.core.cache import cache
from django.db import DatabaseError, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from oasst.accounts.models import User
from tests.factories import new_person
from trees.lifecycle.policy import EVERY_LANGUAGE, TreePolicy
from trees.models import PolicyVersion
from trees.policies import changing, reading
from trees.policies.reading import StoredRules, current_policy

pytestmark = pytest.mark.django_db


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", role="admin")


def stored(rules: dict[str, Any], lang: str = EVERY_LANGUAGE, number: int = 1) -> PolicyVersion:
    """A version as a release may have stored it."""
    reading.forget()
    return PolicyVersion.objects.create(lang=lang, rules=rules, number=number, in_force_at=timezone.now())


def in_force(ida: User, lang: str = EVERY_LANGUAGE, **changes: Any) -> PolicyVersion:
    draft = changing.draft(lang=lang, changes=changes, actor=ida)
    return changing.put_in_force(version_id=draft.pk, actor=ida, reason="A test.")


class TestSeed:
    def test_without_a_version_the_variable_holds(self, settings: Any) -> None:
        settings.TREE_POLICY = {"goal_tree_size": 20}
        reading.forget()
        assert current_policy().goal_tree_size == 20

    def test_a_version_of_a_language_builds_on_it(self, settings: Any, ida: User) -> None:
        settings.TREE_POLICY = {"goal_tree_size": 20}
        in_force(ida, "de", num_reviews_reply=2)
        reading.forget()
        german = current_policy().in_language("de")
        assert (german.goal_tree_size, german.num_reviews_reply) == (20, 2)

    def test_with_a_version_of_every_language_it_is_over(self, settings: Any, ida: User) -> None:
        settings.TREE_POLICY = {"goal_tree_size": 20}
        in_force(ida, num_reviews_reply=2)
        settings.TREE_POLICY = {"goal_tree_size": 30}
        reading.forget()
        # What it said at that moment went into the version.
        assert (current_policy().goal_tree_size, current_policy().num_reviews_reply) == (20, 2)


class TestCost:
    def test_a_process_asks_redis_and_redis_the_database(self, ida: User, django_assert_num_queries: Any) -> None:
        in_force(ida, goal_tree_size=7)
        reading.forget()
        with django_assert_num_queries(1):
            first = current_policy()
        with django_assert_num_queries(0):
            assert current_policy() is first
            reading.remember(StoredRules(), seconds=-1)  # what the process knows is too old
            assert current_policy() is first
        assert first.goal_tree_size == 7

    def test_ten_times_the_versions_cost_the_same(self, ida: User, django_assert_num_queries: Any) -> None:
        for size in range(2, 12):
            in_force(ida, goal_tree_size=size)
            in_force(ida, "de", goal_tree_size=100 + size)
        reading.forget()
        with django_assert_num_queries(1):
            policy = current_policy()
        assert (policy.goal_tree_size, policy.in_language("de").goal_tree_size) == (11, 111)


class TestOtherProcesses:
    """Another process is one that remembers what was before, and whose time of remembering is over."""

    @pytest.mark.django_db(transaction=True)
    def test_a_change_is_in_force_after_its_commit_and_not_before(self) -> None:
        ida = new_person("Ida", role="admin")
        with transaction.atomic():
            in_force(ida, goal_tree_size=7)
            assert current_policy().goal_tree_size == TreePolicy().goal_tree_size
        assert current_policy().goal_tree_size == 7
        reading.remember(StoredRules(), seconds=-1)
        assert current_policy().goal_tree_size == 7

    @pytest.mark.django_db(transaction=True)
    def test_also_without_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("get", "set", "delete"):
            monkeypatch.setattr(cache, name, lambda *args: None)
        in_force(new_person("Ida", role="admin"), goal_tree_size=7)
        reading.remember(StoredRules(), seconds=-1)
        assert current_policy().goal_tree_size == 7

    def test_without_the_database_what_was_known_stays(self) -> None:
        reading.forget()
        reading.remember(StoredRules({"": {"goal_tree_size": 7}}), seconds=-1)
        with mock.patch.object(PolicyVersion.objects, "filter", side_effect=DatabaseError):
            assert current_policy().goal_tree_size == 7

    @pytest.mark.parametrize("value", ["x", {"de": 7}, [1]])
    def test_what_another_release_cached_is_ignored(self, value: Any) -> None:
        cache.set("tree_rules", value, 60)
        reading.remember(StoredRules({"": {"goal_tree_size": 7}}), seconds=-1)
        assert current_policy() == TreePolicy()


class TestOtherReleases:
    def test_a_rule_that_nobody_knows_is_left_out_and_logged(self) -> None:
        stored({"goal_tree_size": 7, "moon_phase": "full"})
        with capture_logs() as logs:
            assert current_policy().goal_tree_size == 7
            assert current_policy().goal_tree_size == 7
        assert [(one["event"], one["rules"]) for one in logs] == [("unknown_rules_of_trees", ["moon_phase"])]

    def test_rules_that_cannot_hold_leave_the_others_alone(self) -> None:
        stored({"goal_tree_size": 7}, number=1)
        stored({"goal_tree_size": -1}, "de", 2)
        stored({"num_reviews_reply": 2, "check_share": 0.5}, "fr", 3)
        policy = current_policy()
        assert policy.in_language("de") is policy and policy.goal_tree_size == 7
        assert policy.in_language("fr").num_reviews_reply == 2
        assert policy.in_language("fr").check_share == TreePolicy().check_share

    def test_if_those_of_every_language_cannot_hold_the_defaults_do(self) -> None:
        stored({"mandatory_labels": 5}, number=1)
        stored({"goal_tree_size": 7}, "de", 2)
        assert current_policy().mandatory_labels == ("spam",)
        assert current_policy().in_language("de").goal_tree_size == 7

    @pytest.mark.parametrize(
        "rules",
        [{"max_active_trees": "ten"}, {"p_full_labeling_review_prompt": None}, {"rank_prompter_replies": 0}, []],
    )
    def test_values_of_another_type_are_left_out(self, ida: User, rules: Any) -> None:
        """Otherwise the first request for a task would fail, and nobody could change the rules any more."""
        stored(rules, number=1)
        stored(rules, "de", 2)
        assert current_policy() == TreePolicy()
        in_force(ida, "fr", num_reviews_reply=2)
        in_force(ida, **dict.fromkeys(rules), num_reviews_reply=4)  # this mends it
        reading.forget()
        assert (current_policy().num_reviews_reply, current_policy().in_language("fr").num_reviews_reply) == (4, 2)

    def test_a_rule_that_a_language_may_not_have_can_be_taken_away(self, ida: User) -> None:
        stored({"check_share": 0.01}, "de")
        assert in_force(ida, "de", check_share=None).rules == {}

    def test_one_bad_rule_leaves_the_others_of_its_language_alone(self) -> None:
        stored({"goal_tree_size": 7, "max_tree_depth": "3", "num_reviews_reply": -1}, number=1)
        stored({"weighted_least_reviews": 7, "weighted_most_reviews": 9, "weighted_reviews": 1}, "de", 2)
        with capture_logs() as logs:
            policy = current_policy()
        assert (policy.goal_tree_size, policy.max_tree_depth, policy.num_reviews_reply) == (7, 3, 3)
        german = policy.in_language("de")
        assert (german.weighted_least_reviews, german.weighted_most_reviews) == (7, 9)
        assert german.weighted_reviews is False and german.goal_tree_size == 7
        assert [(one["event"], one["lang"], one["rules"]) for one in logs] == [
            ("rules_of_trees_left_out", "", ["max_tree_depth", "num_reviews_reply"]),
            ("rules_of_trees_left_out", "de", ["weighted_reviews"]),
        ]

    @pytest.mark.parametrize("value", ["3", None, True, 2.5, [3], {"x": 1}])
    def test_a_value_of_another_type_never_reaches_a_tree(self, value: Any) -> None:
        stored({"max_tree_depth": value, "p_full_labeling_review_prompt": "x", "labels_initial_prompt": "spam"})
        assert current_policy() == TreePolicy()

    @pytest.mark.parametrize("rules", [[1], "x", 7])
    def test_a_row_that_is_no_set_of_rules(self, rules: Any) -> None:
        stored({"goal_tree_size": 7}, number=1)
        PolicyVersion.objects.create(lang="de", rules=rules, number=2, in_force_at=timezone.now())
        assert current_policy().in_language("de").goal_tree_size == 7

    def test_bad_rules_of_other_languages_do_not_stand_in_the_way(self, ida: User) -> None:
        stored({"goal_tree_size": -1}, "de", 1)
        stored({"goal_tree_size": "x"}, "fr", 2)
        in_force(ida, "es", goal_tree_size=5)
        in_force(ida, "de", goal_tree_size=6)  # this is how it is mended
        reading.forget()
        assert [current_policy().in_language(lang).goal_tree_size for lang in ("es", "de", "fr")] == [5, 6, 12]

    def test_a_change_keeps_what_it_does_not_know(self, ida: User) -> None:
        stored({"goal_tree_size": 7, "moon_phase": "full"})
        version = in_force(ida, num_reviews_reply=2)
        assert version.rules == {"goal_tree_size": 7, "moon_phase": "full", "num_reviews_reply": 2}
