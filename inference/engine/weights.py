"""What the files of a model say about it, without loading it: its size, the memory it needs, its digest."""

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from inference.engine.base import EngineError

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_COPIES = 1.6
"""In float32 on a CPU: the weights of layers that widen are kept twice (`loading`)."""
_OVERHEAD = 200_000_000
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    cache_values: int = 0
    """Numbers that the cache keeps of each token."""

    def memory(self, dtype: str = "float32", cache_tokens: int = 8192) -> int:
        """Return about how many bytes it takes in memory, with its cache."""
        each = _BYTES[dtype]
        copies = _COPIES if dtype == "float32" else 1.0
        return int(self.parameters * each * copies) + cache_tokens * self.cache_values * each + _OVERHEAD


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def read_size(folder: Path) -> ModelSize:
    """Read the size of the model in a folder. Raise EngineError if the files cannot be read."""
    try:
        parameters = sum(_parameters(file) for file in weight_files(folder))
        config = json.loads((folder / "config.json").read_text())
        return ModelSize(parameters, cache_values(config))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EngineError(f"The model in {folder} cannot be read: {error}") from error


def stored_bytes(folder: Path) -> int:
    """Return the bytes of the weights on the disk."""
    return sum(file.stat().st_size for file in weight_files(folder))


def digest(folder: Path) -> str:
    """Return the SHA-256 of the weights, of several files one after the other; empty without any."""
    files = weight_files(folder)
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while piece := opened.read(1 << 20):
                found.update(piece)
    return found.hexdigest() if files else ""


def available_memory() -> int | None:
    """Return how many bytes this process may still take, or None if that is not known."""
    free = [number for number in (_free_of_machine(), _free_of_container()) if number is not None]
    return min(free) if free else None


def _parameters(file: Path) -> int:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"{file.name} is not in the format safetensors")
        header: dict[str, Any] = json.loads(opened.read(length))
    return sum(prod(about["shape"]) for name, about in header.items() if name != "__metadata__")


def cache_values(config: dict[str, Any]) -> int:
    """Return how many numbers the cache keeps of each token, by the configuration of a model."""
    heads = config.get("num_attention_heads") or 0
    size = config.get("head_dim") or (config.get("hidden_size", 0) // heads if heads else 0)
    return 2 * int(config.get("num_hidden_layers") or 0) * int(config.get("num_key_value_heads") or heads) * int(size)


def _free_of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _free_of_container() -> int | None:
    """Return what the container may still take, if it has a limit. Files that the kernel keeps do not count."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        kept = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - used + next((int(value) for name, value in kept if name == "inactive_file"), 0)
    except (OSError, ValueError):  # no limit is the word "max"
        return None
