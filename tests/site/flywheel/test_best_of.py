"""./manage.py best_of: the best of several answers as a folder to learn from, or a sentence that says what is wrong."""

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference.training import best_of
from inference.training.snapshot import open_snapshot
from tests.inference.training.conftest import reward_folder  # noqa: F401  a fixture
from tests.inference.training.test_best_of import FIRST, SECOND

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = {"answers": 2, "prompts": 2, "answer_length": 8}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from inference.engine import tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.make(folder)
    return folder


def select(reward: Path, to: Path, **options: Any) -> str:
    out = StringIO()
    call_command("best_of", "tiny", reward=str(reward), snapshot="2026.1", to=to, stdout=out, **{**SIZES, **options})
    return out.getvalue()


@pytest.mark.usefixtures("site")
class TestCommand:
    def test_what_it_writes(self, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
        monkeypatch.setattr(best_of, "score", lambda *_, **__: [FIRST, SECOND])  # the tiny model never ends
        said = select(reward_folder, tmp_path / "best")
        assert "The best of 4: score 1.250" in said and "best written" in said
        rows = list(open_snapshot(tmp_path / "best").rows("threads", "train"))
        assert [row["messages"][-1]["content"] for row in rows] == ["Yes.", "Fine."]
        assert all(row["synthetic"] and row["model_name"] == "tiny" for row in rows)

    def test_what_is_wrong_is_said(self, reward_folder: Path, tmp_path: Path, site: Path) -> None:  # noqa: F811
        to = tmp_path / "best"
        with pytest.raises(CommandError, match=r"none was ended by the model. \[empty\]"):
            select(reward_folder, to)
        with pytest.raises(CommandError, match="no more than --answers"):
            select(reward_folder, to, keep=3)
        with pytest.raises(CommandError, match="no model in"):
            select(tmp_path / "missing", to)
        with pytest.raises(CommandError, match="temperature"):
            select(reward_folder, to, temperature=9.0)
        shutil.rmtree(site / "models" / "tiny")
        with pytest.raises(CommandError, match="fetch_model"):
            select(reward_folder, to)
        assert not to.exists()
