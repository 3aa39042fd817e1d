"""Secrets taken out of what is about to be logged, whoever logs it: our code, Django, libraries, a traceback. And what
would command the terminal on which somebody reads it.

A last wall, not a licence: nothing should be logged that has to be taken out here. It knows secrets by the names that
stand before them, by their place in an address, and the configured ones by heart. It knows no Django.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "…"

# Names whose values are secret wherever they stand: in a query, a form, a header, JSON, the repr of a dict.
_SECRET = (
    r"api[_-]?keys?|apikey|token|password\d?|passwd|passphrase|pwd|secret|credentials?|authorization|csrftoken"
    r"|csrfmiddlewaretoken|sessionid|signature|secret[_-]?key|private[_-]?key"
)
# Names that often mean something else in prose ("exit code: 1"): secret in a query or form, and where they are quoted.
_SECRET_IN_FORMS = (
    r"(?:login|auth|oauth|signin|reset|session)?[_-]?(?:key|code)|state|session|otp|nonce|ticket|assertion"
)
_PREFIX = r"(?:[A-Za-z0-9]+[_.-]){0,4}"  # as in X-API-Key, new_password
# A name begins here, also within a value that is encoded as a whole: next=%2Fpage%3Fcode%3D1
_BEGIN = r"(?:(?<![A-Za-z0-9_.-])|(?<=%3F)|(?<=%26))"
_IS = r"(?:\s*[=:]\s*|%3D)"
_TEXT = r"[^\s&]+"
_QUOTED = r"""b?\\?(?:'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?)"""
_SLASH = r"(?:/|%(?:25){0,3}2F){1,4}"  # bounded, as all that may repeat: a long line must not take long

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        # postgresql://user:password@host
        (r"(\w://)[^\s/@'\"<>:]*:[^\s/@'\"<>]*@", rf"\1{HIDDEN}@"),
        # Cookie: a=b; c=d and Authorization: Some scheme, and the same in a dict or list of headers
        (r"((?:cookie|authorization)\\?['\"]?\s*[:,=]\s*b?\\?['\"]?)[^\r\n'\"]+", rf"\1{HIDDEN}"),
        (r"\b(bearer|basic)(\s+|%20|\+)[A-Za-z0-9._~+/=:-]+", rf"\1\2{HIDDEN}"),
        # 'password': 'x', "code": "x", ('x-api-key', 'x'), 'code': ['x', 'y'], "key": 123
        (
            rf"(b?\\?['\"](?:{_PREFIX}(?:{_SECRET})|{_SECRET_IN_FORMS})\\?['\"]\s*[:,=]\s*)"
            rf"(?:\[[^\]]*\]?|{_QUOTED}|{_TEXT})",
            rf"\1{HIDDEN}",
        ),
        # password=x, password: x, api_key="x y"
        (rf"({_BEGIN}{_PREFIX}(?:{_SECRET}){_IS})(?:{_QUOTED}|{_TEXT})", rf"\1{HIDDEN}"),
        # ?code=x&state=y, key=x, code='x'
        (rf"({_BEGIN}(?:{_SECRET_IN_FORMS})(?:=|%3D))(?:{_QUOTED}|{_TEXT})", rf"\1{HIDDEN}"),
        # Links that were mailed or printed, served or refused, also mistyped. Django's resolver tells them without
        # their beginning.
        (
            rf"((?:confirm-email|reset|(?:accounts{_SLASH}|(?<=['\"]))link){_SLASH}[\r\n]{{0,4}})[^\s?#'\"<>&]+",
            rf"\1{HIDDEN}",
        ),
        # What PostgreSQL tells of a refused row: DETAIL:  Key (email)=(a@b.org) already exists.
        # Where its end is not known, the rest of the line goes: a look that finds nothing would be repeated for each.
        (
            r"(\bKey \([^)]{0,200}\)=\()[^\r\n]*?(?=\) (?:already|is|conflicts|violates)|[\r\n]|\Z)",
            rf"\1{HIDDEN}",
        ),
        (r"(\bFailing row contains \().*", rf"\1{HIDDEN})"),
        # People's addresses are theirs. The domain stays: it tells which mail server refuses.
        (r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@(?=[A-Za-z0-9-]+\.[A-Za-z]{2})", f"{HIDDEN}@"),
    )
)
# Nearly all lines have nothing of the kind. One look for what every rule above needs; ten times as fast as a pattern.
_SUSPICIOUS = (
    *("@", "key", "token", "pass", "pwd", "secret", "credential", "authorization", "csrf", "session", "signature"),
    *(
        "code",
        "state",
        "otp",
        "nonce",
        "ticket",
        "assertion",
        "cookie",
        "bearer",
        "basic",
        "confirm-email",
        "link",
        "reset",
        "failing row",
    ),
)
# Fields of our own lines whose whole value is secret. `code`, `key` and `state` are no secrets there.
_SECRET_FIELD = re.compile(rf"(?:\w+[_.-])*(?:{_SECRET}|cookies?)", re.IGNORECASE)
_SHORTEST_KNOWN = 8
"""Characters of a configured secret that is looked for as such. Shorter ones stand in too many innocent words."""
_known: re.Pattern[str] | None = None


def learn(secrets: Iterable[str]) -> None:
    """Take these out too, wherever they stand: the secrets of this site."""
    global _known
    long_enough = sorted({one for one in secrets if len(one) >= _SHORTEST_KNOWN}, key=len, reverse=True)
    _known = re.compile("|".join(map(re.escape, long_enough))) if long_enough else None


def redact(text: str) -> str:
    """The text without what looks like a secret."""
    if _known is not None:
        text = _known.sub(HIDDEN, text)
    lower = text.lower()
    if not any(word in lower for word in _SUSPICIOUS):
        return text
    for pattern, shown in _RULES:
        text = pattern.sub(shown, text)
    return text


def escape(text: str) -> str:
    """The text with what no terminal shows as a character written out, as in a Python string: control characters,
    overrides of direction, invisible ones.

    Lines stay lines, but those after the first are indented: otherwise they would pass for lines of the log.
    """
    if text.isprintable():
        return text
    return "\n    ".join("".join(map(_shown, line)) for line in text.split("\n"))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def clean(text: str) -> str:
    """The text as it may be logged. In this order: an escape sequence before a name would hide that it begins there."""
    return escape(redact(text))


def redact_value(value: Any) -> Any:
    """The same for whatever may stand in a field of a line. What is no plain value becomes its repr, as it would when
    the line is written.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return redact_fields(value)
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) == 2 and isinstance(value, list | tuple) and _is_secret(value[0]):  # a header
            return [redact_value(value[0]), HIDDEN]
        return [redact_value(one) for one in value]
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "backslashreplace"))
    return clean(repr(value))


def redact_fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """The same for named values; those whose name says that they are secret are hidden whole."""
    return {
        clean(str(name)): HIDDEN if value and _is_secret(name) else redact_value(value)
        for name, value in fields.items()
    }


def _is_secret(name: Any) -> bool:
    return _SECRET_FIELD.fullmatch(str(name)) is not None
