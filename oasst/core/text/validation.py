"""Rules for texts that people submit. Every refusal is an `Invalid` that names the cause.

Imported files are stored verbatim and do not use these rules.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import NoReturn

from oasst.core.errors import Invalid
from oasst.core.text.invisible import IGNORED
from oasst.core.text.lookalikes import impersonates_staff

_INVISIBLE_LETTERS = IGNORED | {"\u2800"}  # the blank Braille cell
# Characters of a blank line: whitespace, and zero-width characters. U+FEFF starts texts copied from some files.
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
# ASCII control characters have no name in Unicode.
_CONTROL_NAMES = {
    0x00: "null",
    0x07: "bell",
    0x08: "backspace",
    0x1A: "substitute",
    0x1B: "escape",
    0x1C: "file separator",
    0x1D: "group separator",
    0x1E: "record separator",
    0x1F: "unit separator",
    0x7F: "delete",
}
# With an override, a reviewer would read something else than what is stored. Embeddings, isolates and marks stay,
# because Arabic and Hebrew texts need them.
_OVERRIDES = re.compile("[\u202d\u202e]")
_BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Tag characters can spell an invisible message that a model reads and a reviewer does not; only flags need them. Their
# plane is invisible except for the variation selectors, which Chinese and Japanese names need.
_TAGS = re.compile("[\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
# Word and PowerPoint write a line break inside a paragraph as U+000B and a page break as U+000C. U+001C to U+001F break
# lines only in Python and do not occur in prose, so they are refused like other control characters.
_LINE_ENDINGS = re.compile("\r\n|[\r\x0b\x0c\u0085\u2028\u2029]")
# Unicode's limit for stream-safe text (UAX 15). No writing system needs more; stacked accents cover neighboring lines
# and take quadratic time.
_MAX_MARKS_ON_A_LETTER = 30
# Normalization turns at most four code points into one.
_NFC_SHRINKS_BY = 4

NAME_LIMIT = 40


def clean_text(value: object, *, limit: int, field: str = "text") -> str:
    """Return `value` as it will be stored: NFC, "\\n" as line ending, without blank lines before and spaces at the end.

    The indentation of the first line stays, because code, poems and Chinese paragraphs need it.

    Raise `Invalid` with code `not_text`, `control_characters`, `blank` or `too_long`; the message gives the line and
    position of a refused character. The limit counts code points of the result, like `static/js/count.js`.
    """
    return _cleaned(value, _without_blank_lines_around, limit, field)


def clean_line(value: object, *, limit: int, field: str) -> str:
    """Clean a title or a name of a thing: like `clean_text`, with runs of whitespace as one space."""
    return _cleaned(value, lambda text: " ".join(text.split()), limit, field)


def clean_optional(value: object, *, limit: int, field: str = "text", clean: Callable[..., str] = clean_text) -> str:
    """Clean an optional text: return "" for a blank one, and otherwise the same as `clean`."""
    return "" if isinstance(value, str) and is_blank(value) else clean(value, limit=limit, field=field)


def is_blank(text: str) -> bool:
    """Return True if nothing of the text is visible: only whitespace and zero-width characters."""
    return all(c.isspace() or c in _INVISIBLE_LETTERS or unicodedata.category(c) == "Cf" for c in text)


def _cleaned(value: object, trim: Callable[[str], str], limit: int, field: str) -> str:
    text = _LINE_ENDINGS.sub("\n", _decodable(value, field))
    _refuse_controls(text, field)
    trimmed = trim(text)
    if len(trimmed) > limit * _NFC_SHRINKS_BY:
        raise _too_long(len(trimmed), limit, field)
    _refuse_stacked_accents(text, field)
    text = unicodedata.normalize("NFC", trimmed)
    if is_blank(text):
        raise Invalid("Nothing is written here yet.", code="blank", field=field)
    if len(text) > limit:
        raise _too_long(len(text), limit, field)
    return text


def _without_blank_lines_around(text: str) -> str:
    text = text.rstrip(_BLANKS)
    first = len(text) - len(text.lstrip(_BLANKS))
    start = text.rfind("\n", 0, first) + 1
    return "".join(c for c in text[start:first] if c.isspace()) + text[first:]


def clean_reason(value: object, *, limit: int = 500, field: str = "reason", ask: str = "Please say why") -> str:
    """Clean the reason for a decision. For a blank or too long one, the code of `Invalid` is the name of the field."""
    try:
        return clean_text(value, limit=limit, field=field).strip()
    except Invalid as error:
        if error.code not in ("blank", "too_long"):
            raise
        excess = f" {error.message}" if error.code == "too_long" else ""
        raise Invalid(f"{ask}, in up to {limit} characters.{excess}", code=field, field=field) from error


def clean_name(value: object) -> str:
    """Clean a display name: one line of 1 to 40 characters that does not look like the people who run the site.

    Runs of spaces become one. Direction controls are refused, because they would affect the text around the name.
    Raise `Invalid` with the codes of `clean_text`, or `reserved`.
    """
    text = clean_text(value.strip() if isinstance(value, str) else value, limit=NAME_LIMIT, field="display_name")
    if "\n" in text:
        raise Invalid("A name stands on one line.", code="control_characters", field="display_name")
    if _BIDI_CONTROLS.search(text):
        raise Invalid(
            "The name holds invisible characters that change the direction of text.",
            code="control_characters",
            field="display_name",
        )
    if impersonates_staff(text):
        raise Invalid(
            "This name is kept for the people who run the site. Please choose another.",
            code="reserved",
            field="display_name",
        )
    return " ".join(text.split())


# The format of RFC 5646: language, extended language, script, region, variants, extensions, private use.
_LANGUAGE_TAG = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-wyz0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?"
)
_POOL_TAG = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_LANGUAGE_TAG_LIMIT = 32


def clean_language_tag(value: object, *, field: str = "lang") -> str:
    """Return a BCP 47 tag in its usual case: `pt-br` becomes `pt-BR`, `ZH-hant` becomes `zh-Hant`.

    Only the format is checked, because a list of existing languages would soon be outdated.
    """
    is_short = isinstance(value, str) and len(value) <= _LANGUAGE_TAG_LIMIT and value.isascii()
    if not is_short or not _LANGUAGE_TAG.fullmatch(str(value).lower()):
        raise Invalid("This is not a language tag. Examples: en, pt-BR, zh-Hant.", code="language", field=field)
    return _usual_case(str(value))


def clean_pool_tag(value: object) -> str:
    """Return the tag of a pool of work: a language, or another subject in letters, digits and hyphens.

    The usual case gives all spellings the same pool.
    """
    if not isinstance(value, str) or len(value) > _LANGUAGE_TAG_LIMIT or not _POOL_TAG.fullmatch(value):
        raise Invalid(
            f"This is not a tag: at most {_LANGUAGE_TAG_LIMIT} letters and digits, with single hyphens between.",
            code="language",
            field="lang",
        )
    return _usual_case(value)


def _usual_case(tag: str) -> str:
    subtags = tag.lower().split("-")
    for index, (before, subtag) in enumerate(pairwise(subtags), start=1):
        if len(before) == 1:
            break  # an extension follows, which stays in lower case
        if len(subtag) == 2:
            subtags[index] = subtag.upper()
        elif len(subtag) == 4 and subtag.isalpha():
            subtags[index] = subtag.title()
    return "-".join(subtags)


def _decodable(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise Invalid("This must be text.", code="not_text", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which UTF-8 and PostgreSQL cannot store
        raise Invalid(
            f"The text holds a broken character ({_where(value, error.start)}). Delete it and type it again.",
            code="not_text",
            field=field,
        ) from error
    return value


def _refuse_controls(text: str, field: str) -> None:
    if control := _CONTROLS.search(text):
        _refuse("a control character", text, control.start(), field)
    if override := _OVERRIDES.search(text):
        _refuse("an invisible character that makes it read backwards", text, override.start(), field)
    # Flags are masked and not removed, so that positions stay correct.
    if tag := _TAGS.search(_FLAG.sub(lambda flag: "x" * len(flag[0]), text)):
        _refuse("an invisible letter that readers cannot see", text, tag.start(), field)


def _refuse(what: str, text: str, index: int, field: str) -> NoReturn:
    character = f"U+{ord(text[index]):04X}"
    name = _CONTROL_NAMES.get(ord(text[index])) or unicodedata.name(text[index], "").lower()
    raise Invalid(
        f"The text holds {what}: {character}{f' ({name})' if name else ''}, {_where(text, index)}. Please remove it.",
        code="control_characters",
        field=field,
        character=character,
    )


def _where(text: str, index: int) -> str:
    """Return "character 17" or "line 3, character 17", counted from one."""
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return f"line {line}, character {column}" if "\n" in text.strip("\n") else f"character {column}"


def _refuse_stacked_accents(text: str, field: str) -> None:
    if text.isascii():
        return
    index = 0
    for is_mark, run in groupby(text, key=lambda c: unicodedata.combining(c) != 0):
        length = sum(1 for _ in run)
        if is_mark and length > _MAX_MARKS_ON_A_LETTER:
            raise Invalid(
                f"More than {_MAX_MARKS_ON_A_LETTER} accents stand on one letter ({_where(text, max(index - 1, 0))}). "
                "Please remove some.",
                code="control_characters",
                field=field,
            )
        index += length


def _too_long(length: int, limit: int, field: str) -> Invalid:
    return Invalid(
        f"This is {length:,} characters; {length - limit:,} too many (at most {limit:,} fit).",
        code="too_long",
        field=field,
        length=length,
        limit=limit,
    )
