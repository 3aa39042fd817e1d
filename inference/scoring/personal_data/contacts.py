"""E-mail and IP addresses."""

import ipaddress
import re
from collections.abc import Iterator

from inference.scoring.personal_data.spans import LETTER, PLACEHOLDERS, WORD, Span, words

_ADDRESS = (
    rf"(?P<local>[{WORD}+%-][{WORD}.+%-]{{0,63}})@"
    rf"(?P<domain>(?:[{LETTER}\d](?:[{LETTER}\d-]{{0,61}}[{LETTER}\d])?\.){{1,8}}[{LETTER}]{{2,24}})(?![{WORD}@-])"
)
_EMAIL = re.compile(rf"(?:(?<![{WORD}.+%/@:=-])|(?<=[:=/]))" + _ADDRESS)
_SPELLED = re.compile(
    r"(?<![\w.])(?P<local>[\w+-][\w.+-]{1,63}) ?[\[({] ?(?:at|AT|ät|@) ?[\])}] ?"
    r"(?P<domain>[\w-]{2,63}(?: ?(?:\.|[\[({] ?(?:dot|DOT|punkt|\.) ?[\])}]) ?[\w-]{2,63}){1,4})(?!\w)"
)
# RFC 2606 and 6761, and names that texts use as examples.
_EXAMPLE_DOMAINS = tuple(
    f".{name}"
    for name in ["example.com", "example.org", "example.net", "example.edu", "domain.com", "domain.tld", "test.com"]
)
_EXAMPLE_ENDS = (".example", ".test", ".invalid", ".localhost", ".local", ".internal")
_PLACEHOLDER_DOMAINS = frozenset(
    {"company.com", "email.com", "mail.com", "yourdomain.com", "mydomain.com", "website.com", "site.com", "server.com"}
)
_FILE_ENDS = words("png jpg jpeg gif svg webp css js ts py rb json html xml md txt so dll exe")

_IPV4 = re.compile(r"(?<![\w.\-])(?:\d{1,3}\.){3}\d{1,3}(?![\w\-]|\.\d|/\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:.])")
_ABOUT_IP = re.compile(r"\b(?:ip|ipv4|address|addr|host|server|ping|ssh|client|remote)\b", re.IGNORECASE)
_ABOUT_VERSIONS = re.compile(
    r"(?:\bv|version|versión|versão|versie|wersja|версия|release|build|driver|firmware|section|chapter|§|==|>=|<=|~=)[\s:]{0,2}$",
    re.IGNORECASE,
)
# Servers that everybody names.
_PUBLIC_SERVERS = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"})
_SMALL = 32


def find_emails(text: str) -> Iterator[Span]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if _is_persons(match["local"].lower(), match["domain"].lower()):
                yield match.span()
    if any(sign in text for sign in "([{"):
        for match in _SPELLED.finditer(text):
            domain = re.sub(r" ?[\[({] ?(?:dot|DOT|punkt|\.) ?[\])}] ?| ?\. ?", ".", match["domain"]).lower()
            if _is_persons(match["local"].lower(), domain) and domain.rpartition(".")[2].isalpha():
                yield match.span()


def _is_persons(local: str, domain: str) -> bool:
    """Return True unless the address is an example or stands for anybody."""
    if (
        domain.endswith(_EXAMPLE_ENDS)
        or domain in _EXAMPLE_DOMAINS
        or domain.endswith(tuple("." + d for d in _EXAMPLE_DOMAINS))
    ):
        return False
    if domain.rpartition(".")[2] in _FILE_ENDS or "example" in local:
        return False
    is_placeholder = local in PLACEHOLDERS or domain in _PLACEHOLDER_DOMAINS
    return not is_placeholder


def find_ip_addresses(text: str) -> Iterator[Span]:
    """Yield addresses on the public internet. Private and documentation ranges say nothing about a person."""
    if text.count(".") >= 3:
        for match in _IPV4.finditer(text):
            if _is_public(match[0]) and match[0] not in _PUBLIC_SERVERS and not _is_version(text, match):
                yield match.span()
    if text.count(":") >= 3:
        for match in _IPV6.finditer(text):
            if _is_public(match[0]):
                yield match.span()


def _is_public(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in ipaddress.ip_network("2000::/3"))


def _is_version(text: str, match: "re.Match[str]") -> bool:
    """Return True for 1.10.2.4 in a text that does not speak of addresses, and behind the word version."""
    before = text[max(match.start() - 40, 0) : match.start()]
    if _ABOUT_VERSIONS.search(before):
        return True
    is_small = all(int(octet) < _SMALL for octet in match[0].split("."))
    return is_small and not _ABOUT_IP.search(before)
