"""./manage.py evaluate, from names to the verdict."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inference.models import Evaluation, ServedModel
from inference.registry import evaluations
from oasst.core.models import AuditEntry
from oasst.site.flywheel import evaluating
from oasst.site.flywheel.snapshots import SnapshotHere
from tests.inference.evaluating.conftest import Trained

QUICK = ("part=validation", "prompts=4", "answer_length=16", "threads=1", "rounds=100", "safety=no")


@pytest.fixture
def site(db: None, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """A site with these models and one snapshot, 2026.1."""
    monkeypatch.setattr(evaluations, "_folders", lambda: tmp_path / "evaluations")
    folder = trained.snapshot.path
    here = SnapshotHere("2026.1", trained.snapshot.digest, folder)
    monkeypatch.setattr(evaluating, "snapshot_here", lambda name, progress: here)
    ServedModel.objects.create(name="good", origin="trained", folder=str(trained.good))
    ServedModel.objects.create(name="base", origin="fetched", folder=str(trained.base))
    return trained


def evaluate(*arguments: str) -> str:
    out = StringIO()
    changes = [part for change in QUICK for part in ("--set", change)]
    call_command("evaluate", *arguments, "--snapshot", "2026.1", *changes, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_good_model_passes_and_a_bad_one_ends_with_an_error(site: Trained) -> None:
    said = evaluate("good", "--against", "base", "--reward", str(site.reward))
    row = Evaluation.objects.get()
    assert row.passed and "The gate lets good pass." in said and row.page in said
    assert "✓ Won by the reward model" in said and row.report["reward_model"]["name"] == str(site.reward)
    entry = AuditEntry.objects.get(act="model.evaluate")
    assert entry.actor is None and entry.text.reason.startswith("By command evaluate.")
    with pytest.raises(CommandError, match="The gate refuses base") as found:
        evaluate("base", "--against", "good", "--json")
    assert found.value.returncode == 1 and str(Evaluation.objects.latest("created_at").pk) in str(found.value)


def test_without_a_gate_as_json(site: Trained) -> None:
    found = json.loads(evaluate("good", "--no-gate", "--json"))
    assert found["passed"] is None and found["reasons"] == [] and Path(found["page"]).is_file()
    assert found["report"]["measures"]["held_out.loss"]["model"]["value"] < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], r"fetch_model none.*\[model_missing\]"),
        (["good", "--against", "none"], "model_missing"),
        (["good", "--reward", "none"], r"no_model"),
        (["good", "--reward", "00000000-0000-7000-8000-000000000000"], "no_model"),
        (["good", "--set", "prompt=1"], r"There is no 'prompt'.*\[config\]"),
        (["good", "--gate", "/nowhere.yaml"], r"nowhere.yaml.*\[gate\]"),
        (["good", "--set", "tasks=/nowhere.jsonl"], r"cannot be read.*\[config\]"),
        (["good", "--reward", "BASE"], r"gives no score|reward_model|no reward model"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(site: Trained, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        evaluate(*(str(site.base) if one == "BASE" else one for one in arguments))
    assert not Evaluation.objects.exists()


def test_a_model_that_was_only_fetched_comes_into_the_registry(site: Trained) -> None:
    evaluate(str(site.good), "--no-gate")
    assert ServedModel.objects.get(pk=str(site.good)).origin == "fetched"
