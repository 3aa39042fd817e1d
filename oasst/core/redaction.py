"""Remove secrets and terminal control characters from all log lines: our own, Django's, libraries', tracebacks.

Only the last line of defense: do not log secrets in the first place. It recognizes secrets by the name before them, by
their position in a URL, and the configured ones by value. It does not use Django.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "…"
MASKED = "**********"
"""Stands for a secret wherever settings are shown. The wire knows it."""

# Names whose values are secret everywhere: in a query, a form, a header, JSON, the repr of a dict.
_SECRET = (
    r"api[_-]?keys?|apikey|token|password\d?|passwd|passphrase|pwd|secret|credentials?|authorization|csrftoken"
    r"|csrfmiddlewaretoken|sessionid|signature|secret[_-]?key|private[_-]?key"
)
# Names that often mean something else in prose ("exit code: 1"): secret only in a query or form, or if quoted.
_SECRET_IN_FORMS = (
    r"(?:login|auth|oauth|signin|reset|session)?[_-]?(?:key|code)|state|session|otp|nonce|ticket|assertion"
)
_PREFIX = r"(?:[A-Za-z0-9]+[_.-]){0,4}"  # as in X-API-Key, new_password
# The start of a name, also within a percent-encoded value: next=%2Fpage%3Fcode%3D1
_BEGIN = r"(?:(?<![A-Za-z0-9_.-])|(?<=%3F)|(?<=%26))"
_IS = r"(?:\s*[=:]\s*|%3D)"
_TEXT = r"[^\s&]+"
_QUOTED = r"""b?\\?(?:'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?)"""
_SLASH = r"(?:/|%(?:25){0,3}2F){1,4}"  # bounded like all repetitions, so that long lines stay fast

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
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
        # Links from mails or the terminal, also mistyped. Django's resolver logs them without their start.
        (
            rf"((?:confirm-email|reset|(?:accounts{_SLASH}|(?<=['\"]))link){_SLASH}[\r\n]{{0,4}})[^\s?#'\"<>&]+",
            rf"\1{HIDDEN}",
        ),
        # PostgreSQL on a refused row: DETAIL:  Key (email)=(a@b.org) already exists.
        # If the end is unknown, hide the rest of the line: a failed search would be repeated at each position.
        (
            r"(\bKey \([^)]{0,200}\)=\()[^\r\n]*?(?=\) (?:already|is|conflicts|violates)|[\r\n]|\Z)",
            rf"\1{HIDDEN}",
        ),
        (r"(\bFailing row contains \().*", rf"\1{HIDDEN})"),
        # Email addresses are private. The domain stays, because it shows which mail server refuses.
        (r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@(?=[A-Za-z0-9-]+\.[A-Za-z]{2})", f"{HIDDEN}@"),
    )
)
# Each rule above needs one of these. Nearly all lines have none, and this check is ten times as fast as a pattern.
_SUSPICIOUS = (
    *("@", "key", "token", "pass", "pwd", "secret", "credential", "authorization", "csrf", "session", "signature"),
    *("code", "state", "otp", "nonce", "ticket", "assertion", "cookie", "bearer", "basic", "confirm-email", "link"),
    *("reset", "failing row"),
)
# Fields of structured lines whose whole value is secret. There, `code`, `key` and `state` are not.
_SECRET_FIELD = re.compile(rf"(?:\w+[_.-])*(?:{_SECRET}|cookies?)", re.IGNORECASE)
_SHORTEST_KNOWN = 8
"""Minimum length of a configured secret that is searched for. Shorter ones appear in too many ordinary words."""
_known: re.Pattern[str] | None = None


def register_secrets(secrets: Iterable[str]) -> None:
    """Redact these secrets of the site, too."""
    global _known
    long_enough = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_KNOWN}, key=len, reverse=True)
    _known = re.compile("|".join(map(re.escape, long_enough))) if long_enough else None


def redact(text: str) -> str:
    """Return the text without what looks like a secret."""
    if _known is not None:
        text = _known.sub(HIDDEN, text)
    lower = text.lower()
    if not any(word in lower for word in _SUSPICIOUS):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def escape(text: str) -> str:
    """Return the text with control, bidirectional and invisible characters as Python escapes.

    Lines after the first are indented, so that they cannot pass for separate log lines.
    """
    if text.isprintable():
        return text
    return "\n    ".join(
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        for line in text.split("\n")
    )


def clean_line(text: str) -> str:
    """Return the text redacted, then escaped: the other order could hide where a name starts."""
    return escape(redact(text))


def redact_value(value: Any) -> Any:
    """Return a cleaned value for a field of a log line. Other objects become their repr, as in the log."""
    if isinstance(value, str):
        return clean_line(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return redact_fields(value)
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) == 2 and isinstance(value, list | tuple) and _is_secret(value[0]):  # a header
            return [redact_value(value[0]), HIDDEN]
        return [redact_value(item) for item in value]
    if isinstance(value, bytes):
        return clean_line(value.decode("utf-8", "backslashreplace"))
    return clean_line(repr(value))


def redact_fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Return cleaned fields of a log line. Values with a secret name are hidden completely."""
    return {
        clean_line(str(name)): HIDDEN if value and _is_secret(name) else redact_value(value)
        for name, value in fields.items()
    }


def _is_secret(name: Any) -> bool:
    return _SECRET_FIELD.fullmatch(str(name)) is not None
