"""Helper of scripts/lock and scripts/lib-env for the lock files. Needs no packages.

requirements.txt, requirements-training.txt and requirements-dev.txt list the packages we chose; the .lock beside each
lists all dependencies too, with hashes, except torch, whose builds differ (scripts/lib-env).

    lockfile.py head FILE PYLOCK    print the first lines of the lock of FILE, with the sizes in PYLOCK
    lockfile.py check               print what is wrong with the locks and exit with 1 if anything is
    lockfile.py stamp FILE          print a digest of the packages of FILE and the interpreter; fails as check does
"""

import hashlib
import re
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-training.txt", "requirements-dev.txt")
"""Each includes the one before it."""
BUILT_BY_OTHERS = "torch"
"""In no lock, because its builds for CPUs and for NVIDIA cards have the same version and different files."""
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(.*)")
INPUTS = re.compile(r"^# inputs: sha256:([0-9a-f]{64})$", re.M)
SIZE_OF = ("cp311", "x86_64")
"""Sizes are those for this Python on Linux; others differ by up to a tenth."""


def lock_of(name: str) -> Path:
    return ROOT / name.replace(".txt", ".lock")


def requirements_of(name: str) -> list[str]:
    """Return the lines of the file and of those it includes, without comments."""
    requirements = []
    for line in (ROOT / name).read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            requirements += requirements_of(line[3:].strip())
        elif line:
            requirements.append(line)
    return requirements


def inputs_digest(name: str) -> str:
    return hashlib.sha256("\n".join(sorted(requirements_of(name))).encode()).hexdigest()


def pins_of(lines: list[str]) -> dict[str, dict[str, bool]]:
    """Return package → version → whether a hash follows. A package may have several versions, for different Pythons."""
    pins: dict[str, dict[str, bool]] = {}
    for line in lines:
        if pin := PIN.match(line):
            name = re.sub(r"[-_.]+", "-", pin[1]).lower()
            pins.setdefault(name, {})[pin[2]] = pin[3].endswith("\\")
    return pins


def problems() -> list[str]:
    """Return sentences that say where the locks do not match the requirements."""
    found = []
    locks = {name: lock_of(name).read_text() for name in FILES if lock_of(name).exists()}
    for name in FILES:
        lock = lock_of(name).name
        if name not in locks:
            found.append(f"{lock} is missing.")
            continue
        inputs = INPUTS.search(locks[name])
        if not inputs or inputs[1] != inputs_digest(name):
            found.append(f"{lock} was not made from {name} as it is now.")
        locked = pins_of(locks[name].splitlines())
        if BUILT_BY_OTHERS in locked:
            found.append(f"{lock} names {BUILT_BY_OTHERS}, whose builds differ.")
        found += [f"{lock} has no hash of {pin}." for pin, hashes in locked.items() if not all(hashes.values())]
        for required, versions in pins_of(requirements_of(name)).items():
            missing = versions.keys() - locked.get(required, {}).keys() if required != BUILT_BY_OTHERS else set()
            found += [f"{lock} has no {required}=={version}, which {name} asks for." for version in sorted(missing)]
    for fewer, more in pairwise(name for name in FILES if name in locks):
        some, all_ = (pins_of(locks[name].splitlines()) for name in (fewer, more))
        differ = (package for package in some if some[package] != all_.get(package))
        found += [f"{package} differs between {lock_of(fewer).name} and {lock_of(more).name}." for package in differ]
    return found


def download_size(pylock: dict[str, Any]) -> int:
    """Return the bytes of one file per package, as an installer chooses it."""
    return sum(_size(package) for package in pylock["packages"])


def _size(package: dict[str, Any]) -> int:
    wheels = [
        (wheel.get("name") or wheel["url"].rsplit("/", 1)[1], wheel["size"]) for wheel in package.get("wheels", [])
    ]
    sizes = [size for name, size in wheels if _fits(name)]
    return max(sizes) if sizes else int(package.get("sdist", {}).get("size", 0))


def _fits(wheel: str) -> bool:
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    version, machine = SIZE_OF
    fits_platform = platform == "any" or (machine in platform and "linux" in platform and "musl" not in platform)
    return fits_platform and (abi in ("none", "abi3") or version in python)


def head(name: str, pylock: Path) -> str:
    megabytes = round(download_size(tomllib.loads(pylock.read_text())) / 1e6)
    return (
        f"# All that {name} brings along, for Python 3.11 to 3.14, without {BUILT_BY_OTHERS} (scripts/lib-env).\n"
        "# Made by scripts/lock; an edit here is lost.\n"
        f"# inputs: sha256:{inputs_digest(name)}\n"
        f"# megabytes: {megabytes}\n"
    )


def stamp(name: str) -> str:
    torch = next(line for line in requirements_of(name) if line.startswith(f"{BUILT_BY_OTHERS}=="))
    return hashlib.sha256("\n".join([sys.version, torch, lock_of(name).read_text()]).encode()).hexdigest()


def main(command: str, *arguments: str) -> int:
    if command == "head":
        sys.stdout.write(head(arguments[0], Path(arguments[1])))
        return 0
    sentences = problems()
    for sentence in sentences:
        sys.stderr.write(f"{sentence}\n")
    if sentences:
        sys.stderr.write("scripts/lock makes the locks anew.\n")
    elif command == "stamp":
        sys.stdout.write(f"{stamp(arguments[0])}\n")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
