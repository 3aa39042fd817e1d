"""Evaluations are made once, kept with their report, and are not there if they were not finished."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inference.evaluating.gate import Gate, read_gate
from inference.evaluating.report import Figure, Measure, ModelFacts, Report
from inference.models import Evaluation, ServedModel
from inference.registry import evaluations
from inference.registry.evaluations import Subject, evaluate, page_of
from inference.registry.stages import set_stage
from inference.training.snapshot import SnapshotFolder
from oasst.core.errors import Conflict, Invalid
from oasst.core.models import AuditEntry
from tests.inference.registry.conftest import NewModel
from tests.inference.training.making import write_snapshot

EASY = Gate.model_validate({"rules": [{"figure": "held_out.loss", "at_most": 3}]})
HARD = Gate.model_validate({"rules": [{"figure": "held_out.loss", "at_most": 1}]})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answer in place of the models, and note each question."""
    asked: list[Any] = []

    def measure(question: Any) -> Report:
        asked.append(question)
        facts = ModelFacts(name=question.name, digest="d", template="t")
        loss = Measure(title="Loss", better="lower", model=Figure(value=2.0, low=1.9, high=2.1, number=3))
        return Report(
            date="2026-01-01T00:00:00+00:00",
            model=facts,
            snapshot=question.snapshot.digest,
            settings=question.settings.model_dump(mode="json"),
            asked=["held_out"],
            measures={"held_out.loss": loss},
            seconds={"losses": 1.5},
        )

    monkeypatch.setattr(evaluations, "measure", measure)
    return asked


@pytest.fixture
def snapshot(home: Path) -> SnapshotFolder:
    return write_snapshot(home / "snapshot", {})


@pytest.fixture
def subject(new_model: NewModel, snapshot: SnapshotFolder) -> Subject:
    return Subject(model=new_model("better"), against=new_model("tiny"), snapshot=snapshot, snapshot_name="2026.1")


def test_it_is_kept_with_its_report(subject: Subject, measured: list[Any], home: Path) -> None:
    row = evaluate(subject, gate=EASY)
    row.refresh_from_db()
    assert row.passed and row.reasons == ["Loss: 2 (between 1.9 and 2.1). Good: wanted is at most 3."]
    assert (row.model_id, row.against_id, row.snapshot, row.seconds) == ("better", "tiny", "2026.1", 1.5)
    assert row.gate == EASY.as_values() and row.report["measures"]["held_out.loss"]["model"]["value"] == 2
    page = page_of(row)
    assert page == home / "training/evaluations" / str(row.pk) / "report.html" and "better" in page.read_text()
    assert json.loads(page.with_name("report.json").read_text())["model"]["name"] == "better"
    entry = AuditEntry.objects.get(act="model.evaluate")
    assert (entry.target_type, entry.target_id) == ("inference.evaluation", str(row.pk))


def test_the_same_question_is_not_computed_again(subject: Subject, measured: list[Any]) -> None:
    row = evaluate(subject, gate=EASY)
    assert evaluate(subject, gate=EASY) == row
    assert (len(measured), Evaluation.objects.count()) == (1, 1)


def test_another_gate_judges_the_same_report(subject: Subject, measured: list[Any]) -> None:
    first, second = evaluate(subject), evaluate(subject, gate=HARD)
    assert len(measured) == 1 and first.key == second.key
    assert first.passed is None and first.reasons == []
    assert second.passed is False and "Refused: wanted is at most 1" in second.reasons[0]
    assert evaluate(subject, gate=HARD) == second


def test_other_weights_or_settings_or_no_files_are_another_question(
    subject: Subject, measured: list[Any], home: Path
) -> None:
    row = evaluate(subject, gate=EASY)
    settings = evaluations.Settings(seed=1)
    assert evaluate(subject, gate=EASY, settings=settings).key != row.key
    (home / "models/better/model.safetensors").write_bytes(b"other weights")
    changed = evaluate(subject, gate=EASY)
    assert changed.key != row.key and len(measured) == 3
    page = page_of(changed)
    assert page is not None
    page.with_name("report.json").unlink()
    assert evaluate(subject, gate=EASY).pk != changed.pk and len(measured) == 4
    assert evaluate(subject, gate=EASY, settings=evaluations.Settings(threads=2)).key == changed.key


def test_one_that_was_not_finished_is_not_there(
    subject: Subject, measured: list[Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = home / "training/evaluations"

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evaluations, "write_page", killed)
        evaluate(subject, gate=EASY)
    assert not Evaluation.objects.exists() and len(list(folders.iterdir())) == 1
    (left,) = folders.iterdir()
    os.utime(left, (0, 0))
    row = evaluate(subject, gate=EASY)
    assert [one.name for one in folders.iterdir()] == [str(row.pk)], "a day later its folder goes"

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(Invalid, match="No space left") as found:
        patch.setattr(evaluations, "write_page", full)
        evaluate(subject, gate=HARD)
    assert found.value.code == "output"
    assert Evaluation.objects.count() == 1 and len(list(folders.iterdir())) == 1


def test_a_rival_that_was_quicker_wins(
    subject: Subject, measured: list[Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, rivals = evaluations.advisory_lock, []

    def late(*parts: object) -> None:
        if not rivals:
            rivals.append(None)
            rivals[0] = evaluate(subject, gate=EASY)
        lock(*parts)

    monkeypatch.setattr(evaluations, "advisory_lock", late)
    assert evaluate(subject, gate=EASY) == rivals[0]
    assert Evaluation.objects.count() == 1 and len(list((home / "training/evaluations").iterdir())) == 1


def test_a_trained_model_is_offered_only_after_it_passed(subject: Subject, measured: list[Any], new_run: Any) -> None:
    ServedModel.objects.filter(pk="better").update(origin="trained", run=new_run())
    for gate, code in ((None, "not_evaluated"), (HARD, "gate_not_passed")):
        evaluate(subject, gate=gate)
        with pytest.raises(Conflict) as found:
            set_stage("better", "staff", by=None)
        assert found.value.code == code
    evaluate(subject, gate=EASY)
    assert set_stage("better", "staff", by=None).stage == "staff"


def test_only_pages_of_evaluations_are_shown(subject: Subject, measured: list[Any], home: Path) -> None:
    row = evaluate(subject, gate=EASY)
    (home / "secret-key").write_text("secret")
    for path in ("", "secret-key", "training/evaluations/../../secret-key", "/etc/passwd", "training/evaluations"):
        row.page = path
        assert page_of(row) is None, path
    (home / "training/evaluations/x").mkdir()
    (home / "training/evaluations/x/report.html").symlink_to(home / "secret-key")
    row.page = "training/evaluations/x/report.html"
    assert page_of(row) is None


def test_the_default_gate_refuses_a_report_with_so_little(subject: Subject, measured: list[Any]) -> None:
    row = evaluate(subject, gate=read_gate())
    assert row.passed is False and any("--against" in one or "not measured" in one for one in row.reasons)
