"""Take a model from a folder, an archive or an address that the operator names, checked before it appears."""

import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from inference.engine import weights
from inference.engine.base import EngineError
from inference.engine.fetching import (
    MODEL_FILES,
    Say,
    appearing,
    folder_of,
    is_fetched,
    move_files,
    partial_download,
    require_disk,
    sha256_of,
)

MOST_BYTES = 50_000_000_000
"""Of a model, packed or unpacked."""
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_SECONDS = 30
_PIECE = 1 << 16
_NAMED_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "vocab.json"),
    *("merges.txt", "added_tokens.json", "tokenizer.model", "chat_template.jinja", "README.md", "LICENSE"),
)
"""What is asked for below an address, beside the configuration and the weights."""
_INDEX = "model.safetensors.index.json"


def fetch_from(
    source: str, name: str, models: Path, say: Say, *, sha256: str = "", most_bytes: int = MOST_BYTES
) -> Path:
    """Return the folder of the model `name`, taken from `source`: a folder, an archive, or the address of one of both.

    `sha256` is that of the archive, or of the weights of a folder. Only data are taken: settings, tokens, safetensors.
    What an address has given stays until the download is complete. Raise EngineError with the reason.
    """
    folder = folder_of(name, models)
    if folder.parent != models:
        raise EngineError(f"{name!r} is a path. Say which name the model gets here, such as my-model.")
    if is_fetched(folder):
        raise EngineError(f"There is a model called {name} already, in {folder}. Choose another name, or remove it.")
    models.mkdir(parents=True, exist_ok=True)
    with appearing(folder) as unfinished:
        if urlsplit(source).scheme in ("http", "https"):
            with partial_download(folder, source) as partial:
                _from_address(source, partial, unfinished, say, sha256, most_bytes)
        else:
            _from_path(Path(source).expanduser(), unfinished, sha256, most_bytes)
        _require_model(unfinished, source)
    return folder


def _from_path(source: Path, folder: Path, sha256: str, most_bytes: int) -> None:
    if source.is_dir():
        files = [file for file in source.iterdir() if file.is_file() and _is_wanted(file.name)]
        _require_size(sum(file.stat().st_size for file in files), most_bytes, folder)
        for file in files:
            shutil.copyfile(file, folder / file.name)
        _require_digest(weights.digest(folder), sha256)
    elif source.is_file():
        _require_digest(sha256_of(source) if sha256 else "", sha256)
        _unpack(source, folder, most_bytes)
    else:
        raise EngineError(f"There is no folder and no file {source}.")


def _from_address(source: str, partial: Path, folder: Path, say: Say, sha256: str, most_bytes: int) -> None:
    path = PurePosixPath(urlsplit(source).path)
    if path.name.endswith(_ARCHIVES):
        archive = partial / path.name
        if not _download(source, archive, most_bytes):
            raise EngineError(f"{source} does not exist there (404).")
        if sha256 and sha256_of(archive) != sha256:
            archive.unlink()  # else every further try would end here
        _require_digest(sha256_of(archive) if archive.exists() else "another one", sha256)
        say("Unpacking …")
        _unpack(archive, folder, most_bytes)
        return
    base = source.rstrip("/")
    if not _download(f"{base}/config.json", partial / "config.json", most_bytes):
        raise EngineError(f"{base}/config.json does not exist, so there is no model.")
    for name in [*_NAMED_FILES, *_names_of_weights(base, partial, most_bytes)]:
        is_there = _download(f"{base}/{name}", partial / name, most_bytes - weights.stored_bytes(partial))
        if not is_there and name.endswith(".safetensors"):
            raise EngineError(f"{base}/{name} does not exist there (404).")
    if sha256 and weights.digest(partial) != sha256:
        for file in weights.weight_files(partial):
            file.unlink()
    _require_digest(weights.digest(partial), sha256)
    move_files(partial, folder)


def _names_of_weights(base: str, partial: Path, most_bytes: int) -> list[str]:
    if not _download(f"{base}/{_INDEX}", partial / _INDEX, most_bytes):
        return ["model.safetensors"]
    try:
        names = sorted(set(json.loads((partial / _INDEX).read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{base}/{_INDEX} cannot be read: {error}") from error
    if not all(isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*\.safetensors", name) for name in names):
        raise EngineError(f"{base}/{_INDEX} names files that are no weights.")
    return names


def _download(url: str, file: Path, most_bytes: int) -> bool:
    """Download to `file`, going on after what is there of a large one. Return False if the server does not have it."""
    import requests

    is_large = file.name.endswith((".safetensors", *_ARCHIVES))
    there = file.stat().st_size if is_large and file.exists() else 0
    try:
        with requests.get(
            url,
            stream=True,
            timeout=_SECONDS,
            # Without compression, so that a position in the file is one in the answer.
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {}),
        ) as answer:
            if answer.status_code == 404:
                return False
            if answer.status_code == 416:  # nothing after what is there
                return True
            if answer.status_code not in (200, 206):
                raise EngineError(f"{url} answered with status {answer.status_code}.")
            there = there if answer.status_code == 206 else 0
            size = there + int(answer.headers.get("Content-Length") or 0)
            _require_size(size, most_bytes, file.parent, there)
            _write(answer, file, there, size, most_bytes)
    except requests.RequestException as error:
        raise EngineError(
            f"{url} could not be downloaded: {str(error)[:200]} What came so far is kept, and the same command goes on "
            "there."
        ) from error
    return True


def _write(answer: Any, file: Path, there: int, size: int, most_bytes: int) -> None:
    from tqdm import tqdm

    with (
        file.open("ab" if there else "wb") as target,
        tqdm(total=size or None, initial=there, unit="B", unit_scale=True, desc=file.name, disable=None) as bar,
    ):
        for piece in answer.iter_content(_PIECE):
            there += len(piece)
            if there > most_bytes:
                raise EngineError(f"{file.name} is larger than {most_bytes / 1e9:.1f} GB, which --most-gb allows.")
            target.write(piece)
            bar.update(len(piece))


def _unpack(archive: Path, folder: Path, most_bytes: int) -> None:
    """Take the files of a model from an archive: those beside its config.json. Links and paths are never followed."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                members = {one.filename: one.file_size for one in opened.infolist() if not one.is_dir()}
                _take(members, lambda name: opened.open(name), folder, most_bytes)
        else:
            with tarfile.open(archive) as tar:
                files = {one.name: one for one in tar if one.isreg()}
                sizes = {name: one.size for name, one in files.items()}
                _take(sizes, lambda name: tar.extractfile(files[name]), folder, most_bytes)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise EngineError(f"{archive.name} cannot be unpacked: {error}") from error


def _take(sizes: dict[str, int], opened: Any, folder: Path, most_bytes: int) -> None:
    for name, target in _beside_config(sizes):
        _require_size(sizes[name], most_bytes, folder)
        most_bytes -= sizes[name]
        with opened(name) as source, (folder / target).open("wb") as copy:
            _copy(source, copy, sizes[name])


def _beside_config(names: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Return the files of the archive that belong to the model, each with its name alone."""
    configs = sorted((name for name in names if PurePosixPath(name).name == "config.json"), key=len)
    if not configs:
        raise EngineError("The archive has no config.json, so there is no model in it.")
    room = PurePosixPath(configs[0]).parent
    for name in names:
        path = PurePosixPath(name)
        if path.parent == room and _is_wanted(path.name):
            yield name, path.name


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copy exactly what the archive says. More would be a bomb."""
    while size > 0 and (piece := source.read(min(_PIECE, size))):
        target.write(piece)
        size -= len(piece)


def _is_wanted(name: str) -> bool:
    return not name.startswith(".") and any(fnmatch(name, kind) for kind in MODEL_FILES)


def _require_size(size: int, most_bytes: int, folder: Path, there: int = 0) -> None:
    if size > most_bytes:
        raise EngineError(f"It is {size / 1e9:.1f} GB large, and --most-gb allows {most_bytes / 1e9:.1f} GB.")
    require_disk(folder, size - there)


def _require_digest(found: str, wanted: str) -> None:
    if wanted and found != wanted:
        raise EngineError("Its SHA-256 is another one, so it was changed or did not arrive complete.")


def _require_model(folder: Path, source: str) -> None:
    if not is_fetched(folder):
        raise EngineError(f"There is no model in {source} (no config.json).")
    if not weights.weight_files(folder):
        raise EngineError(f"{source} has no weights in the format safetensors.")
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise EngineError(f"{source} has no tokenizer.")
    weights.read_size(folder)
