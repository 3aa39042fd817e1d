"""Payment cards and bank accounts: numbers with a checksum."""

import re
from collections.abc import Iterator

from inference.scoring.personal_data.spans import WORD, Span, words

_CARD = re.compile(rf"(?<![{WORD}.,\-/+#$€£])(?:\d[ -]?){{12,18}}\d(?![{WORD}\-/]|[.,]\d)")
# Prefixes and lengths of the large networks (ISO/IEC 7812).
_NETWORKS = (
    (re.compile(r"4"), {13, 16, 19}),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"3(?:0[0-5]|[689])"), {14}),
    (re.compile(r"6011|64[4-9]|65"), {16, 19}),
    (re.compile(r"35(?:2[89]|[3-8])"), {16}),
    (re.compile(r"62"), {16, 17, 18, 19}),
    (re.compile(r"5018|5020|5038|6304|6759|676[1-3]"), {16, 18, 19}),
    (re.compile(r"220[0-4]"), {16}),
)
_ISBN = re.compile(r"97[89]")
_ABOUT_ISBN = re.compile(r"(?:isbn|ean|issn|doi|imei|order|tracking|invoice)\W{0,3}\w{0,12}\W{0,3}$", re.IGNORECASE)
# Numbers that payment services publish for tests.
_TEST_CARDS = words(
    "4111111111111111 4242424242424242 4012888888881881 4000056655665556 4000000000000002 4000000000009995 "
    "4222222222222 4917610000000000 5555555555554444 5105105105105100 5200828282828210 2223003122003222 "
    "378282246310005 371449635398431 378734493671000 6011111111111117 6011000990139424 3530111333300000 "
    "3566002020360505 30569309025904 38520000023237 4444333322221111 5454545454545454 4000002500003155"
)


def find_cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if _is_card(digits, match[0]) and not _ABOUT_ISBN.search(text[max(match.start() - 30, 0) : match.start()]):
            yield match.span()


def _is_card(digits: str, written: str) -> bool:
    if digits in _TEST_CARDS or len(set(digits)) <= 2 or _ISBN.match(digits):
        return False
    if not _is_grouped(written):
        return False
    return any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _NETWORKS) and luhn(digits)


def _is_grouped(written: str) -> bool:
    """Return True for one block, or the groups on a card: fours, or 4-6-5 and 4-6-4. Not "2012-03-04 12 30 45"."""
    groups = [len(group) for group in re.split(r"[ -]", written)]
    return len(groups) == 1 or groups in ([4, 6, 5], [4, 6, 4]) or (set(groups[:-1]) == {4} and groups[-1] <= 4)


def luhn(digits: str) -> bool:
    """Return True if the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        total += sum(divmod(2 * digit, 10)) if position % 2 else digit
    return total % 10 == 0


_IBAN = re.compile(r"(?<![A-Za-z\d_])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{2,4}){3,7}[ ]?[A-Z0-9]{0,4}(?![A-Za-z\d_])")
_COUNTRIES_OF_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, line in _COUNTRIES_OF_LENGTH.items() for country in line.split()}
"""By country (SWIFT's registry of IBANs)."""
# Numbers that banks and articles show as examples.
_EXAMPLE_IBANS = words(
    "DE89370400440532013000 GB82WEST12345698765432 GB29NWBK60161331926819 FR1420041010050500013M02606 "
    "NL91ABNA0417164300 ES9121000418450200051332 CH9300762011623852957 AT611904300234573201 BE68539007547034 "
    "IT60X0542811101000000123456 GB33BUKB20201555555555 DE75512108001245126199 PL61109010140000071219812874"
)


def find_ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match[0][:2], 0)
        end = _end_of(match[0], length)
        compact = match[0][:end].replace(" ", "")
        if length and len(compact) == length and compact not in _EXAMPLE_IBANS and is_iban(compact):
            yield match.start(), match.start() + end


def _end_of(written: str, length: int) -> int:
    """Return where so many characters other than spaces end: a capitalized word may follow the number."""
    seen = 0
    for position, character in enumerate(written):
        seen += character != " "
        if seen == length:
            return position + 1
    return len(written)


def is_iban(compact: str) -> bool:
    """Return True if the check digits are right (ISO 13616, mod 97)."""
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
