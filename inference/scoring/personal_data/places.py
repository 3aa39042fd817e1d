"""Postal addresses: a street with a number, beside a postal code, a town, or words such as "I live at"."""

import re
from collections.abc import Iterator

from inference.scoring.personal_data.spans import Span

_NAME = r"[A-ZÀ-ÖØ-ÞŁŚŻŹĆ][\w'’.\-]{1,30}"


def _one_of(*words: str) -> str:
    return "(?:" + "|".join(word for line in words for word in line.split()) + ")"


_ENGLISH_STREET = _one_of(
    "Street St Avenue Ave Road Rd Boulevard Blvd Lane Ln Drive Dr Court Ct Way Place Pl Terrace Crescent Close Square",
    "Sq Parkway Pkwy Highway Hwy",
)
_DIRECTION = _one_of("N S E W NE NW SE SW North South East West")
_STREET_ENDING = _one_of(
    r"straße strasse str\. weg allee gasse platz damm ufer",
    "straat laan plein gracht kade",
    "gatan vägen vej gade gata veien katu tie",
)
_FRENCH_STREET = _one_of(r"rue avenue av\. boulevard bd place chemin impasse allée quai cours route")
_ROMANCE_STREET = _one_of(
    r"[Cc]alle C/ [Aa]venida [Aa]vda?\. [Pp]laza [Pp]aseo [Cc]arrer",
    "[Rr]ua [Tt]ravessa [Ll]argo [Vv]ia [Vv]iale [Pp]iazza [Cc]orso",
)
_SLAVIC_STREET = _one_of(r"ул\. улица вул\. вулиця пр-т проспект пр\. пер\. переулок бульвар б-р")
_TURKISH_STREET = _one_of(r"Mah\. Mahallesi Cad\. Caddesi Sok\. Sokak Sk\.")
_TURKISH_NAME = r"[A-ZÇĞİÖŞÜ]\w{1,20}\ "

_STREETS = tuple(
    re.compile(pattern, re.VERBOSE)
    for pattern in (
        rf"""\b\d{{1,5}}[A-Za-z]?,?\ (?:{_DIRECTION}\.?\ )?(?:{_NAME}|\d{{1,3}}(?:st|nd|rd|th))(?:\ {_NAME}){{0,3}}
             \ {_ENGLISH_STREET}\b\.?""",
        rf"\b(?:{_NAME}[ -]){{0,2}}[A-ZÀ-ÖØ-Þ][\w\-]{{1,30}}{_STREET_ENDING}\ \d{{1,4}}(?:\ ?[a-zA-Z])?\b",
        rf"\b{_NAME}\ (?:Straße|Strasse|Str\.|Weg|Allee|Platz|Gasse|Ring)\ \d{{1,4}}(?:\ ?[a-z])?\b",
        rf"""(?i:\b\d{{1,4}}\ ?(?:bis|ter)?,?\ {_FRENCH_STREET}
             \ (?:d[eu](?:\ la|s)?\ |des\ |de\ l['’]|l['’]|d['’])?[\w'’\-]{{2,30}}(?:[ -][\w'’\-]{{2,30}}){{0,3}})""",
        rf"""\b{_ROMANCE_STREET}\ (?:d[eaio](?:l|lla|s|i)?\ |dos\ |das\ )?
             {_NAME}(?:\ (?:d[eaio]s?\ |y\ |e\ )?{_NAME}){{0,3}},?\ (?:n[º°.]?\ ?)?\d{{1,4}}\b""",
        rf"""\b(?:ul\.|al\.|os\.|pl\.|ulica|aleja)\ {_NAME}(?:\ {_NAME}){{0,2}}\ \d{{1,4}}[a-zA-Z]?(?:/\d{{1,4}})?\b""",
        rf"""(?i:{_SLAVIC_STREET}\ ?[А-ЯЁІЇЄ][\w\-]{{1,30}}(?:\ [А-ЯЁІЇЄ]?[\w\-]{{1,30}}){{0,2}},?
             \ (?:д\.|дом|буд\.)?\ ?\d{{1,4}}[а-яА-Я]?(?:,?\ (?:кв\.|квартира)\ ?\d{{1,4}})?)""",
        r"""[^\W\da-zA-Z我住在是于址]{2,3}(?:市|区|區|县|縣)[\u4e00-\u9fff]{1,12}(?:路|街|大道|巷|道)\d{1,5}(?:号|號|弄)""",
        r"""〒\ ?\d{3}-\d{4}\ ?[\u3040-\u30ff\u4e00-\u9fff]{2,20}[\d０-９一-九丁目番地号\-－ー]*""",
        r"""[\uac00-\ud7a3]{1,6}(?:시|도|구|군)\ [\uac00-\ud7a3\d]{1,10}(?:로|길)\ ?\d{1,4}(?:-\d{1,4})?""",
        rf"""\b(?!Adres){_TURKISH_NAME}(?:{_TURKISH_NAME}){{0,2}}{_TURKISH_STREET}[^.\n]{{0,40}}?No[:.]?\ ?\d{{1,4}}""",
    )
)
_BY_THEMSELVES = frozenset("市区區县縣〒시도구군")
_UNIT = r"(?:Apt|Apartment|Unit|Suite|Ste|Flat|Floor|\#)\.?\ ?[\w#-]{1,6},?\s"
_CODE_AFTER_TOWN = (
    r"""(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\ ?\d[A-Z]{2}|[A-Z]\d[A-Z]\ ?\d[A-Z]\d|\d{4}|\d{5}-\d{3}|\d{6})\b"""
)
# A postal code or a town, directly behind the street.
_TOWN = re.compile(
    rf"""^[,\n]?\s{{0,2}}(?:{_UNIT})?(?:
        (?:[A-Z]{{1,2}}-)?\d{{4,6}}(?:[ -]?[A-Z]{{2}})?,?\ {_NAME}
      | \d{{3}}\ ?\d{{2}}\ {_NAME}
      | \d{{2}}-\d{{3}}\ {_NAME}
      | {_NAME}(?:\ {_NAME}){{0,2}},?\ (?:[A-Z]{{2}},?\ )?{_CODE_AFTER_TOWN}
      | {_NAME}(?:\ {_NAME}){{0,2}},\ [A-Z]{{2}}\b
      | (?:[A-ZÀ-Þ][\w\-]+,?\ ){{0,3}}\(?\d{{5}}\)?\b
    )""",
    re.VERBOSE,
)
_AT_HOME = re.compile(
    r"""(?:
        \b(?:I|we)(?:'m|'ve)?\ (?:live|lived|am\ living|moved|reside)\b
      | \bmy\ (?:home|house|address|new\ address|flat|apartment)
      | (?:home|postal|mailing|delivery|shipping|billing)\ address
      | \b(?:send|ship|deliver|mail|post|come|pick\ (?:me|it|up))\b[^.\n]{0,30}\bto\b | \blives?\ (?:at|on|in)\b
      | \bwohn\w{1,3}\b | \bAnschrift | \bAdresse | \bhabite | \bdemeur\w+ | \bvivo\b | \bvive\b | \bdirecci[oó]n
      | \bmor[oa]\b | \bendereço | \babit[oa]\b | \bindirizzo | \bwoon\w?\b | \badres | \bmieszka\w*
      | \bживу\b | \bжив[её]т | \bпрожива\w+ | \bадрес\w* | \bbo[rd]\b | \basun\b | \boturuyorum
    )[^\n]{0,40}$""",
    re.IGNORECASE | re.VERBOSE,
)
# Addresses of everybody's acquaintance, and those that stand for any.
_FAMOUS = re.compile(
    r"""10\ Downing | 1600\ Pennsylvania | 221B?\ Baker | 742\ Evergreen | 123\ (?:Main|Any|Fake) | 4\ Privet
      | 12\ Grimmauld | Muster | Beispiel | Example | Wall\ Street | Sesame""",
    re.IGNORECASE | re.VERBOSE,
)
_REACH = 80


def find_addresses(text: str) -> Iterator[Span]:
    if not any(map(str.isdigit, text)):
        return
    for pattern in _STREETS:
        for match in pattern.finditer(text):
            if _FAMOUS.search(match[0]):
                continue
            town = _TOWN.match(text[match.end() : match.end() + _REACH])
            is_home = _AT_HOME.search(text[max(match.start() - _REACH, 0) : match.start()])
            if town or is_home or _BY_THEMSELVES & set(match[0]):
                end = match.end() + (town.end() if town else 0)
                yield match.start(), match.start() + len(text[match.start() : end].rstrip(" .,;\n"))
