"""`./manage.py models` lists, stages and takes back; its refusals are one sentence."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference.engine import fetching
from inference.models import ServedModel
from inference.registry import offer
from oasst.core.models import AuditEntry
from tests.inference.registry.conftest import NewModel

pytestmark = pytest.mark.django_db


def models(*arguments: str) -> None:
    call_command("models", *arguments)


def test_a_model_comes_and_goes(new_model: NewModel, capsys: pytest.CaptureFixture[str]) -> None:
    new_model("better", license="mit")
    ServedModel.objects.create(name="tiny")
    models("stage", "better", "share", "--share", "7", "--reason", "A try.")
    assert "better is for 7 % of the users" in capsys.readouterr().out
    models("stage", "better", "all")
    offer.forget()
    models()
    shown = capsys.readouterr().out
    assert "* better" in shown and "  tiny" in shown and "everybody (settings)" in shown
    models("roll_back")
    assert ServedModel.objects.get(pk="better").stage == "share"
    reasons = [entry.text.reason for entry in AuditEntry.objects.order_by("pk")]
    assert reasons[0] == "By command models. A try." and len(reasons) == 3
    for arguments, why in (
        (["roll_back"], "nothing_to_roll_back"),
        (["stage", "nothing", "all"], "unknown_model"),
        (["stage", "better", "share", "--share", "0"], r"\[share\]"),
        (["add", "missing"], "model_missing"),
        (["add", "../missing"], "model_missing"),
    ):
        with pytest.raises(CommandError, match=why):
            models(*arguments)


def test_what_was_fetched_is_known(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.OASST_CHAT_MODEL = "another"
    (tiny_folder / "README.md").write_text("---\nlicense: mit\n---\n")
    try:
        call_command("fetch_model", "mine", source=str(tiny_folder))
    finally:
        (tiny_folder / "README.md").unlink()
    row = ServedModel.objects.get(pk="mine")
    assert (row.origin, row.license, row.stage, len(row.digest)) == ("fetched", "mit", "nobody", 64)
    assert "models stage mine staff" in capsys.readouterr().out
    assert fetching.is_fetched(home / "models" / "mine")
    models()
    assert "nobody" in capsys.readouterr().out
