"""Where the embedded servers of one OASST_HOME keep their data and their sockets, and which user runs them.

An ordinary user keeps the data in `OASST_HOME/services`. PostgreSQL refuses to run as root, so as root the
servers run as an unprivileged user, who may not be able to reach OASST_HOME at all: then
`OASST_HOME/services` is a link to a directory below /var/lib/oasst, and programs are copied there too. No
mode of a directory that was there before is ever changed.

A socket path must be shorter than 108 bytes and OASST_HOME can be long, so sockets lie in a short private
directory named by a hash of OASST_HOME and its password: an emptied home gets a new password, and never
meets the servers of the old one.
"""

import hashlib
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from oasst.services.errors import ServiceError

ROOT_DATA = Path("/var/lib/oasst")
# Tried in this order. A user account is needed, not only a number: initdb looks its own name up.
UNPRIVILEGED = ("oasst", "nobody")


@dataclass(frozen=True)
class Place:
    """Everything that starting a server of this home has to know. uid is None where we run as ourselves."""

    home: Path
    data: Path
    sockets: Path
    uid: int | None
    gid: int | None

    @property
    def owner(self) -> tuple[int, int]:
        return (
            os.geteuid() if self.uid is None else self.uid,
            os.getegid() if self.gid is None else self.gid,
        )


def password(home: Path) -> str:
    """The database password of this home: made once, readable by its owner alone."""
    path = home / "postgres-password"
    try:
        if not path.exists():
            _make_password(path)
        return path.read_text().strip()
    except PermissionError as error:
        raise ServiceError(f"{path} belongs to somebody else: run this as the owner of {home}.") from error
    except OSError as error:
        raise ServiceError(f"OASST_HOME={home} can not be used: {error.strerror}.") from error


def _make_password(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".postgres-password.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_urlsafe(32))
    try:
        os.link(fresh, path)  # atomic: of two processes that start at once, one password wins for both
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def key(home: Path) -> str:
    return hashlib.sha256(f"{home.resolve()}\0{password(home)}".encode()).hexdigest()[:12]


def sockets(home: Path) -> Path:
    """The directory of the sockets. Only names it; `prepare` makes it."""
    if os.geteuid() == 0 and _owner_of_services(home) is None and os.access("/run", os.W_OK):
        return Path("/run/oasst") / key(home)
    return Path("/tmp") / f"oasst-{key(home)}"


def prepare(home: Path) -> Place:
    """Make the directories, private to the user who will run the servers."""
    home = home.resolve()
    where = sockets(home)
    uid, gid = _unprivileged(home) if os.geteuid() == 0 else (None, None)
    place = Place(home, home / "services", where, uid, gid)
    if os.geteuid() == 0 and _owner_of_services(home) is None:
        _link_services(place)
        public_directory(where.parent) if where.parent != Path("/tmp") else None
    elif not place.data.exists():
        private_directory(place.data, place.owner)
    private_directory(where, place.owner)
    return Place(home, place.data.resolve(), where, uid, gid)


def _owner_of_services(home: Path) -> tuple[int, int] | None:
    """The ordinary user who made `services` here; None where nobody did or root keeps its data elsewhere."""
    services = home / "services"
    if services.is_symlink() or not services.is_dir():
        return None
    made = services.stat()
    return made.st_uid, made.st_gid


def _unprivileged(home: Path) -> tuple[int, int]:
    if owner := _owner_of_services(home):
        return owner
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ServiceError("PostgreSQL can not run as root and there is no user 'nobody'; run this as an ordinary user.")


def _link_services(place: Place) -> None:
    """As root: `services` becomes a link to a fresh directory, whose name an earlier home may not have
    used.
    """
    link = place.home / "services"
    if link.is_symlink():
        public_directory(ROOT_DATA)
        public_directory(link.readlink())
        return
    public_directory(ROOT_DATA)
    target = ROOT_DATA / key(place.home)
    public_directory(target)
    link.symlink_to(target)


def public_directory(path: Path) -> None:
    """A directory of ours that other users may pass through but not change."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(0o755)


def private_directory(path: Path, owner: tuple[int, int]) -> None:
    """A directory for `owner` alone.

    One that somebody else made first is refused: they could listen in our place.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if path.is_symlink() or not path.is_dir() or found.st_uid != owner[0]:
            raise ServiceError(
                f"{path} should belong to uid {owner[0]} but belongs to uid {found.st_uid}. Remove it and start again."
            ) from None
        path.chmod(0o700)
        return
    if os.geteuid() == 0:
        os.chown(path, *owner)
