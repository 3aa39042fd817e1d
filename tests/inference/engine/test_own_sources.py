"""Models come from the hub, a folder, an archive or an address; cut downloads go on; what is odd is refused."""

import errno
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference.engine import fetching, own_sources, weights
from inference.engine.base import EngineError
from inference.engine.known_models import CHAT_MODELS
from inference.engine.loading import load
from tests.inference.engine.fake_model_hub import ModelHub, model_hub


def quiet(_: str) -> None:
    pass


@pytest.fixture
def files(tiny_folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in tiny_folder.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with model_hub(dict(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def is_whole(folder: Path, files: dict[str, bytes]) -> bool:
    return {file.name: file.read_bytes() for file in folder.iterdir()} == files


class TestTheHub:
    def test_a_cut_download_goes_on(
        self, hub: ModelHub, tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
        hub.cut_after = 100_000
        folder = fetching.fetch("some/model", tmp_path, quiet)
        assert is_whole(folder, files) and [one.name for one in tmp_path.iterdir()] == ["some--model"]
        assert hub.ranges == ["bytes=100000-"]

    def test_what_came_before_a_failure_is_kept(self, hub: ModelHub, tmp_path: Path, files: dict[str, bytes]) -> None:
        hub.lies_about = "model.safetensors"
        with pytest.raises(EngineError, match=r"did not arrive as it is on the hub.* goes on there"):
            fetching.fetch("some/model", tmp_path, quiet)
        partial = tmp_path / ".some--model.partial"
        assert (partial / "config.json").exists() and not (partial / "model.safetensors").exists()
        hub.lies_about = ""
        assert is_whole(fetching.fetch("some/model", tmp_path, quiet), files)
        assert not partial.exists()

    def test_without_room_on_the_disk(self, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        with pytest.raises(EngineError, match=r"disk is too full.*are needed"):
            fetching.fetch("some/model", tmp_path, quiet)
        assert list(tmp_path.iterdir()) == []

    def test_two_at_once(self, hub: ModelHub, tmp_path: Path) -> None:
        with (
            fetching.partial_download(tmp_path / "some--model", "some/model"),
            pytest.raises(EngineError, match="another process is fetching it"),
        ):
            fetching.fetch("some/model", tmp_path, quiet)


def tar_of(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info)
    return packed.getvalue()


class TestOwnSources:
    def test_a_folder(self, tiny_folder: Path, tmp_path: Path, files: dict[str, bytes]) -> None:
        digest = weights.digest(tiny_folder)
        folder = own_sources.fetch_from(str(tiny_folder), "mine", tmp_path, quiet, sha256=digest)
        assert is_whole(folder, files) and load(folder).vocabulary > 0
        with pytest.raises(EngineError, match="already"):
            own_sources.fetch_from(str(tiny_folder), "mine", tmp_path, quiet)

    def test_an_archive(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        """Only the model's own files are taken, wherever in the archive they are; nothing leaves the folder."""
        link = tarfile.TarInfo("deep/model/tokenizer_link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        inside = {f"deep/model/{name}": content for name, content in files.items()}
        odd = {"deep/model/evil.py": b"raise SystemExit", "../outside.json": b"{}", "/abs.json": b"{}"}
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(tar_of({**odd, **inside}, link))
        assert is_whole(own_sources.fetch_from(str(archive), "mine", tmp_path / "models", quiet), files)
        assert not (tmp_path / "outside.json").exists()
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
            for name, content in {**odd, **inside}.items():
                packed.writestr(name, content)
        assert is_whole(own_sources.fetch_from(str(tmp_path / "model.zip"), "two", tmp_path / "models", quiet), files)

    def test_an_address(self, hub: ModelHub, tmp_path: Path, files: dict[str, bytes]) -> None:
        hub.cut_after = 100_000
        with pytest.raises(EngineError, match="goes on there"):
            own_sources.fetch_from(f"{hub.url}/plain/", "mine", tmp_path, quiet)
        folder = own_sources.fetch_from(f"{hub.url}/plain/", "mine", tmp_path, quiet)
        assert weights.digest(folder) == hashlib.sha256(files["model.safetensors"]).hexdigest()
        assert hub.ranges == ["bytes=65536-"] and load(folder).vocabulary > 0
        assert [one.name for one in tmp_path.iterdir()] == ["mine"]

    def test_an_address_of_an_archive(self, hub: ModelHub, tmp_path: Path, files: dict[str, bytes]) -> None:
        packed = hub.files["model.tar.gz"] = tar_of(files)
        source = f"{hub.url}/plain/model.tar.gz"
        with pytest.raises(EngineError, match="SHA-256"):
            own_sources.fetch_from(source, "mine", tmp_path, quiet, sha256="0" * 64)
        assert not fetching.is_fetched(tmp_path / "mine")
        digest = hashlib.sha256(packed).hexdigest()
        assert is_whole(own_sources.fetch_from(source, "mine", tmp_path, quiet, sha256=digest), files)

    def test_an_address_in_pieces(self, hub: ModelHub, tmp_path: Path, files: dict[str, bytes]) -> None:
        index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
        hub.files |= {"model.safetensors.index.json": json.dumps(index).encode()}
        hub.files["model-00001-of-00001.safetensors"] = hub.files.pop("model.safetensors")
        folder = own_sources.fetch_from(f"{hub.url}/plain", "mine", tmp_path, quiet)
        assert [file.name for file in weights.weight_files(folder)] == ["model-00001-of-00001.safetensors"]
        hub.files["model.safetensors.index.json"] = b'{"weight_map": {"a": "../../evil.safetensors"}}'
        with pytest.raises(EngineError, match="no weights"):
            own_sources.fetch_from(f"{hub.url}/plain", "two", tmp_path, quiet)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda files: files.pop("config.json"), "no config.json"),
            (lambda files: files.pop("model.safetensors"), "no weights"),
            (lambda files: files.pop("tokenizer.json"), "no tokenizer"),
            (lambda files: files.update({"model.safetensors": b"pickle?"}), "cannot be read"),
            (lambda files: files.update({"model.safetensors": b"\xff" * 100}), "cannot be read"),
        ],
    )
    def test_what_is_no_model(
        self, change: Callable[[dict[str, bytes]], object], why: str, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        change(files)
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(tar_of(files))
        with pytest.raises(EngineError, match=why):
            own_sources.fetch_from(str(archive), "mine", tmp_path / "models", quiet)
        assert list((tmp_path / "models").iterdir()) == []

    @pytest.mark.parametrize("name", ["../x", "/x", "a/b/c", "nothing here"])
    def test_bad_names(self, name: str, tiny_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(EngineError):
            own_sources.fetch_from(str(tiny_folder), name, tmp_path / "models", quiet)
        assert not (tmp_path / "models").exists()

    def test_too_large_or_broken(self, hub: ModelHub, tiny_folder: Path, tmp_path: Path) -> None:
        for source in (str(tiny_folder), f"{hub.url}/plain"):
            with pytest.raises(EngineError, match="--most-gb allows"):
                own_sources.fetch_from(source, "mine", tmp_path, quiet, most_bytes=10_000)
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(b"not an archive")
        for source, why in (
            (str(archive), "cannot be unpacked"),
            (str(tmp_path / "nowhere"), "no folder and no file"),
            (f"{hub.url}/nothing", "does not exist"),
            ("http://127.0.0.1:9/model", "could not be downloaded"),
        ):
            with pytest.raises(EngineError, match=why):
                own_sources.fetch_from(source, "mine", tmp_path, quiet)
        assert not (tmp_path / "mine").exists()

    def test_a_full_disk(
        self, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        settings.OASST_HOME = tmp_path
        monkeypatch.setattr(own_sources.shutil, "copyfile", full)
        with pytest.raises(CommandError, match=r"cannot be stored.*No space left"):
            call_command("fetch_model", "mine", source=str(tiny_folder))
        assert list((tmp_path / "models").iterdir()) == []


class TestSizes:
    def test_of_files(self, tiny_folder: Path) -> None:
        loaded, size = load(tiny_folder), weights.read_size(tiny_folder)
        assert size.parameters == sum(one.numel() for one in loaded.model.parameters())
        assert size.memory(cache_tokens=1024) > loaded.memory(1024) > size.parameters * 4
        assert size.memory("bfloat16") < size.memory("float32")

    def test_of_the_container(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = weights.available_memory()
        assert known is None or known > 10_000_000
        monkeypatch.setattr(weights, "_free_of_container", lambda: 123)
        assert weights.available_memory() == 123

    def test_the_list(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, settings: Any, monkeypatch: Any
    ) -> None:
        settings.OASST_HOME = tmp_path
        (tmp_path / "models" / "qwen3-0.6b").mkdir(parents=True)
        (tmp_path / "models" / "qwen3-0.6b" / "config.json").touch()
        monkeypatch.setattr(weights, "available_memory", lambda: 4_000_000_000)
        call_command("fetch_model", list=True)
        shown = capsys.readouterr().out
        lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.split()[:1] and line[0] != " "}
        assert CHAT_MODELS.keys() <= lines.keys() and "4.0 GB of memory free" in shown
        assert lines["smollm2-135m-instruct"][-1] == "yes" and lines["qwen3-0.6b"][-2:] == ["bfloat16", "yes"]
        assert lines["smollm3-3b"][-1] == "no"
        monkeypatch.setattr(weights, "available_memory", lambda: None)
        call_command("fetch_model", list=True)
        assert "?" in capsys.readouterr().out
