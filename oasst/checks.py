"""Configuration that can not work, or will hurt later: said at start, with an id and what to do."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from django.db.utils import OperationalError

from oasst import env
from oasst.accounts.development_key import variables_that_hold_it
from oasst.core import ratelimit
from oasst.core.http.requests import is_private_site, listens_on_loopback
from oasst.embedded import postgres

RESERVED_CONNECTIONS = 10
"""Kept free for commands, psql and backups."""
BEAT_CONNECTIONS = 1


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
def check_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A rule with a typing error in its name would go on as before, and nobody would notice."""
    names = ratelimit.rules()
    return [
        Error(
            f"LIMITS names {name!r}, and no limit is called that.",
            hint=_meant(name, names) + "docs/operations.md lists all of them.",
            id="oasst.E020",
        )
        for name in settings.LIMITS
        if name not in names
    ]


def _meant(name: str, names: Collection[str]) -> str:
    nearest = get_close_matches(name, names, n=1)
    return f"Did you mean {nearest[0]}? " if nearest else ""


@register()
def check_known_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """1234 opens the whole site to whoever reaches it, so it may only be reached from this machine."""
    if is_private_site():
        return []
    return [
        Error(
            f"{name} is 1234, which everybody knows, and other machines can reach this site.",
            hint=f"Unset {name} and make a key with `./manage.py create_api_client`, or choose a long secret. 1234 is "
            "for trying unchanged programs where PUBLIC_URL and BIND_ADDRESS are loopback addresses.",
            id="oasst.E006",
        )
        for name in variables_that_hold_it()
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
            f"The site listens on {settings.BIND_ADDRESS} and believes X-Forwarded-For: whoever reaches the port "
            "without the proxy invents an address, and no limit holds.",
            hint="Keep the port reachable for the proxy alone, by a firewall or a private network. If the proxy is on "
            "this machine, set BIND_ADDRESS=127.0.0.1.",
            id="oasst.W003",
        )
    if not settings.SENDS_MAIL:
        yield Warning(
            "EMAIL_URL is not set, so nobody can sign in by a code in the mail.",
            hint="Set EMAIL_URL to your mail server (docs/operations.md). Until then `./manage.py sign_in_link EMAIL` "
            "lets in whom you made with `./manage.py create_user`.",
            id="oasst.W002",
        )


SHORTEST_SECRET = 32
"""Characters. Whoever guesses one of them is the site, or a trusted program."""


@register()
def check_secrets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What can be guessed, believed or read on the way, where others can reach the site."""
    if settings.IS_LOCAL:
        return []
    return [*_short_secrets(), *_unknown_proxies(), *_mail_in_the_clear()]


def _short_secrets() -> Iterator[CheckMessage]:
    secrets = {name: [getattr(settings, name)] for name in ("OFFICIAL_WEB_API_KEY", "METRICS_TOKEN", "AUTH_SECRET")}
    secrets["ROOT_TOKENS"] = settings.ROOT_TOKENS
    for name, values in secrets.items():
        if any(value and len(value) < SHORTEST_SECRET for value in values):
            yield Error(
                f"{name} is shorter than {SHORTEST_SECRET} characters, and the site can be reached by others.",
                hint=f"Make one with `{_HOW_TO_MAKE_ONE}`.",
                id="oasst.E010",
            )
    for name, keys in (
        ("SECRET_KEY", [settings.SECRET_KEY]),
        ("SECRET_KEY_FALLBACKS", settings.SECRET_KEY_FALLBACKS),
    ):
        if all(len(key) >= SHORTEST_SECRET for key in keys):
            continue
        of_what = name if name == "SECRET_KEY" else f"A key of {name}"
        yield Error(
            f"{of_what} is shorter than {SHORTEST_SECRET} characters: who guesses it signs in as anybody.",
            hint=_INSTEAD[name],
            id="oasst.E011",
        )


_HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
_INSTEAD = {
    "SECRET_KEY": f"Make one with `{_HOW_TO_MAKE_ONE}`, or unset it: then one is made and kept in OASST_HOME.",
    "SECRET_KEY_FALLBACKS": "Take it out: what was signed with it ends, and people sign in again.",
}


def _unknown_proxies() -> Iterator[CheckMessage]:
    """We speak no TLS ourselves, so behind an https address a proxy stands that we would take for everybody."""
    if urlsplit(settings.PUBLIC_URL).scheme == "https" and settings.TRUSTED_PROXIES == 0:
        yield Error(
            "PUBLIC_URL is https and TRUSTED_PROXIES is 0: all visitors seem to come from the proxy with the "
            "certificate, and one of them can use up the limits of all.",
            hint="Set TRUSTED_PROXIES to the number of proxies in front, most often 1, see docs/operations.md.",
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


@register(Tags.database)
def check_connections(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Only where a command asks for database checks (`migrate`, so also `up`): it may have to ask the server."""
    if not databases:
        return []
    limit = _max_connections()
    wanted = most_connections()
    if limit is None or wanted <= limit - RESERVED_CONNECTIONS:
        return []
    return [
        Error(
            f"The processes may open {wanted} database connections; the server allows {limit}, "
            f"of which {RESERVED_CONNECTIONS} stay free for commands.",
            hint="Lower WEB_PROCESSES, DATABASE_POOL or WORKER_THREADS, or raise max_connections of the server.",
            id="oasst.E004",
        )
    ]


def most_connections() -> int:
    """If every process of this machine uses all it may."""
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
        return None  # migrate will say that the server is away
