"""DATABASE_URL, REDIS_URL and EMAIL_URL as settings: everything in them counts, or the start is refused.

A parameter that is dropped in silence may be the one that asks for encryption. No message here shows more of an
address than the name of a parameter, because passwords stand in it.
"""

import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from oasst.env import BadVariable

_DATABASE = "postgresql://user:password@host:5432/name?sslmode=verify-full"
_REDIS = "redis://:password@host:6379/0, rediss://… with TLS, or unix://:password@/path/of/the/socket?db=0"
_MAIL = "smtp://user:password@host:587/?tls=1 or smtps://user:password@host:465"
_ENCODED = "In user and password write %40 for @, %2F for /, %3A for :, %3F for ? and %23 for #"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_YES, _NO = ("1", "on", "true", "yes"), ("0", "off", "false", "no")


def is_local(address: str) -> bool:
    """Whether it leads only to the machine that somebody opens it on."""
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


def read_database(url: str) -> dict[str, Any]:
    """NAME, USER, PASSWORD, HOST, PORT and OPTIONS of Django's DATABASES, as libpq reads the address. Raises
    BadVariable.

    OPTIONS has every parameter of the query by the name that libpq has for it; several hosts are joined by commas.
    """
    where = _as_libpq_reads(url)
    if not (where.get("dbname") or where.get("service")):
        raise BadVariable(f"DATABASE_URL names no database. It must look like {_DATABASE}")
    if where.get("sslmode", "prefer") not in _SSL_MODES:
        raise BadVariable(f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}")
    if where.pop("client_encoding", "utf8").lower().replace("-", "") not in ("utf8", "auto"):
        raise BadVariable("DATABASE_URL: client_encoding is always UTF8")
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {**{setting: where.pop(name, "") for setting, name in names.items()}, "OPTIONS": where}


def _as_libpq_reads(url: str) -> dict[str, str]:
    import psycopg  # not at the top: a site with the embedded servers needs it later or not at all
    from psycopg.conninfo import conninfo_to_dict

    refused = BadVariable(f"DATABASE_URL must look like {_DATABASE}. {_ENCODED}")
    scheme, found, rest = url.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    place, _, query = rest[len(user + at) :].partition("?")
    if scheme not in ("postgres", "postgresql") or not found or "@" in place:
        raise refused
    _parameters("DATABASE_URL", query, _names_of_libpq())
    base = f"{scheme}://{user.replace('@', '%40')}{at}{place}"
    try:
        plain = conninfo_to_dict(base)
        whole = conninfo_to_dict(f"{base}?{query}")
    except psycopg.Error:
        raise refused from None
    if not all(port.isdecimal() or not port for port in str(plain.get("port", "")).split(",")):
        raise refused  # half of a password with a slash
    for name, value in plain.items():
        if whole[name] != value:
            raise BadVariable(f"DATABASE_URL says {name} twice, before the ? and behind it")
    return {name: str(value) for name, value in whole.items()}


def _names_of_libpq() -> set[str]:
    from psycopg.pq import Conninfo

    return {one.keyword.decode() for one in Conninfo.get_defaults()} - {"replication"} | {"ssl"}


@dataclass(frozen=True)
class RedisServer:
    """One server, in the words of each of the libraries that talk to it."""

    url: str
    """For redis-py, which is also under django-redis, channels-redis and limits."""
    broker_url: str
    broker_ssl: Mapping[str, Any] | None
    """For CELERY_BROKER_USE_SSL. Without it Celery trusts every certificate."""
    broker_options: Mapping[str, Any] = field(default_factory=dict)
    """For CELERY_BROKER_TRANSPORT_OPTIONS."""


# What reaches every client. Of TLS: the names of redis-py, which Celery hands on.
_CONNECTION = {"client_name": str, "health_check_interval": int, "socket_keepalive": bool}
_TLS = (
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_check_hostname",
    "ssl_ciphers",
)
_CERTIFICATE = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# How long to wait and how to speak differs between our clients: a page does not wait, a reader of a stream does.
_OURS_TO_CHOOSE = (
    "socket_timeout",
    "socket_connect_timeout",
    "socket_read_size",
    "timeout",
    "retry_on_timeout",
    "retry_on_error",
    "max_connections",
    "decode_responses",
    "encoding",
    "protocol",
    "legacy_responses",
)


def read_redis(url: str, *, db: int | None = None) -> RedisServer:
    """db: that database instead of the one in the address. Raises BadVariable."""
    parts = _split("REDIS_URL", url, ("redis", "rediss", "unix"), _REDIS)
    given = _parameters("REDIS_URL", parts.query, ("db", "username", "password", *_CONNECTION, *_TLS), _OURS_TO_CHOOSE)
    user = _one("REDIS_URL", "username", parts.username, given.pop("username", None))
    password = _one("REDIS_URL", "password", parts.password, given.pop("password", None))
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    number = _database_number(parts, given.pop("db", None))
    number = str(db) if db is not None else number
    tls = {name: _tls_value(name, given.pop(name)) for name in _TLS if name in given}
    if tls and parts.scheme != "rediss":
        raise BadVariable(f"REDIS_URL: {next(iter(tls))} needs an address that begins with rediss://")
    options = {name: _typed("REDIS_URL", name, value, _CONNECTION[name]) for name, value in given.items()}
    # Commas would part the address in two for some libraries, so nothing is left as it was written.
    query = urlencode({"db": number, **options, **tls}, quote_via=quote, safe="/")
    if parts.scheme == "unix":
        path = _socket_path(parts, options)
        broker = f"redis+socket://{who}{path}?virtual_host={number}"
        return RedisServer(f"unix://{who}{path}?{query}", broker, None, options)
    place = f"{parts.scheme}://{who}{_host_and_port(parts)}"
    broker_ssl = _broker_ssl(tls) if parts.scheme == "rediss" else None
    return RedisServer(f"{place}?{query}", f"{place}/{number}", broker_ssl, options)


def _database_number(parts: SplitResult, behind: str | None) -> str:
    in_path = parts.path.strip("/") if parts.scheme != "unix" else ""
    number = _one("REDIS_URL", "db", in_path, behind) or "0"
    if not number.isdecimal():
        raise BadVariable(f"REDIS_URL: the database must be a number. It must look like {_REDIS}")
    return number


def _socket_path(parts: SplitResult, options: Mapping[str, Any]) -> str:
    if not parts.path.strip("/"):
        raise BadVariable(f"REDIS_URL names no socket. It must look like {_REDIS}")
    if "socket_keepalive" in options:
        raise BadVariable("REDIS_URL: socket_keepalive is for servers that are reached by the network")
    return quote(unquote(parts.path), safe="/")


def _host_and_port(parts: SplitResult) -> str:
    host = parts.hostname or "localhost"
    if "," in host:
        raise BadVariable("REDIS_URL must name one server")
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or 6379}"


def _broker_ssl(tls: Mapping[str, str | bool]) -> dict[str, Any]:
    wanted = _CERTIFICATE[str(tls.get("ssl_cert_reqs", "required"))]
    return {"ssl_check_hostname": wanted != ssl.CERT_NONE, **tls, "ssl_cert_reqs": wanted}


def _tls_value(name: str, value: str) -> str | bool:
    if name == "ssl_check_hostname":
        return _switch("REDIS_URL", name, value)
    if name == "ssl_cert_reqs":
        wanted = value.lower().removeprefix("cert_")
        if wanted not in _CERTIFICATE:
            raise BadVariable(f"REDIS_URL: ssl_cert_reqs must be one of {', '.join(_CERTIFICATE)}")
        return wanted
    return value


def read_mail(url: str) -> dict[str, Any]:
    """host, port, user, password, ssl (from the first byte on), tls (STARTTLS) and timeout in seconds. Raises
    BadVariable.
    """
    parts = _split("EMAIL_URL", url, ("smtp", "smtps"), _MAIL)
    given = _parameters("EMAIL_URL", parts.query, ("tls", "timeout"))
    if not parts.hostname or parts.path.strip("/"):
        raise BadVariable(f"EMAIL_URL must look like {_MAIL}")
    is_smtps = parts.scheme == "smtps"
    tls = _switch("EMAIL_URL", "tls", given.get("tls", "1" if is_smtps else "0"))
    if is_smtps and not tls:
        raise BadVariable("EMAIL_URL: smtps:// is TLS and tls=0 is not. Write smtp:// for a connection in the clear")
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if is_smtps else 587),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "ssl": is_smtps,
        "tls": tls and not is_smtps,
        "timeout": _typed("EMAIL_URL", "timeout", given.get("timeout", "10"), int),
    }


def _split(variable: str, url: str, schemes: Collection[str], example: str) -> SplitResult:
    refused = BadVariable(f"{variable} must look like {example}. {_ENCODED}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number, as behind a password with a slash
    except ValueError:
        raise refused from None
    if parts.scheme not in schemes or parts.fragment or "@" in parts.path + parts.query:
        raise refused
    return parts


def _parameters(variable: str, query: str, known: Collection[str], ours: Collection[str] = ()) -> dict[str, str]:
    """The query by name. Refused: what has no value, says two things, or is not known."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise BadVariable(f"{variable}: behind the ? stands name=value, parted by &. {_ENCODED}") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in ours:
            raise BadVariable(f"{variable}: {name} is chosen by the site itself. Leave it out")
        if name not in known:
            raise BadVariable(f"{variable}: {_unknown(name, known)}")
        if not value:
            raise BadVariable(f"{variable}: {name} has no value")
        if found.setdefault(name, value) != value:
            raise BadVariable(f"{variable} says {name} twice, and not the same")
    return found


def _unknown(name: str, known: Collection[str]) -> str:
    if not re.fullmatch(r"[A-Za-z_]{1,40}", name):  # it may be the rest of a password
        return f"there is no such parameter behind the ?. {_ENCODED}"
    near = get_close_matches(name.lower(), known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(known))}"
    return f"there is no parameter {name}. {hint}"


def _one(variable: str, name: str, before: str | None, behind: str | None) -> str:
    """The value of what may stand before the ? and behind it."""
    first, second = unquote(before or ""), behind or ""
    if first and second and first != second:
        raise BadVariable(f"{variable} says {name} twice, before the ? and behind it")
    return first or second


def _typed(variable: str, name: str, value: str, kind: type) -> str | int | bool:
    if kind is bool:
        return _switch(variable, name, value)
    if kind is int and (not value.isdecimal() or int(value) < 1):
        raise BadVariable(f"{variable}: {name} must be a whole number of at least 1")
    return int(value) if kind is int else value


def _switch(variable: str, name: str, value: str) -> bool:
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise BadVariable(f"{variable}: {name} must be on or off")
