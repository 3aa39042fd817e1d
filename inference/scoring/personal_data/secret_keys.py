"""Keys, tokens and passwords that open an account."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from inference.scoring.personal_data.spans import PLACEHOLDERS, Span

_KNOWN = re.compile(
    r"""
      (?<![\w-])(?:
        (?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}                    # Amazon
      | gh[pousr]_[A-Za-z0-9]{36,255} | github_pat_[A-Za-z0-9_]{60,255}
      | gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,64}               # GitLab
      | xox[abeoprs]-[A-Za-z0-9-]{20,255} | xapp-\d-[A-Za-z0-9-]{20,255}
      | AIza[0-9A-Za-z_-]{35} | ya29\.[0-9A-Za-z_-]{20,500} | GOCSPX-[0-9A-Za-z_-]{28}
      | (?:sk|rk|pk|whsec)_(?:live|test)_[0-9A-Za-z]{16,255} | whsec_[0-9A-Za-z+/=]{24,}
      | sk-(?:proj-|ant-|or-v1-|svcacct-)?[A-Za-z0-9_-]{20,255}
      | hf_[A-Za-z]{30,40} | r8_[A-Za-z0-9]{30,45} | gsk_[A-Za-z0-9]{40,60} | pplx-[A-Za-z0-9]{40,60}
      | npm_[A-Za-z0-9]{36} | pypi-[A-Za-z0-9_-]{50,255} | dckr_pat_[A-Za-z0-9_-]{20,40} | dop_v1_[a-f0-9]{64}
      | SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64} | key-[0-9a-f]{32} | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
      | EAA[A-Za-z0-9]{80,255} | sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43} | lin_api_[A-Za-z0-9]{40} | ntn_[A-Za-z0-9]{40,50}
      | \d{8,10}:AA[A-Za-z0-9_-]{33}                           # Telegram
      | [MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,38}   # Discord
      | eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{16,1000}   # JWT
      )(?![\w-])
    """,
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<type>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----.{20,20000}?(?:-----END (?P=type)-----|\Z)",
    re.DOTALL,
)
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:(?P<value>[^\s:/@]{3,128})@[\w.-]{1,253}")
_ASSIGNED = re.compile(
    r"""
    (?P<name>\b[\w.-]{0,40}?(?:password|passwort|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|
       auth[_-]?key|private[_-]?key|client[_-]?secret|contraseña|senha|mot\ de\ passe|пароль|hasło|wachtwoord|parola|
       密码|密碼|パスワード|비밀번호)\b)
    ["']?\ {0,3}(?P<sign>:=|=>|==?|:|\ is\ |\ ist\ |\ es\ |\ est\ |：)\ {0,3}
    (?P<quote>["'`]?)(?P<value>[^\s"'`,;<>(){}\[\]]{6,200})(?P=quote)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:Bearer|Basic|Token)\s+(?P<value>[A-Za-z0-9+/=._~-]{20,2000})(?![\w])")
_NOISE = re.compile(r"(?<![\w+/=.:@%-])(?P<value>[A-Za-z0-9+/_-]{32,88}={0,2})(?![\w+/=.@%-])")
_STANDS_FOR_ONE = re.compile(
    r"your|example|sample|placeholder|dummy|change.?me|xxx|\*\*\*|\.\.\.|…|<|>|\$\{?|%\(|\{\{|env|config|settings|secret|"
    r"password|passwd|token|key\b|none|null|undefined|true|false|redacted|test|foo|bar|1234|abcd|qwerty|hunter2",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+|0x[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_BEFORE_PUBLIC = re.compile(
    r"(?:sha\d{0,3}[-:= ]|integrity|base64,|ssh-(?:rsa|ed25519|dss)|checksum|digest|etag|https?://\S{0,200}|commit)\W{0,3}$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]?[a-z]{3,}")


def find_secrets(text: str) -> Iterator[Span]:
    for match in _KNOWN.finditer(text):
        if not _is_example(match[0]):
            yield match.span()
    if "PRIVATE KEY" in text:
        yield from (match.span() for match in _PRIVATE_KEY.finditer(text))
    if "://" in text:
        for match in _IN_URL.finditer(text):
            if match["value"].lower() not in PLACEHOLDERS and not _STANDS_FOR_ONE.search(match["value"]):
                yield match.span("value")
    for match in _ASSIGNED.finditer(text):
        if _is_assigned_secret(match["value"].rstrip(".!?"), is_prose=match["sign"].strip().isalpha()):
            yield match.start("value"), match.start("value") + len(match["value"].rstrip(".!?"))
    for match in _BEARER.finditer(text):
        if _is_random(match["value"], 3.5) and not _is_example(match["value"]):
            yield match.span("value")
    for match in _NOISE.finditer(text):
        if _is_noise(match["value"]) and not _BEFORE_PUBLIC.search(text[max(match.start() - 220, 0) : match.start()]):
            yield match.span("value")


def _is_example(value: str) -> bool:
    lowered = value.lower()
    return (
        any(word in lowered for word in ("example", "xxxx", "0000000", "1234567", "your", "abcdef"))
        or entropy(value) < 3
    )


def _is_assigned_secret(value: str, *, is_prose: bool) -> bool:
    """Return True for a value that somebody would choose or generate as a password. In prose, and for a word of code,
    it must look like none: "the password is required", `token = next_token`.
    """
    if _STANDS_FOR_ONE.search(value) or value.lower() in PLACEHOLDERS or _UUID.fullmatch(value):
        return False
    has_digit, has_letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    has_sign = any(not character.isalnum() and character not in "_-./" for character in value)
    if (
        re.fullmatch(r"[A-Za-z_][\w]*(?:[.-][A-Za-z_]\w*)+|[a-z_]+\d{0,2}|[A-Z_]+|\d{1,12}|/\S*|[\d.,:%]+", value)
        and not has_sign
    ):
        return False
    return has_letter and has_digit and (has_sign or not is_prose or len(value) >= 8) and entropy(value) >= 2.5


def _is_noise(value: str) -> bool:
    """Return True for what only a generator writes: mixed case, digits, no words, nearly random."""
    if _HEX.fullmatch(value) or _UUID.fullmatch(value) or _is_example(value) or "//" in value:
        return False
    digits = sum(map(str.isdigit, value))
    longest_word = max((len(word) for word in _WORDS.findall(value)), default=0)
    is_mixed = any(map(str.islower, value)) and any(map(str.isupper, value)) and digits >= 3
    return is_mixed and longest_word <= 6 and value.count("/") <= 4 and value.count("-") <= 4 and _is_random(value, 4.2)


def _is_random(value: str, bits: float) -> bool:
    return entropy(value) >= bits


def entropy(value: str) -> float:
    """Return Shannon's entropy of the characters in bits per character."""
    counts = Counter(value)
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
