"""The rules of trees, which a language may have of its own."""

import pytest

from trees.lifecycle.policy import EVERY_LANGUAGE, RULES, SAME_EVERYWHERE, TreePolicy


def test_a_language_has_its_own_rules_and_the_common_ones() -> None:
    policy = TreePolicy.of({EVERY_LANGUAGE: {"goal_tree_size": 20}, "de": {"num_reviews_reply": 2}})
    german = policy.in_language("de")
    assert (german.goal_tree_size, german.num_reviews_reply) == (20, 2)
    assert policy.in_language("en") is policy
    assert (policy.goal_tree_size, policy.num_reviews_reply) == (20, TreePolicy().num_reviews_reply)


def test_a_rule_of_a_language_wins() -> None:
    policy = TreePolicy.of({"de": {"goal_tree_size": 5}, EVERY_LANGUAGE: {"goal_tree_size": 20}})
    assert policy.in_language("de").goal_tree_size == 5


def test_lists_become_tuples() -> None:
    assert TreePolicy.of({"": {"mandatory_labels": ["spam"]}}) == TreePolicy()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"de": {"goal_tree_sizes": 3}}, "de: there is no rule goal_tree_sizes"),
        ({"de": {"goal_tree_size": 0}}, "de: goal_tree_size must be at least 1"),
        ({"": {"goal_tree_size": "many"}}, "goal_tree_size must be a number"),
        ({"": {"max_active_trees": True}}, "max_active_trees must be a number"),
        ({"": {"max_active_trees": 2.5}}, "max_active_trees must be a whole number"),
        ({"": {"weeks_unfinished": float("nan")}}, "weeks_unfinished must be a number"),
        ({"": {"weighted_reviews": "no"}}, "weighted_reviews must be true or false"),
        ({"": {"mandatory_labels": "spam"}}, "mandatory_labels must be a list of labels"),
        ({"": {"weighted_average_finds": 0.1}}, "must be more than 1 together"),
        ({"de": {"check_share": 0}}, "de: check_share must be the same in every language"),
        ({"": {"by_language": {}}}, "there is no rule by_language"),
        ({"de": {"mandatory_labels": ["spam", "pii"]}}, "de: pii cannot be mandatory"),
    ],
)
def test_rules_that_cannot_hold_are_refused(rules: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TreePolicy.of(rules)


def test_all_rules_are_known() -> None:
    assert set(RULES) > SAME_EVERYWHERE and "by_language" not in RULES
