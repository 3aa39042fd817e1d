"""The agreement of reviewers and rankers on the statistics page: right, cheap, and shown with its uncertainty."""

import csv
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from leaderboard import cached_statistics, charts, site_statistics
from leaderboard.site_statistics import agreement, ranking_agreement
from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, work_until_state
from trees.contributing import reviews
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Ranking, Review
from trees.statistics.krippendorff import Distance, alpha
from trees.statistics.label_answers import answers_by_label, distance_of

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(num_reviews_initial_prompt=10)
RANKED = TreePolicy(
    num_reviews_initial_prompt=1, num_reviews_reply=1, goal_tree_size=4, max_children_count=3, num_required_rankings=9
)


def judge(message: Message, *answers: dict[str, float | None]) -> None:
    """Let new people review a message."""
    for labels in answers:
        with transaction.atomic():
            reviews.record_labels(
                message=message, author=new_person("Reviewer"), labels={"spam": 0, **labels}, policy=POLICY
            )


def columns(table: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[table["columns"].index(name)] for name in names) for row in table["rows"]]


class TestAnswers:
    def test_yes_is_half_or_more_and_scales_have_steps(self) -> None:
        labels = [
            {"spam": 0.4, "quality": 0.26, "pii": None, "unknown": 1.0},
            {"spam": 0.5, "quality": 0.24, "pii": 1.0},
        ]
        assert answers_by_label(labels) == {"spam": (0.0, 1.0), "quality": (0.25, 0.25), "pii": (1.0,)}
        assert distance_of("spam") == distance_of("pii") == Distance.NOMINAL
        assert distance_of("quality") == Distance.INTERVAL


class TestAgreementOfReviewers:
    def test_by_label_with_intervals(self, alice: User) -> None:
        answers = [(0.0, 0.25, 0.25), (1.0, 0.75, 1.0), (0.5, 0.5, 0.25), (0.0, 0.0, 0.5)]
        for values in answers:
            judge(new_prompt(alice), *({"quality": value} for value in values))
        judge(new_prompt(alice), {"quality": 1.0})
        table = agreement()["agreement_by_label"]
        (row,) = [row for row in table["rows"] if row[0] == "quality"]
        assert row[1] == round(alpha(answers, Distance.INTERVAL) or 0, 4)
        assert row[2] < row[1] < row[3]
        assert row[4] == 4, "a single answer is compared with nothing"

    def test_by_language_and_by_week(self, alice: User) -> None:
        for lang, values in (("de", (0, 0)), ("de", (1, 1)), ("en", (0, 1)), ("en", (1, 0))):
            judge(new_prompt(alice, lang=lang), *({"quality": value} for value in values))
        last_week = new_prompt(alice, lang="de")
        judge(last_week, {"quality": 0}, {"quality": 1}, {"quality": 1})
        first = Review.objects.filter(message=last_week).order_by("created_at").first()
        assert first
        Review.objects.filter(pk=first.pk).update(created_at=first.created_at - timedelta(weeks=1))
        tables = agreement()
        by_language = dict(columns(tables["agreement_by_language"], "Language", "quality"))
        assert by_language["de"] > 0 > by_language["en"]
        by_week = columns(tables["agreement_by_week"], "Week of", "quality")
        assert [value for _, value in by_week][-2:] == [
            round(alpha([(0, 1, 1)], Distance.INTERVAL) or 0, 4),
            round(alpha([(0, 0), (1, 1), (0, 1), (0, 1)], Distance.INTERVAL) or 0, 4),
        ], "a text belongs to the week of its first review, whole"

    def test_free_labels_reports_and_old_reviews_are_not_compared(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        judge(prompt, {"quality": 0}, {"quality": 1}, {"quality": 1})
        old, free = Review.objects.filter(message=prompt)[:2]
        Review.objects.filter(pk=old.pk).update(created_at=site_statistics._since() - timedelta(days=1))
        Review.objects.filter(pk=free.pk).update(kind=Review.Kind.FREE)
        assert columns(agreement()["agreement_by_label"], "Label", "Texts compared") == [
            ("spam", 0),
            ("quality", 0),
        ]

    def test_one_statement_reads_all(self, alice: User, django_assert_num_queries: Callable[[int], Any]) -> None:
        def some(number: int) -> None:
            for _ in range(number):
                judge(new_prompt(alice), {"quality": 0.5}, {"quality": 1})

        some(1)
        with django_assert_num_queries(1):
            agreement()
        some(10)
        with django_assert_num_queries(1):
            agreement()


@pytest.fixture
def ranked(alice: User) -> Callable[..., Message]:
    """A function that makes a prompt with three replies, and lets new people rank them."""

    def make(*orders: str, lang: str = "en", **more: Any) -> Message:
        prompt = growing_tree(alice, RANKED, lang=lang)
        work_until_state(prompt.pk, State.RANKING, RANKED)
        replies = list(prompt.children.order_by("position"))
        for order in orders:
            ids = [replies["abc".index(name)].pk for name in order]
            with transaction.atomic():
                reviews.record_ranking(
                    parent=prompt, author=new_person("Ranker"), ordered_ids=ids, policy=RANKED, **more
                )
        return prompt

    return make


class TestAgreementOfRankings:
    def test_for_all_languages_and_for_each(self, ranked: Callable[..., Message]) -> None:
        ranked("abc", "abc", "acb", lang="de")
        ranked("bca", "bca")
        ranked("abc")
        table = ranking_agreement()
        found = columns(table, "Language", "Pairs in the same order", "Kendall's W", "Messages compared")
        w = round((7 / 9 + 1) / 2, 4)
        assert found == [
            ("mul", round(10 / 12, 4), w, 2),
            ("de", round(7 / 9, 4), round(7 / 9, 4), 1),
            ("en", 1.0, 1.0, 1),
        ]
        assert columns(table, "Agreement", "W beyond chance")[1] == (
            round(2 * 7 / 9 - 1, 4),
            round((3 * 7 / 9 - 1) / 2, 4),
        )
        low, high = columns(table, "W, from", "W, to")[0]
        assert low < w < high
        assert columns(table, "W, from", "W, to")[1:] == [(None, None)] * 2, "one message has no interval"

    def test_what_is_no_order_is_not_compared(self, ranked: Callable[..., Message]) -> None:
        ranked("abc", "abc", not_rankable=True)
        old = ranked("abc", "abc")
        Ranking.objects.filter(parent=old).update(created_at=site_statistics._since() - timedelta(days=1))
        assert ranking_agreement()["rows"] == []

    def test_one_statement_reads_all(
        self, ranked: Callable[..., Message], django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        ranked("abc", "abc")
        with django_assert_num_queries(1):
            ranking_agreement()
        ranked("abc", "cba", "bac")
        with django_assert_num_queries(1):
            ranking_agreement()


class TestPage:
    def test_intervals_are_drawn_and_written(self, client: Client, ranked: Callable[..., Message]) -> None:
        ranked("abc", "abc", "acb", lang="de")
        ranked("bca", "bca")
        cached_statistics.refresh()
        page = client.get("/statistics/").content.decode()
        assert 'id="ranking_agreement"' in page and 'class="interval"' in page
        assert "All languages" in page
        rows = list(csv.DictReader(StringIO(client.get("/statistics/ranking_agreement.csv").content.decode())))
        assert [row["Language"] for row in rows] == ["mul", "de", "en"]
        assert float(rows[0]["From"]) < float(rows[0]["Agreement"]) < float(rows[0]["To"])
        header = client.get("/statistics/agreement_by_label.csv").content.decode().splitlines()[0]
        assert header == "Label,Alpha,From,To,Texts compared"
        assert client.get("/statistics/agreement.csv").status_code == 404, "only its parts are tables"


class TestChartOfIntervals:
    COLUMNS = ("Label", "Alpha", "From", "To")

    def draw(self, *rows: tuple[Any, ...]) -> charts.Chart:
        chart = charts.draw("intervals", self.COLUMNS, rows)
        assert chart
        return chart

    def test_a_point_on_its_line(self) -> None:
        chart = self.draw(("quality", 0.5, 0.25, 1.0))
        (point,) = [rect for rect in chart.rects if rect.radius]
        line = max((rect for rect in chart.rects if rect.tone == "interval"), key=lambda rect: rect.width)
        assert line.title == "quality: 0.5, from 0.25 to 1.0"
        share = (point.x + point.width / 2 - line.x) / line.width
        assert share == pytest.approx(1 / 3, abs=0.01)

    def test_values_below_chance_have_room(self) -> None:
        chart = self.draw(("humor", -0.2, -0.6, 0.1), ("spam", None, None, None), ("pii", 0.3, None, None))
        assert [label.text for label in chart.labels if label.anchor == "middle"] == ["-1", "-0.5", "0", "0.5", "1"]
        assert all(charts.LABEL <= rect.x <= charts.WIDTH for rect in chart.rects if rect.tone == "interval")
        assert [label.text for label in chart.labels if label.anchor == "end"] == [
            "humor", "-0.20", "pii", "0.30"
        ]  # fmt: skip

    def test_nothing_to_draw(self) -> None:
        assert charts.draw("intervals", self.COLUMNS, [("spam", None, None, None)]) is None


class TestGrowth:
    @pytest.mark.parametrize("weeks", [1, 2, 3, 4, 5, 53, 400])
    def test_every_name_lies_within_the_chart(self, weeks: int) -> None:
        """A name in the middle of its point would stick out at both ends."""
        rows = [(f"week {week}", week * 1000, week) for week in range(weeks)]
        chart = charts.draw("growth", ["Week", "User", "Assistant"], [*rows, ("now", weeks * 1000, weeks)])
        assert chart is not None
        names = [label for label in chart.labels if label.text in {"now", *(row[0] for row in rows)}]
        assert [names[0].anchor, names[-1].anchor] == ["start", "end"] and names[-1].text == "now"
        assert {label.anchor for label in names[1:-1]} <= {"middle"} and len(names) <= charts.NAMED_WIDE
        assert all(0 <= label.x <= chart.width for label in chart.labels)
