"""A model is pushed to the hub with a card of what it was made of; once, and never without a license."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference.models import Evaluation, ServedModel, TrainingRun
from inference.registry.models import register_trained
from inference.registry.pushing import card
from tests.trees.interchange.fake_hub import TOKEN, FakeHub, fake_hub

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub(settings: Any) -> Iterator[FakeHub]:
    settings.HF_TOKEN = TOKEN
    with fake_hub() as hub:
        yield hub


@pytest.fixture
def trained(new_run: Callable[..., TrainingRun], home: Path) -> ServedModel:
    """SFT, and DPO of that."""
    first = register_trained(new_run(steps=10))
    ServedModel.objects.filter(pk="HuggingFaceTB/SmolLM2-135M").update(license="apache-2.0")
    run = new_run(method="dpo", base=first.name, snapshot="2026.2", steps=5)
    ServedModel.objects.filter(pk=first.pk).update(license="apache-2.0")
    model = register_trained(run)
    (home / run.folder / "model.safetensors").write_bytes(b"weights")
    (home / run.folder / "training.log").write_text("private")
    known = {"key": "k", "snapshot": "2026.2", "snapshot_digest": "s" * 64, "reasons": ["Better in German."]}
    Evaluation.objects.create(model=model, against=first, passed=True, **known)
    return model


def push(name: str, hub: FakeHub) -> None:
    call_command("push_model", name, "oasst/mine", endpoint=hub.url)


def test_with_its_card(trained: ServedModel, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    push(trained.pk, hub)
    repository = hub.repositories["oasst/mine"]
    assert set(repository.files) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    assert repository.files["model.safetensors"] == b"weights"
    text = repository.files["README.md"].decode()
    assert text.startswith("---\nlicense: apache-2.0\n") and "base_model: HuggingFaceTB/SmolLM2-135M" in text
    for words in (
        "sft of HuggingFaceTB/SmolLM2-135M on snapshot 2026.1",
        "dpo of smollm2",
        "snapshot 2026.2",
        "passed",
    ):
        assert words in text
    assert "Better in German." in text and "was pushed" in capsys.readouterr().out
    push(trained.pk, hub)
    assert "is there already" in capsys.readouterr().out and len(repository.commits) == 2


def test_citations(trained: ServedModel) -> None:
    text = card(trained, {"2026.2": "@misc{two}", "2025.1": "@misc{other}"})
    assert "@misc{two}" in text and "@misc{other}" not in text


def test_refused(trained: ServedModel, hub: FakeHub, settings: Any) -> None:
    ServedModel.objects.create(name="unlicensed")
    ServedModel.objects.create(name="gone", license="mit")
    for name, why in (
        ("nothing", "unknown_model"),
        ("unlicensed", r"license of unlicensed is not known"),
        ("gone", "model_missing"),
    ):
        with pytest.raises(CommandError, match=why):
            push(name, hub)
    settings.HF_TOKEN = ""
    with pytest.raises(CommandError, match="HF_TOKEN is not set"):
        push(trained.pk, hub)
    assert not hub.repositories
