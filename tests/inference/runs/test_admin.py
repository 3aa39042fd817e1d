"""Trainings in the admin: how far they are, their curves, and two buttons for administrators."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.admin import curves
from inference.models import TrainingRun
from inference.runs import points, signs
from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from tests.factories import new_person

LIST = "admin:inference_trainingrun_changelist"
pytestmark = pytest.mark.django_db


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ida(db: None) -> Client:
    return signed_in(new_person("Ida", role="admin"))


def new_run(**columns: Any) -> TrainingRun:
    facts = {"method": "dpo", "base": "smollm2", "base_digest": "b" * 64, "snapshot": "2026.1"}
    return TrainingRun.objects.create(**{"key": "0" * 64, "snapshot_digest": "5" * 64, **facts, **columns})


@pytest.fixture
def run(db: None) -> TrainingRun:
    run = new_run(
        state="running",
        owner="here:1:a",
        lease_until=timezone.now(),
        step=120,
        steps=400,
        figures={"loss": 2.314, "eval_loss": 2.5},
        funnels={"train": {"rows": 900, "samples": 880, "left_out": {"too long": 20}}},
        config={"beta": 0.1, "lora": True, "langs": []},
        seconds=200.0,
        peak_bytes=2_000_000_000,
    )
    found = {step: {"loss": 3 - step / 200, "learning_rate": 5e-5} for step in range(10, 130, 10)}
    points.store(run.pk, {**found, 100: {"loss": 2.5, "eval_loss": 2.6}})
    return run


def page_of(run: TrainingRun) -> str:
    return reverse("admin:inference_trainingrun_change", args=[run.pk])


class TestPages:
    def test_the_list(self, ida: Client, run: TrainingRun) -> None:
        page = ida.get(reverse(LIST)).text
        for words in ("dpo", "smollm2", "2026.1", "120 of 400 · loss 2.31", "runs", "3 min"):
            assert words in page
        assert "no process that trains" not in page

    def test_the_page_of_one(self, ida: Client, run: TrainingRun) -> None:
        page = ida.get(page_of(run)).text
        for words in ("120 of 400", "900", "left out: too long", "beta", "1.9", "Loss. On the training part: 2.95 at"):
            assert words in page, words
        assert page.count("<polyline") == 3, "loss, loss of the validation part, learning rate"
        assert 'data-refresh="' in page and re.search(r'<th scope="row"[^>]*>120</th>|scope="row">120<', page)

    def test_one_that_ended_is_not_asked_about_again(self, ida: Client, run: TrainingRun) -> None:
        TrainingRun.objects.update(
            state="failed", owner="", lease_until=None, error_code="diverged", error="The loss is no <number>."
        )
        page = ida.get(page_of(run)).text
        assert "The loss is no &lt;number&gt;. [diverged]" in page
        assert "data-refresh-over" in page and 'data-refresh="' not in page

    def test_nobody_trains(self, ida: Client) -> None:
        run = new_run()
        for url in (reverse(LIST), page_of(run)):
            assert "no process that trains is running" in ida.get(url).text
            signs.note_alive()
            assert "no process that trains is running" not in ida.get(url).text
            signs.cache.clear()

    def test_as_many_statements_with_many_points_and_rows(self, ida: Client, run: TrainingRun) -> None:
        def statements() -> list[int]:
            counts = []
            for url in (reverse(LIST), page_of(run)):
                ida.get(url)
                with CaptureQueriesContext(
                    connection,
                ) as seen:
                    page = ida.get(url)
                counts.append(len(seen))
                assert len(page.content) < 300_000
            return counts

        before = statements()
        for number in range(20):
            new_run(key=f"{number:064}", method="sft", asked_by=new_person(f"P{number}"))
        points.store(run.pk, {step: {"loss": 1.0, "learning_rate": 0.1} for step in range(200, 2_000)})
        assert statements() == before and max(before) <= 12

    def test_who_sees_them(self, run: TrainingRun, mo: User, eve: User) -> None:
        for person in (mo, eve):
            for url in (reverse(LIST), page_of(run)):
                assert signed_in(person).get(url).status_code == 403


class TestActs:
    def press(self, client: Client, run: TrainingRun, action: str, reason: str = "Too costly.") -> str:
        data = {"action": action, "reason": reason, "_selected_action": [str(run.pk)]}
        return client.post(reverse(LIST), data, follow=True).text

    def test_stop_and_go_on(self, ida: Client, run: TrainingRun) -> None:
        assert "Stop" in ida.get(page_of(run)).text
        assert "stops after its next step, with a checkpoint" in self.press(ida, run, "stop")
        assert "stops" in ida.get(page_of(run)).text
        TrainingRun.objects.update(state="stopped", owner="", lease_until=None)
        assert "waits for a trainer" in self.press(ida, run, "resume")
        run.refresh_from_db()
        assert (run.state, run.stop_asked_at) == ("waiting", None)
        assert list(AuditEntry.objects.values_list("act", flat=True)) == ["training.stop", "training.resume"]

    def test_one_that_waits_is_stopped_at_once(self, ida: Client) -> None:
        run = new_run()
        assert "stopped" in self.press(ida, run, "stop")
        run.refresh_from_db()
        assert run.state == "stopped"

    def test_without_a_reason(self, ida: Client, run: TrainingRun) -> None:
        assert "Nothing was done" in self.press(ida, run, "stop", reason="")
        run.refresh_from_db()
        assert run.stop_asked_at is None

    def test_strangers_and_operators(self, run: TrainingRun, mo: User, eve: User) -> None:
        operator = new_person("Otto")
        User.objects.filter(pk=operator.pk).update(duties=["operator"])
        operator.refresh_from_db()
        for person in (mo, eve, operator):
            self.press(signed_in(person), run, "stop")
        run.refresh_from_db()
        assert run.stop_asked_at is None and not AuditEntry.objects.exists()
        assert "120 of 400" in signed_in(operator).get(page_of(run)).text


class TestCurves:
    def test_a_constant_and_a_single_point(self) -> None:
        [plot] = curves.draw([(5, {"loss": 0.0})], 10)
        [line] = plot.lines
        assert (line.path, len(line.dots), len(plot.rows) >= 2) == ("224,178", 1, True)

    def test_axes_end_at_round_numbers(self) -> None:
        [plot] = curves.draw([(0, {"loss": 2.31}), (10, {"loss": 0.72})], 10)
        assert [mark.text for mark in plot.rows] == ["0.5", "1", "1.5", "2", "2.5"]
        assert [mark.text for mark in plot.columns] == ["0", "5", "10"]

    def test_nothing(self) -> None:
        assert curves.draw([], 0) == [] and curves.table_of([]) == ([], [])
