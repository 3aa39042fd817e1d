"""Phone numbers, checked against the numbering plan of the country (phonenumberslite, Google's libphonenumber)."""

import re
from collections.abc import Iterator
from typing import Any

from inference.scoring.personal_data.spans import WORD, Span

_MIN_DIGITS = 7
_REGIONS = {
    "ar": "SA EG AE MA",
    "bg": "BG",
    "bn": "BD IN",
    "ca": "ES",
    "cs": "CZ",
    "da": "DK",
    "de": "DE AT CH",
    "el": "GR CY",
    "en": "US GB IN AU CA IE NZ ZA",
    "es": "ES MX AR CO CL PE",
    "eu": "ES",
    "fa": "IR",
    "fi": "FI",
    "fr": "FR BE CH CA",
    "gl": "ES",
    "he": "IL",
    "hi": "IN",
    "hr": "HR BA",
    "hu": "HU",
    "id": "ID",
    "it": "IT CH",
    "ja": "JP",
    "ko": "KR",
    "nb": "NO",
    "nl": "NL BE",
    "nn": "NO",
    "no": "NO",
    "pl": "PL",
    "pt": "PT BR",
    "pt-BR": "BR",
    "pt-PT": "PT",
    "ro": "RO MD",
    "ru": "RU KZ BY",
    "sk": "SK",
    "sl": "SI",
    "sr": "RS",
    "sv": "SE FI",
    "ta": "IN LK",
    "th": "TH",
    "tr": "TR",
    "uk": "UA",
    "ur": "PK IN",
    "vi": "VN",
    "zh": "CN TW HK SG",
    "zh-Hant": "TW HK",
}
"""Where a language is mostly spoken: whose numbers are written without a country code."""

_CANDIDATE = re.compile(
    rf"(?<![{WORD}.,/:=#$€£¥%+*^-])(?P<plus>\+|00)?\(?\d(?:[ \-.()/\u00a0\u2010-\u2015]{{0,3}}\d){{6,16}}"
    rf"(?![{WORD}%€£¥°]|[.,:/*^+=-]\d)"
)
_KEYWORD = re.compile(
    r"""\b(?:tele?(?:ph|f)?on\w* | tel | phone | cell | mobile? | mobil\w* | handy\w* | call | ring | text | sms | fax
         | whatsapp | telegram | signal | contact | numero | número | numéro | nummer | numer | celular | móvil
         | portable | appel\w* | llam\w* | ligue? | ligar | rufen? | bel | dzwoń | номер | телефон\w* | тел | позвони\w*
         | звони\w*)\b
      | 电话|電話|手机|手機|携帯|전화|연락처|휴대폰|هاتف|تلفن|फ़ोन|फोन|โทร|טלפון|τηλ\w*|điện\ thoại|sđt""",
    re.IGNORECASE | re.VERBOSE,
)
_KEYWORD_REACH = 40  # characters before the number
_DATE = re.compile(
    r"""(?:19|20)\d\d[-./ ]?(?:0?[1-9]|1[0-2])[-./ ]?(?:0?[1-9]|[12]\d|3[01])(?:\D|$)
      | (?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|[12]\d)[-./](?:19|20)?\d\d(?:\D|$)
      | (?:19|20)\d\d\ ?[-–]\ ?(?:19|20)\d\d(?:\D|$)""",
    re.VERBOSE,
)
_NOT_PHONES = re.compile(
    r"""(?:isbn|issn|doi|ean|upc|sku|pmid|arxiv|rfc|order|tracking|invoice|ticket|issue|id|imei|serial|version|pages?|pp
         |population|bestellnummer|rechnung\w*|auftrag\w*|кол-во|цена|port|pin|zip|plz|error|code|unix|timestamp|epoch
         |coordinates?|lat|lon|lng|usd|eur|gbp|rs|inr)\b\W{0,4}(?:no|nr|number|num|is|was|of|1[03])?\W{0,4}$""",
    re.IGNORECASE | re.VERBOSE,
)
_FICTION = re.compile(r"555\W{0,3}01\d\d$")  # numbers that films use
_SEQUENCE = "01234567890123456789"


def find_phones(text: str, lang: str) -> Iterator[Span]:
    """Yield valid numbers: with a country code; in the notation of a country where the language is spoken; or after a
    word such as "call".
    """
    if sum(map(str.isdigit, text)) < _MIN_DIGITS:
        return
    for match in _CANDIDATE.finditer(text):
        span = _trimmed(match)
        written, before = text[slice(*span)], text[max(span[0] - _KEYWORD_REACH, 0) : span[0]]
        named = bool(_KEYWORD.search(before))
        if _may_be_phone(written, before, named=named) and _is_valid(written, lang, named=named):
            yield span


def _trimmed(match: "re.Match[str]") -> Span:
    """Return the span without an opening bracket that nothing closes."""
    start, end = match.span()
    return (start + 1 if match[0].startswith("(") and ")" not in match[0] else start), end


def _may_be_phone(written: str, before: str, *, named: bool) -> bool:
    digits = re.sub(r"\D", "", written)
    if _FICTION.search(written) or _DATE.match(written) or _NOT_PHONES.search(before):
        return False
    if len(set(digits)) <= 2 or digits in _SEQUENCE or digits in _SEQUENCE[::-1]:
        return False
    is_number = re.fullmatch(r"[1-9]\d{0,2}(?:[ .,]\d{3})+", written)  # 1 234 567
    return named or is_number is None


def _is_valid(written: str, lang: str, *, named: bool) -> bool:
    import phonenumbers  # late: its tables of all countries take a moment

    for region in _regions_of(written, lang):
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if not phonenumbers.is_valid_number(number):
            continue
        if written.startswith("+") or named or _is_written_as_there(written, number):
            return True
    return False


def _regions_of(written: str, lang: str) -> list[str | None]:
    if written.startswith("+"):
        return [None]
    known = _REGIONS.get(lang) or _REGIONS.get(lang.split("-")[0], "")
    return list(known.split())


def _is_written_as_there(written: str, number: Any) -> bool:
    """Return True if the digits are grouped as that country writes them, so that other numbers are no phones."""
    import phonenumbers

    own: list[list[str]] = [re.findall(r"\d+", written)]
    if len(own[0]) == 1:
        return False
    formats = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    usual = [re.findall(r"\d+", phonenumbers.format_number(number, form)) for form in formats]
    usual.append(re.findall(r"\d+", phonenumbers.format_out_of_country_calling_number(number, "ZZ") or ""))
    return own[0] in usual or own[0] in [groups[1:] for groups in usual[1:]]
