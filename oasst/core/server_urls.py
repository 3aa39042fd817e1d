"""Parse DATABASE_URL, REDIS_URL, EMAIL_URL and SNAPSHOT_STORAGE_URL, and refuse everything that is not understood.

A silently ignored parameter might be the one that asks for encryption. Error messages never show more of a URL than
the name of a parameter, because it contains a password.
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
_BUCKET = "s3://bucket/folder?region=eu-central-1, or with endpoint=https://… for another server than that of Amazon"
_MAIL = "smtp://user:password@host:587/?tls=1 or smtps://user:password@host:465"
_ENCODED = "In user and password write %40 for @, %2F for /, %3A for :, %3F for ? and %23 for #"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_YES, _NO = ("1", "on", "true", "yes"), ("0", "off", "false", "no")


def is_local(address: str) -> bool:
    """Return True for a URL of the local machine."""
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


def parse_database_url(url: str) -> dict[str, Any]:
    """Return NAME, USER, PASSWORD, HOST, PORT and OPTIONS for Django's DATABASES, parsed by libpq.

    OPTIONS has all query parameters by their libpq names; several hosts are joined by commas. Raise BadVariable.
    """
    parameters = _parse_with_libpq(url)
    if not (parameters.get("dbname") or parameters.get("service")):
        raise BadVariable(f"DATABASE_URL names no database. It must look like {_DATABASE}")
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        raise BadVariable(f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}")
    if parameters.pop("client_encoding", "utf8").lower().replace("-", "") not in ("utf8", "auto"):
        raise BadVariable("DATABASE_URL: client_encoding is always UTF8")
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {**{setting: parameters.pop(name, "") for setting, name in names.items()}, "OPTIONS": parameters}


def _parse_with_libpq(url: str) -> dict[str, str]:
    import psycopg  # late, because a site with the embedded servers may never need it
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.pq import Conninfo

    refused = BadVariable(f"DATABASE_URL must look like {_DATABASE}. {_ENCODED}")
    scheme, separator, rest = url.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    location, _, query = rest[len(user + at) :].partition("?")
    if scheme not in ("postgres", "postgresql") or not separator or "@" in location:
        raise refused
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} - {"replication"} | {"ssl"}
    _parse_query("DATABASE_URL", query, known)
    base = f"{scheme}://{user.replace('@', '%40')}{at}{location}"
    try:
        without_query = conninfo_to_dict(base)
        parameters = conninfo_to_dict(f"{base}?{query}")
    except psycopg.Error:
        raise refused from None
    if not all(port.isdecimal() or not port for port in str(without_query.get("port", "")).split(",")):
        raise refused  # the "port" is part of a password with a slash
    for name, value in without_query.items():
        if parameters[name] != value:
            raise BadVariable(f"DATABASE_URL says {name} twice, before and after the ?")
    return {name: str(value) for name, value in parameters.items()}


@dataclass(frozen=True)
class RedisServer:
    """One server, in the format of each library that uses it."""

    url: str
    """For redis-py, django-redis, channels-redis and limits."""
    broker_url: str
    broker_ssl: Mapping[str, Any] | None
    """For CELERY_BROKER_USE_SSL. Without it Celery trusts every certificate."""
    broker_options: Mapping[str, Any] = field(default_factory=dict)
    """For CELERY_BROKER_TRANSPORT_OPTIONS."""


# Parameters that every client supports, and the TLS ones by the names of redis-py, which Celery passes on.
_CONNECTION = {"client_name": str, "health_check_interval": int, "socket_keepalive": bool}
_TLS = (
    *("ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_check_hostname", "ssl_ciphers"),
)
_CERTIFICATE = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# The site sets these itself, because its clients differ: a page does not wait for Redis, a reader of a stream does.
_RESERVED = (
    *("socket_timeout", "socket_connect_timeout", "socket_read_size", "timeout", "retry_on_timeout", "retry_on_error"),
    *("max_connections", "decode_responses", "encoding", "protocol", "legacy_responses"),
)


def parse_redis_url(url: str, *, db: int | None = None) -> RedisServer:
    """Parse REDIS_URL. `db` replaces the database number of the URL. Raise BadVariable."""
    parts = _split("REDIS_URL", url, ("redis", "rediss", "unix"), _REDIS)
    query = _parse_query("REDIS_URL", parts.query, ("db", "username", "password", *_CONNECTION, *_TLS), _RESERVED)
    user = _only_value("username", parts.username, query.pop("username", None))
    password = _only_value("password", parts.password, query.pop("password", None))
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    number = _database_number(parts, query.pop("db", None))
    number = str(db) if db is not None else number
    tls = {name: _tls_value(name, query.pop(name)) for name in _TLS if name in query}
    if tls and parts.scheme != "rediss":
        raise BadVariable(f"REDIS_URL: {next(iter(tls))} needs an address that begins with rediss://")
    options = {name: _typed("REDIS_URL", name, value, _CONNECTION[name]) for name, value in query.items()}
    # Everything is quoted again, because some libraries split the URL at commas.
    encoded = urlencode({"db": number, **options, **tls}, quote_via=quote, safe="/")
    if parts.scheme == "unix":
        path = _socket_path(parts, options)
        broker = f"redis+socket://{credentials}{path}?virtual_host={number}"
        return RedisServer(f"unix://{credentials}{path}?{encoded}", broker, None, options)
    base = f"{parts.scheme}://{credentials}{_host_and_port(parts)}"
    broker_ssl = _broker_ssl(tls) if parts.scheme == "rediss" else None
    return RedisServer(f"{base}?{encoded}", f"{base}/{number}", broker_ssl, options)


def _database_number(parts: SplitResult, in_query: str | None) -> str:
    in_path = parts.path.strip("/") if parts.scheme != "unix" else ""
    number = _only_value("db", in_path, in_query) or "0"
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
    verify_mode = _CERTIFICATE[str(tls.get("ssl_cert_reqs", "required"))]
    return {"ssl_check_hostname": verify_mode != ssl.CERT_NONE, **tls, "ssl_cert_reqs": verify_mode}


def _tls_value(name: str, value: str) -> str | bool:
    if name == "ssl_check_hostname":
        return _switch("REDIS_URL", name, value)
    if name == "ssl_cert_reqs":
        value = value.lower().removeprefix("cert_")
        if value not in _CERTIFICATE:
            raise BadVariable(f"REDIS_URL: ssl_cert_reqs must be one of {', '.join(_CERTIFICATE)}")
    return value


def parse_email_url(url: str) -> dict[str, Any]:
    """Return host, port, user, password, ssl (TLS from the first byte), tls (STARTTLS) and timeout in seconds.

    Raise BadVariable.
    """
    parts = _split("EMAIL_URL", url, ("smtp", "smtps"), _MAIL)
    query = _parse_query("EMAIL_URL", parts.query, ("tls", "timeout"))
    if not parts.hostname or parts.path.strip("/"):
        raise BadVariable(f"EMAIL_URL must look like {_MAIL}")
    is_smtps = parts.scheme == "smtps"
    tls = _switch("EMAIL_URL", "tls", query.get("tls", "1" if is_smtps else "0"))
    if is_smtps and not tls:
        raise BadVariable("EMAIL_URL: smtps:// is TLS and tls=0 is not. Write smtp:// for a connection in the clear")
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if is_smtps else 587),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "ssl": is_smtps,
        "tls": tls and not is_smtps,
        "timeout": _typed("EMAIL_URL", "timeout", query.get("timeout", "10"), int),
    }


@dataclass(frozen=True)
class Bucket:
    """A bucket of Amazon S3, or of another server with the same protocol."""

    name: str
    folder: str = ""
    """Without slashes at its ends; "" is the top."""
    region: str = ""
    endpoint: str = ""
    """Of another server than Amazon's, as this machine reaches it."""
    public_endpoint: str = ""
    """The same server as everybody reaches it, if that is another address."""


def parse_bucket_url(url: str) -> Bucket:
    """Parse SNAPSHOT_STORAGE_URL. Raise BadVariable, also for a key in it: keys have variables of their own."""
    parts = _split("SNAPSHOT_STORAGE_URL", url, ("s3",), _BUCKET)
    if "@" in parts.netloc:
        raise BadVariable("SNAPSHOT_STORAGE_URL: the key belongs in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or "//" in parts.path:
        raise BadVariable(f"SNAPSHOT_STORAGE_URL must look like {_BUCKET}")
    query = _parse_query("SNAPSHOT_STORAGE_URL", parts.query, ("region", "endpoint", "public_endpoint"))
    for name in ("endpoint", "public_endpoint"):
        if name in query and not re.fullmatch(r"https?://[^/?#@\s]+/?", query[name]):
            raise BadVariable(f"SNAPSHOT_STORAGE_URL: {name} must look like https://s3.example.org")
    if "public_endpoint" in query and "endpoint" not in query:
        raise BadVariable("SNAPSHOT_STORAGE_URL: public_endpoint needs endpoint")
    addresses = {name: query.get(name, "").rstrip("/") for name in ("endpoint", "public_endpoint")}
    return Bucket(parts.netloc, unquote(parts.path).strip("/"), query.get("region", ""), **addresses)


def _split(variable: str, url: str, schemes: Collection[str], example: str) -> SplitResult:
    refused = BadVariable(f"{variable} must look like {example}. {_ENCODED}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises if it is not a number, for example after a password with a slash
    except ValueError:
        raise refused from None
    if parts.scheme not in schemes or parts.fragment or "@" in parts.path + parts.query:
        raise refused
    return parts


def _parse_query(variable: str, query: str, known: Collection[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Return the query parameters. Refuse those that are empty, contradictory or unknown."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise BadVariable(f"{variable}: after the ? write name=value, separated by &. {_ENCODED}") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in reserved:
            raise BadVariable(f"{variable}: {name} is chosen by the site itself. Leave it out")
        if name not in known:
            raise BadVariable(f"{variable}: {_unknown(name, known)}")
        if not value:
            raise BadVariable(f"{variable}: {name} has no value")
        if parameters.setdefault(name, value) != value:
            raise BadVariable(f"{variable} says {name} twice, with different values")
    return parameters


def _unknown(name: str, known: Collection[str]) -> str:
    if not re.fullmatch(r"[A-Za-z_]{1,40}", name):  # it may be part of a password
        return f"there is an unknown parameter after the ?. {_ENCODED}"
    near = get_close_matches(name.lower(), known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(known))}"
    return f"there is no parameter {name}. {hint}"


def _only_value(name: str, before: str | None, in_query: str | None) -> str:
    """Return a value of REDIS_URL that may stand before the ? or in the query."""
    first, second = unquote(before or ""), in_query or ""
    if first and second and first != second:
        raise BadVariable(f"REDIS_URL says {name} twice, before and after the ?")
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
