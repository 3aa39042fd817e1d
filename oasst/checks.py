"""System checks for configuration that cannot work or is dangerous. Each has an id and says what to do."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from django.db.utils import OperationalError

from oasst import env
from oasst.accounts.development_key import enabling_variables
from oasst.core import ratelimit
from oasst.core.http.requests import is_private_site, listens_on_loopback
from oasst.core.server_urls import is_local
from oasst.embedded import postgres

RESERVED_CONNECTIONS = 10
"""Kept free for commands, psql and backups."""
BEAT_CONNECTIONS = 1
MIN_PGVECTOR = (0, 8)
"""The first that goes on searching its index until enough rows pass the other conditions of a query."""


@register()
def check_public_address(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_address_problems(), *_exposure_problems()]


@register()
def check_engine(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.OASST_ENGINE != "remote" or settings.ENGINE_URL.startswith(("http://", "https://")):
        return []
    return [
        Error(
            "OASST_ENGINE is remote and ENGINE_URL names no server.",
            hint="Set ENGINE_URL to the address of an OpenAI-compatible server, for example http://gpu:8001/v1",
            id="oasst.E005",
        )
    ]


@register()
def check_scoring(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A misspelled classifier would only show as scores that never come."""
    problems: list[CheckMessage] = []
    if settings.TOXICITY_URL and not settings.TOXICITY_URL.startswith(("http://", "https://")):
        hint = "It is an address such as https://tox.example.org/score, or unset."
        problems.append(Error("TOXICITY_URL names no server.", hint=hint, id="oasst.E007"))
    folder = settings.OASST_TOXICITY_MODEL
    if folder and not (Path(folder) / "config.json").is_file():
        hint = "Name a folder with config.json, tokenizer and *.safetensors, or unset it."
        problems.append(Error(f"OASST_TOXICITY_MODEL: there is no model in {folder}.", hint=hint, id="oasst.E008"))
    return problems


@register()
def check_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A limit with a misspelled name would silently have no effect."""
    names = ratelimit.rules()
    return [
        Error(
            f"LIMITS names {name!r}, and no limit is called that.",
            hint=_suggestion(name, names) + "docs/operations.md lists all of them.",
            id="oasst.E020",
        )
        for name in settings.LIMITS
        if name not in names
    ]


def _suggestion(name: str, names: Collection[str]) -> str:
    nearest = get_close_matches(name, names, n=1)
    return f"Did you mean {nearest[0]}? " if nearest else ""


@register()
def check_known_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """1234 gives full access to the API, so the site may then only be reachable from this machine."""
    if is_private_site():
        return []
    return [
        Error(
            f"{name} is 1234, which everybody knows, and other machines can reach this site.",
            hint=f"Unset {name} and make a key with `./manage.py create_api_client`, or choose a long secret. 1234 is "
            "for trying unchanged API clients where PUBLIC_URL and BIND_ADDRESS are loopback addresses.",
            id="oasst.E006",
        )
        for name in enabling_variables()
    ]


def _address_problems() -> Iterator[CheckMessage]:
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield Error(
            f"PUBLIC_URL is not an address: {settings.PUBLIC_URL!r}.",
            hint="Write it as people type it into a browser, for example https://oasst.example.org",
            id="oasst.E001",
        )
    elif parts.path or parts.query or parts.fragment:
        yield Error(
            f"PUBLIC_URL may not have a path: {settings.PUBLIC_URL!r}.",
            hint="The site lives at the top of its host. Leave only scheme, host and port.",
            id="oasst.E002",
        )
    elif parts.scheme == "http" and not settings.IS_LOCAL:
        yield Warning(
            f"{settings.PUBLIC_URL} sends passwords and sessions in the clear.",
            hint="Put a proxy with a certificate in front and set PUBLIC_URL to its https address.",
            id="oasst.W001",
        )


def _exposure_problems() -> Iterator[CheckMessage]:
    if settings.IS_LOCAL:
        return
    if settings.DEBUG:
        yield Error(
            "DEBUG is on for an address that others can reach: anybody could sign in as anybody.",
            hint="Unset DEBUG, or set PUBLIC_URL to a localhost address.",
            id="oasst.E003",
        )
    if settings.TRUSTED_PROXIES > 0 and not listens_on_loopback():
        yield Warning(
            f"The site listens on {settings.BIND_ADDRESS} and trusts X-Forwarded-For: anybody who reaches the port "
            "without the proxy can invent an address and evade every limit.",
            hint="Keep the port reachable for the proxy alone, by a firewall or a private network. If the proxy is on "
            "this machine, set BIND_ADDRESS=127.0.0.1.",
            id="oasst.W003",
        )
    if not settings.SENDS_MAIL:
        yield Warning(
            "EMAIL_URL is not set, so nobody can sign in by a code in the mail.",
            hint="Set EMAIL_URL to your mail server (docs/operations.md). Until then `./manage.py sign_in_link EMAIL` "
            "signs in users that you made with `./manage.py create_user`.",
            id="oasst.W002",
        )


MIN_SECRET_LENGTH = 32
"""Characters. Anybody who guesses a secret acts as the site, or as a trusted API client."""


@register()
def check_secrets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Guessable secrets, untrusted proxies and mail without encryption, where others can reach the site."""
    if settings.IS_LOCAL:
        return []
    return [*_short_secrets(), *_unknown_proxies(), *_mail_in_the_clear()]


def _short_secrets() -> Iterator[CheckMessage]:
    secrets = {name: [getattr(settings, name)] for name in ("OFFICIAL_WEB_API_KEY", "METRICS_TOKEN", "AUTH_SECRET")}
    secrets["ROOT_TOKENS"] = settings.ROOT_TOKENS
    for name, values in secrets.items():
        if any(value and len(value) < MIN_SECRET_LENGTH for value in values):
            yield Error(
                f"{name} is shorter than {MIN_SECRET_LENGTH} characters, and the site can be reached by others.",
                hint=f"Make one with `{_HOW_TO_MAKE_ONE}`.",
                id="oasst.E010",
            )
    for name, keys in (
        ("SECRET_KEY", [settings.SECRET_KEY]),
        ("SECRET_KEY_FALLBACKS", settings.SECRET_KEY_FALLBACKS),
    ):
        if all(len(key) >= MIN_SECRET_LENGTH for key in keys):
            continue
        subject = name if name == "SECRET_KEY" else f"A key of {name}"
        yield Error(
            f"{subject} is shorter than {MIN_SECRET_LENGTH} characters: anybody who guesses it signs in as any user.",
            hint=_SHORT_KEY_HINTS[name],
            id="oasst.E011",
        )


_HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
_SHORT_KEY_HINTS = {
    "SECRET_KEY": f"Make one with `{_HOW_TO_MAKE_ONE}`, or unset it: then one is made and kept in OASST_HOME.",
    "SECRET_KEY_FALLBACKS": "Remove it: what was signed with it becomes invalid, and people sign in again.",
}


def _unknown_proxies() -> Iterator[CheckMessage]:
    """The site itself speaks no TLS, so an https address means a proxy, whose address all visitors would share."""
    if urlsplit(settings.PUBLIC_URL).scheme == "https" and settings.TRUSTED_PROXIES == 0:
        yield Error(
            "PUBLIC_URL is https and TRUSTED_PROXIES is 0: all visitors seem to come from the proxy with the "
            "certificate, and one of them can use up the limits of all.",
            hint="Set TRUSTED_PROXIES to the number of proxies in front, usually 1. See docs/operations.md.",
            id="oasst.E012",
        )


def _mail_in_the_clear() -> Iterator[CheckMessage]:
    encrypted = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
    on_this_machine = settings.EMAIL_HOST in ("localhost", "127.0.0.1", "::1")
    if settings.SENDS_MAIL and settings.EMAIL_HOST_USER and not encrypted and not on_this_machine:
        yield Error(
            "EMAIL_URL sends its password, and the codes that people sign in with, in the clear.",
            hint="Write smtps://… (port 465), or add ?tls=1 to smtp://… (port 587).",
            id="oasst.E013",
        )


@register()
def check_snapshot_storage(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_storage_problems()]


def _storage_problems() -> Iterator[CheckMessage]:
    bucket = settings.SNAPSHOT_BUCKET
    if bool(settings.AWS_ACCESS_KEY_ID) != bool(settings.AWS_SECRET_ACCESS_KEY):
        yield Error(
            "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set.",
            hint="Set both. Without any, other credentials of boto3 are used, for example those of the machine.",
            id="oasst.E021",
        )
    if bucket is None:
        return
    public = bucket.public_endpoint or bucket.endpoint
    if not settings.IS_LOCAL and public and (urlsplit(public).scheme == "http" or is_local(public)):
        yield Warning(
            f"Downloads of snapshots lead to {public}, which others cannot reach, or only in the clear.",
            hint="Add public_endpoint=https://… to SNAPSHOT_STORAGE_URL: the address of that server for everybody.",
            id="oasst.W004",
        )


@register(Tags.database)
def check_connections(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Run only where a command asks for database checks (`migrate`, so also `up`): it may query the server."""
    if not databases:
        return []
    limit = _max_connections()
    needed = connections_needed()
    if limit is None or needed <= limit - RESERVED_CONNECTIONS:
        return []
    return [
        Error(
            f"The processes may open {needed} database connections; the server allows {limit}, "
            f"of which {RESERVED_CONNECTIONS} stay free for commands.",
            hint="Lower WEB_PROCESSES, DATABASE_POOL or WORKER_THREADS, or raise max_connections of the server.",
            id="oasst.E004",
        )
    ]


def connections_needed() -> int:
    """Return how many database connections the processes of this machine may open together."""
    pool: int = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    engines = 1 if settings.OASST_ENGINE == "worker" else 0
    return settings.WEB_PROCESSES * pool + min(settings.WORKER_THREADS, pool) + BEAT_CONNECTIONS + engines


def _max_connections() -> int | None:
    if not env.text("DATABASE_URL"):
        return postgres.MAX_CONNECTIONS
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW max_connections")
            return int(cursor.fetchone()[0])
    except OperationalError:
        return None  # migrate reports that the server is unreachable


@register(Tags.database)
def check_vectors(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Before `migrate` creates tables that need pgvector."""
    if not databases or not env.text("DATABASE_URL"):
        return []
    available, installed = _vector_versions()
    if installed is not None and installed < MIN_PGVECTOR:
        problem, hint = f"The database has pgvector {_dotted(installed)}", "Update it: ALTER EXTENSION vector UPDATE"
    elif installed is None and (available is None or available < MIN_PGVECTOR):
        problem = f"The PostgreSQL server offers {f'pgvector {_dotted(available)}' if available else 'no pgvector'}"
        hint = "Install its package on the server, for example postgresql-18-pgvector. Managed servers have it"
    else:
        return []
    return [
        Error(
            f"{problem}; {_dotted(MIN_PGVECTOR)} or newer is needed.",
            hint=f"{hint} (docs/operations.md).",
            id="oasst.E030",
        )
    ]


def _vector_versions() -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Return the version of pgvector that the server offers and the one that the database has."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'"
            )
            available, installed = cursor.fetchone() or (None, None)
    except OperationalError:
        return MIN_PGVECTOR, None  # migrate reports that the server is unreachable
    return _parts(available), _parts(installed)


def _parts(version: str | None) -> tuple[int, ...] | None:
    return tuple(int(part) for part in version.split(".") if part.isdecimal()) if version else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
