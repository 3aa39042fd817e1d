"""Train from folder to folder, without a site: `python -m inference.training --help`.

For machines with GPUs that have no database, also in several processes by `accelerate launch` (docs/training.md).
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inference.training.base import Hooks, Progress, Training
from inference.training.config import METHODS, read_config
from inference.training.errors import TrainingError
from inference.training.running import run
from inference.training.snapshot import open_snapshot


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.training", description="Train a model on a snapshot.")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--snapshot", type=Path, required=True, help="folder that snapshot_create wrote")
    parser.add_argument("--base", type=Path, required=True, help="folder of the model to start from")
    parser.add_argument("--to", type=Path, required=True, help="folder for checkpoints and the trained model")
    parser.add_argument("--config", type=Path, help="settings from a YAML file")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="one setting")
    parser.add_argument("--threads", type=int, default=0, help="of a processor; as many as torch takes if left out")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.method, options.config, options.changes)
        snapshot = open_snapshot(options.snapshot)
        done = run(
            Training(options.method, config, options.base, snapshot, options.to, threads=options.threads),
            Hooks(say=_say),
        )
    except TrainingError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    if _is_first():
        sys.stdout.write(json.dumps(asdict(done), default=str) + "\n")
    return 0


def _is_first() -> bool:
    """Return whether this is the first of several processes, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _say(progress: Progress) -> None:
    if not _is_first():
        return
    figures = " ".join(f"{name}={value:.4g}" for name, value in progress.figures.items())
    sys.stderr.write(f"{progress.step}/{progress.steps} {figures}\n")


if __name__ == "__main__":
    sys.exit(main())
