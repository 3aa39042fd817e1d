"""The key of a training: everything that decides the weights, in one digest. Same key, same model."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from inference.engine import weights
from oasst.core.errors import Invalid

if TYPE_CHECKING:  # needs packages that only machines have which train
    from inference.training.config import Common

_FOLDERS = {"reward_model"}
"""Settings that name a folder: its content counts, wherever it is."""


def key_of(*, method: str, config: "Common", base_digest: str, snapshot_digest: str) -> str:
    """Return the SHA-256 as 64 hexadecimal digits. Raise Invalid `no_model` if the reward model is missing."""
    settings = config.model_dump(mode="json", exclude=_FOLDERS)
    parts = {"method": method, "config": settings, "base": base_digest, "snapshot": snapshot_digest}
    if reward_model := getattr(config, "reward_model", ""):
        parts["reward_model"] = digest_of(Path(reward_model))
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest_of(folder: Path) -> str:
    """Return the digest of the weights of a model. Raise Invalid `no_model` if none is there."""
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise Invalid(f"There is no model in {folder} (config.json and *.safetensors).", code="no_model")
    return weights.digest(folder)
