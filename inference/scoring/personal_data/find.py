"""Apply all rules to a text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.scoring.personal_data import contacts, numbers, phones, places, secret_keys
from inference.scoring.personal_data.spans import Span

VERSION = "1"
"""Changes with the rules, so that read_messages --again can tell what older rules read."""
MAX_LENGTH = 32_000  # characters; the rest of a longer text is not searched

MASKS = {
    "secret": "[secret]",
    "card": "[card number]",
    "iban": "[bank account]",
    "email": "[e-mail address]",
    "ip_address": "[IP address]",
    "phone": "[phone number]",
    "address": "[postal address]",
    "name": "[name]",
}
"""What is suggested instead, by kind."""

_RULES = (
    ("secret", secret_keys.find_secrets),
    ("iban", numbers.find_ibans),
    ("card", numbers.find_cards),
    ("email", contacts.find_emails),
    ("ip_address", contacts.find_ip_addresses),
    ("address", places.find_addresses),
)
"""Where findings overlap, the first rule wins; phones come last, because most number-like things are none."""


@dataclass(frozen=True)
class Finding:
    """One finding: its place in the text, in characters, and a key of `MASKS`."""

    start: int
    end: int
    kind: str

    @property
    def mask(self) -> str:
        return MASKS[self.kind]


def find(text: str, lang: str) -> list[Finding]:
    """Return the findings in order, without overlaps. `lang` decides whose phone numbers need no country code."""
    text = text[:MAX_LENGTH]
    findings: list[Finding] = []
    for kind, rule in _RULES:
        _add(findings, kind, rule(text))
    _add(findings, "phone", phones.find_phones(text, lang))
    return sorted(findings, key=lambda finding: finding.start)


def _add(findings: list[Finding], kind: str, spans: Iterable[Span]) -> None:
    for start, end in spans:
        if not any(start < known.end and known.start < end for known in findings):
            findings.append(Finding(start, end, kind))


def mask(text: str, findings: Sequence[Finding]) -> str:
    """Return the text with each finding replaced by its mask."""
    parts, last = [], 0
    for finding in sorted(findings, key=lambda finding: finding.start):
        parts += [text[last : finding.start], finding.mask]
        last = finding.end
    return "".join([*parts, text[last:]])
