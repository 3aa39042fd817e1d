"""The figures of a data set: counted by hand, and never a made-up number for what is unknown."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.site_statistics import agreement
from oasst.accounts.models import User
from oasst.core.json_lines import read_lines
from tests.factories import new_prompt
from tests.paths import SAMPLE
from tests.trees.interchange.made_trees import all_messages, node, random_trees, ranking, review, tree
from tests.trees.interchange.record_from_line import record_from_line
from trees.interchange.figures import Figures
from trees.interchange.flat import DETOXIFY
from trees.interchange.tree_record import TreeRecord
from trees.models import Review
from trees.statistics.krippendorff import Distance, alpha


def figures(records: Iterable[TreeRecord]) -> dict[str, Any]:
    folded = Figures()
    for record in records:
        folded.add(record)
    return folded.result()


def one_tree() -> TreeRecord:
    best = node("Best", node("Why?", user_id="alice", review_result=None), rank=0, user_id="bob", lang="de")
    worst = node("Worst.", rank=1, user_id=None, review_result=False, synthetic=True, model_name="m", lang=None)
    return tree(
        node("Hello you", best, worst, user_id="alice", review_count=None, created_date=None),
        rankings=[ranking("Hello you", "Best", "Worst."), ranking("Hello you", "Worst.", "Best", person="Dan")],
        reviews=[review("Best", "carol", spam=0.0, quality=1.0), review("Best", "dan", spam=1.0, quality=0.5)],
    )


class TestCounts:
    def test_trees(self) -> None:
        trees = figures([one_tree()])["trees"]
        assert (trees["total"], trees["by_state"], trees["by_size"]) == (1, {"ready_for_export": 1}, {"4": 1})
        assert (trees["reviews"], trees["rankings"], trees["rankings_of_only_wrong_replies"]) == (2, 2, 0)

    def test_messages(self) -> None:
        messages = figures([one_tree()])["messages"]
        assert messages["by_lang"] == {"en": 2, "de": 1, "unknown": 1}
        assert messages["review_result"] == {
            "assistant": {"accepted": 1, "rejected": 1},
            "prompter": {"accepted": 1, "undecided": 1},
        }
        assert (messages["by_model"], messages["reviews"]) == ({"m": 1}, 9)
        assert messages["by_month"] == {"2026-03": 3, "unknown": 1}
        assert (messages["first_date"], messages["last_date"]) == ("2026-03-01", "2026-03-01")

    def test_counters_have_the_order_of_numbers(self) -> None:
        found = figures([tree(node("P", *(node(f"A{number}") for number in range(11)))), tree(node("Q", node("B")))])
        assert list(found["trees"]["by_size"]) == ["2", "12"]


class TestTexts:
    def test_lengths(self) -> None:
        lengths = figures([one_tree()])["lengths"]["prompter"]
        assert (lengths["median"], lengths["nine_of_ten"], lengths["longest"]) == (4, 9, 9)
        assert sum(lengths["histogram"]) == 2

    def test_the_last_part_of_a_histogram_has_no_end(self) -> None:
        histogram = figures([tree(node("x" * 100_000))])["lengths"]["prompter"]["histogram"]
        assert histogram == [0] * 9 + [1]

    def test_repeated_texts_differ_in_case_and_white_space_only(self) -> None:
        texts = ["Say  hello", "say hello\n", "SAY HELLO", "Say bye", "Say it"]
        found = figures(tree(node(f"{number}", text=text)) for number, text in enumerate(texts))
        repeated = found["repeated_texts"]["prompter"]
        assert (repeated["texts"], repeated["messages"]) == (1, 3)

    def test_a_text_in_two_splits_is_counted(self) -> None:
        trees = [tree(node(f"{number}", text="Hello")) for number in range(100)]
        assert {record.split for record in trees} == {"train", "validation", "test"}
        found = figures(trees)["repeated_texts"]["prompter"]
        assert found == {"texts": 1, "messages": 100, "texts_in_several_splits": 1}

    def test_scores_of_a_machine(self) -> None:
        scores = dict.fromkeys(DETOXIFY) | {"toxicity": 1.0, "threat": 0.05}
        found = figures([tree(node("P", node("A", detoxify=scores), node("B")))])["detoxify"]
        assert (found["known"], found["unknown"], sorted(found["scores"])) == (1, 2, ["threat", "toxicity"])
        assert found["scores"]["toxicity"] == {"mean": 1.0, "count": 1}
        assert found["toxicity_histogram"] == [0] * 9 + [1]


class TestLabels:
    def test_means_weigh_each_answer_the_same(self) -> None:
        one = {"name": ["quality"], "value": [1.0], "count": [3]}
        other = {"name": ["quality", "spam"], "value": [0.0, None], "count": [1, 0]}
        found = figures([tree(node("P", node("A", labels=other), labels=one))])["labels"]
        assert found == {"quality": {"mean": 0.75, "answers": 4, "messages": 2}}


class TestPeople:
    def test_how_evenly_they_contributed(self) -> None:
        replies = [node(f"A{number}", user_id="busy") for number in range(9)]
        writers = figures([tree(node("P", *replies, user_id="rare"))])["contributors"]["writers"]
        assert writers == {
            "people": 2,
            "contributions": 10,
            "by_unknown_people": 0,
            "share_of_busiest_tenth": 0.9,
            "gini": 0.4,
        }

    def test_people_of_whom_a_file_says_nothing_are_unknown(self) -> None:
        people = figures([tree(node("P", user_id=None))])["contributors"]
        assert (people["people"], people["writers"]["by_unknown_people"], people["writers"]["gini"]) == (0, 1, None)

    def test_bases(self) -> None:
        found = figures([tree(node("P", node("A", basis="license MIT"), node("B", basis=None, user_id=None)))])["bases"]
        assert found == {
            "license MIT": {"messages": 1, "people": 1},
            "terms 2": {"messages": 1, "people": 1},
            "unknown": {"messages": 1, "people": 0},
        }


class TestAgreement:
    def judged(self, *answers: tuple[float, ...], lang: str = "en") -> list[TreeRecord]:
        records = []
        for number, values in enumerate(answers):
            name = f"{lang} {number}"
            given = [review(name, f"person {place}", quality=value) for place, value in enumerate(values)]
            records.append(tree(node(name, lang=lang), reviews=given))
        return records

    def test_alpha_is_that_of_the_answers(self) -> None:
        answers = [(0.0, 0.25), (1.0, 1.0, 0.75), (0.5, 0.5), (0.25,)]
        [row] = figures(self.judged(*answers))["agreement"]["labels"]
        assert row["alpha"] == pytest.approx(alpha(answers, Distance.INTERVAL), abs=1e-4)
        assert (row["label"], row["lang"], row["distance"], row["messages"]) == ("quality", "", "interval", 3)
        assert row["low"] <= row["alpha"] <= row["high"]

    @pytest.mark.django_db
    def test_answers_are_compared_as_on_the_page_of_statistics(self, alice: User, bob: User) -> None:
        """Half or more is a yes, scales have twenty steps, and a label that nobody knows is left out."""
        people = (alice, bob)
        given: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"spam": 0.72, "quality": 0.51, "odd": 0.0}, {"spam": 0.91, "quality": 0.49, "odd": 1.0}),
            ({"spam": 0.1, "quality": 1.0}, {"spam": 0.3, "quality": 0.77}),
            ({"spam": 0.5, "quality": None}, {"spam": 0.0, "quality": 0.2}),
        ]
        trees = []
        for number, answers in enumerate(given):
            message = new_prompt(alice)
            for person, labels in zip(people, answers, strict=True):
                Review.objects.create(
                    message=message,
                    revision_id=message.revision_id,
                    author=person,
                    kind=Review.Kind.REVIEW,
                    labels=labels,
                )
            name = f"message {number}"
            reviews = [review(name, str(place), **labels) for place, labels in enumerate(answers)]
            trees.append(tree(node(name), reviews=reviews))
        card = {
            row["label"]: (row["alpha"], row["messages"])
            for row in figures(trees)["agreement"]["labels"]
            if row["lang"] == ""
        }
        table = agreement()["agreement_by_label"]
        page = {row[0]: (row[1], row[4]) for row in table["rows"]}
        assert card == page and set(card) == {"spam", "quality"}

    def test_a_language_needs_some_messages(self) -> None:
        records = [*self.judged(*[(0.0, 1.0), (1.0, 1.0)] * 5, lang="de"), *self.judged((0.0, 1.0), lang="fr")]
        rows = figures(records)["agreement"]["labels"]
        assert [(row["lang"], row["messages"]) for row in rows] == [("", 11), ("de", 10)]

    def test_free_labels_and_reports_are_about_chosen_messages(self) -> None:
        given = [review("P", person, quality=0.5) | {"kind": "report"} for person in "ab"]
        assert figures([tree(node("P"), reviews=given)])["agreement"]["labels"] == []

    def test_answers_that_are_all_equal_have_no_alpha(self) -> None:
        [row] = figures(self.judged((0.5, 0.5), (0.5, 0.5)))["agreement"]["labels"]
        assert (row["alpha"], row["low"], row["high"]) == (None, None, None)

    def test_rankings(self) -> None:
        replies = [node("A"), node("B"), node("C")]
        given = [ranking("P", *"ABC"), ranking("P", *"ACB", person="Dan")]
        [row] = figures([tree(node("P", *replies), rankings=given)])["agreement"]["rankings"]
        assert (row["sets"], row["pairwise"]) == (1, pytest.approx(2 / 3, abs=1e-4))
        assert (row["kendall_w"], row["mean_correlation"]) == (0.75, 0.5)
        assert row["pairwise_low"] is None, "one set tells nothing about others"

    def test_one_ranking_agrees_with_nobody(self) -> None:
        record = tree(node("P", node("A"), node("B")), rankings=[ranking("P", *"AB"), ranking("P", *"BA") | WRONG])
        assert figures([record])["agreement"]["rankings"] == []


WRONG = {"not_rankable": True}


class TestAllTogether:
    @settings(max_examples=8, deadline=None)
    @given(st.lists(random_trees(), max_size=6))
    def test_the_order_of_the_trees_does_not_matter(self, records: list[TreeRecord]) -> None:
        found = figures(records)
        assert json.dumps(rounded(found)) == json.dumps(rounded(figures(reversed(records))))
        total = sum(len(all_messages(record)) for record in records)
        assert found["messages"]["total"] == total
        assert sum(found["messages"]["by_lang"].values()) == total
        assert sum(basis["messages"] for basis in found["bases"].values()) == total
        assert found["detoxify"]["known"] + found["detoxify"]["unknown"] == total

    def test_the_sample(self) -> None:
        found = figures(record_from_line(json.loads(line)) for line in read_lines(SAMPLE))
        assert (found["trees"]["total"], found["messages"]["by_role"]) == (50, {"assistant": 351, "prompter": 224})
        assert found["detoxify"] == {"known": 0, "unknown": 575, "scores": {}, "toxicity_histogram": [0] * 10}
        assert found["contributors"]["people"] == 0
        assert found["messages"]["by_month"] == {"unknown": 575}
        json.dumps(found, allow_nan=False)


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 3) if isinstance(value, float) else value
