"""From a snapshot to a model in the chat: what an operator runs, and what users are then offered."""

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from inference.evaluating.gate import Gate, Rule
from inference.models import Evaluation, ServedModel, TrainingRun
from inference.registry import offer, stages
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone, NotFound
from oasst.site.flywheel import turning
from oasst.site.flywheel.plan import Plan, read_plan
from oasst.site.flywheel.turning import Terminal, Turned, turn
from tests.site.flywheel.conftest import QUICK

pytestmark = pytest.mark.django_db(transaction=True)
EASY = Gate(rules=(Rule(figure="held_out.bits_per_byte", better_by="1%"),))
HARD = Gate(rules=(Rule(figure="held_out.bits_per_byte", at_most=0.001),))


def quiet_turn(plan: Plan, gate: Gate = EASY) -> Turned:
    return turn("2026.1", "tiny", plan, gate, Terminal())


def losses(run: TrainingRun, name: str = "loss") -> list[float]:
    points = run.points.order_by("step").values_list("figures", flat=True)
    return [figures[name] for figures in points if name in figures]


@pytest.mark.slow  # four trainings of a tiny model
class TestToTheEnd:
    def test_staff_are_offered_what_passed_and_a_second_turn_computes_nothing(
        self, site: Path, plan: Plan, alice: User, mo: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turned = quiet_turn(plan)
        assert turned.passed and turned.model is not None
        learned = losses(turned.runs["sft"])
        assert sum(learned[-3:]) < sum(learned[:3])
        assert turned.model.name == "tiny-2026.1-dpo"
        assert turned.model.parent is not None and turned.model.parent.name == "tiny-2026.1-sft"
        assert (offer.models_for(mo), offer.models_for(alice)) == (["tiny", "tiny-2026.1-dpo"], ["tiny"])

        def compute(*_: Any, **__: Any) -> None:
            raise AssertionError("This was done before.")

        monkeypatch.setattr("inference.runs.working.work", compute)
        monkeypatch.setattr("inference.registry.evaluations.measure", compute)
        again = quiet_turn(plan)
        assert again.model == turned.model and again.evaluation == turned.evaluation

        self._a_stricter_gate_keeps_it_from_others(plan, turned)

    def _a_stricter_gate_keeps_it_from_others(self, plan: Plan, turned: Turned) -> None:
        again = quiet_turn(plan.model_copy(update={"stage": "all"}), HARD)
        assert not again.passed and again.evaluation != turned.evaluation
        assert ServedModel.objects.get(pk="tiny-2026.1-dpo").stage == "staff"
        with pytest.raises(Conflict) as error:
            stages.set_stage("tiny-2026.1-dpo", "all", by=None)
        assert error.value.code == "gate_not_passed"

    def test_the_command_says_what_happens_and_refuses_by_its_status(self, site: Path, tmp_path: Path) -> None:
        gate = tmp_path / "gate.yaml"
        gate.write_text("rules:\n  - {figure: held_out.bits_per_byte, at_most: 0.001}\n")
        out = StringIO()
        with pytest.raises(CommandError, match=r"The gate refused tiny-2026\.1-sft") as error:
            options = {"snapshot": "2026.1", "base": "tiny", "changes": [*QUICK, "steps=sft"]}
            call_command("flywheel", gate=gate, stdout=out, **options)
        assert "offered to nobody" in str(error.value)
        assert "sft: done after 24 steps" in out.getvalue() and "bits per byte" in out.getvalue().lower()
        assert ServedModel.objects.get(pk="tiny-2026.1-sft").stage == "nobody"

    def test_a_model_that_is_broken_afterwards_does_not_pass(self, site: Path, plan: Plan) -> None:
        """Its folder is torn between training and evaluation."""
        turned = quiet_turn(plan.model_copy(update={"steps": ("sft",)}))
        assert turned.model is not None
        folder = site / turned.model.folder
        (folder / "model.safetensors").write_bytes(b"torn")
        Evaluation.objects.all().delete()
        with pytest.raises(Exception, match=r"cannot be loaded|broken|weights") as error:
            quiet_turn(plan.model_copy(update={"steps": ("sft",)}))
        assert not isinstance(error.value, AssertionError)
        assert not Evaluation.objects.exists()


class TestBadInput:
    def test_unknown_names(self, home: Path, db: None, plan: Plan) -> None:
        with pytest.raises(NotFound):
            turn("nothing", "tiny", plan, EASY, Terminal())
        assert not TrainingRun.objects.exists()

    def test_a_base_that_is_not_here(self, site: Path, plan: Plan) -> None:
        shutil.rmtree(site / "models" / "tiny")
        with pytest.raises(NotFound, match="fetch_model"):
            quiet_turn(plan)
        assert not TrainingRun.objects.exists() and not ServedModel.objects.exists()

    def test_a_retracted_snapshot(self, site: Path, plan: Plan) -> None:
        call_command("snapshot_retract", "2026.1", reason="A mistake.", stdout=StringIO())
        with pytest.raises(Gone):
            quiet_turn(plan)
        assert not TrainingRun.objects.exists()

    def test_a_language_that_the_snapshot_lacks(self, site: Path) -> None:
        """The cause is named, and the next command with another plan begins anew."""
        plan = read_plan(None, [*QUICK, "sft.langs=de"])
        with pytest.raises(Conflict, match=r"sft failed: There are no conversations"):
            quiet_turn(plan)
        run = TrainingRun.objects.get()
        assert (run.state, run.error_code) == ("failed", "empty")
        assert not ServedModel.objects.exclude(name="tiny").exists()

    def test_wrong_plans_end_before_anything_is_read(self, home: Path, db: None) -> None:
        with pytest.raises(CommandError, match="epoch") as error:
            call_command("flywheel", snapshot="nothing", base="tiny", changes=["sft.epoch=2"], stdout=StringIO())
        assert "snapshot" not in str(error.value)


@pytest.mark.slow  # the first steps of three trainings
def test_a_dry_run_says_what_it_would_take_and_keeps_nothing(site: Path, plan: Plan) -> None:
    costs = list(turning.costs("2026.1", "tiny", plan))
    assert [cost.method for cost in costs] == ["sft", "reward", "dpo"]
    assert [cost.steps for cost in costs] == [24, 3, 3]
    assert all(cost.samples > 0 and cost.seconds > 0 and cost.peak_bytes > 0 for cost in costs)
    assert not TrainingRun.objects.exists()
    assert not (site / "training" / "runs").exists()
