"""Rules for text that people submit: what may be stored, in which form, and what to say when it may not.

Imported files are stored verbatim and never pass through here. Every refusal is an `Invalid` that names the
cause.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import NoReturn

from oasst.core.errors import Invalid
from oasst.core.text.invisible import IGNORED
from oasst.core.text.lookalikes import poses_as_the_house

_INVISIBLE_LETTERS = IGNORED | {"\u2800"}  # the blank Braille cell is a letter without ink
# What makes up a blank line: white space, and what has no width at all. U+FEFF begins texts copied from some files.
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
# The controls of ASCII have no name in Unicode. The others that people meet have one there.
_NAMES_OF_CONTROLS = {
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
# An override makes text read differently from what is stored, so a reviewer would judge something else.
# Embeddings, isolates and marks stay: people who write Arabic or Hebrew need them, and they only arrange what
# is there.
_OVERRIDES = re.compile("[\u202d\u202e]")
_BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Tag characters spell an invisible message that a model reads and a reviewer does not. Their one honest use
# is a flag. The rest of their plane is as invisible, but for the variation selectors, which Chinese and Japanese
# names need.
_TAGS = re.compile("[\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
# Word and PowerPoint write a break inside a paragraph as U+000B and one of pages as U+000C. The separators U+001C to
# U+001F break lines in Python only; no program writes them into prose, so they are refused like other controls.
_LINE_ENDINGS = re.compile("\r\n|[\r\x0b\x0c\u0085\u2028\u2029]")
# Unicode's own bound for text that a program can normalise without holding all of it (UAX 15, stream-safe).
# Beyond it there is no writing system, only stacked accents that cover the neighbouring lines and cost
# quadratic time.
_MAX_MARKS_ON_A_LETTER = 30
# Normalising shortens a text at most this much: four code points become one.
_NFC_SHRINKS_BY = 4

NAME_LIMIT = 40


def clean_text(value: object, *, limit: int, field: str = "text") -> str:
    """`value` as it will be stored: NFC, lines ended by a newline, without blank lines around it.

    The indentation of the first line belongs to the text (code, poems, paragraphs of Chinese); blank lines before it
    and blanks at the very end do not.

    Raises `Invalid` with code `not_text`, `control_characters`, `blank` or `too_long`; what can not be stored is named
    with its line and its place in it. Length is counted in code points of the result, as `static/js/count.js` does
    beside the field.
    """
    return _cleaned(value, _without_blank_lines_around, limit, field)


def clean_line(value: object, *, limit: int, field: str) -> str:
    """`value` as `clean_text` would have it, on one line: runs of blanks and line breaks become one blank. For titles
    and names of things. Raises `Invalid` as `clean_text` does.
    """
    return _cleaned(value, lambda text: " ".join(text.split()), limit, field)


def clean_remark(value: object, *, limit: int, field: str = "text", clean: Callable[..., str] = clean_text) -> str:
    """`value` as `clean` would have it, or empty where nobody sees anything: what people may say and need not. Raises
    `Invalid` as `clean` does, but never `blank`.
    """
    return "" if isinstance(value, str) and is_blank(value) else clean(value, limit=limit, field=field)


def is_blank(text: str) -> bool:
    """Does nobody see anything: empty, blanks, zero-width characters?"""
    return all(c.isspace() or c in _INVISIBLE_LETTERS or unicodedata.category(c) == "Cf" for c in text)


def _cleaned(value: object, shape: Callable[[str], str], limit: int, field: str) -> str:
    text = _LINE_ENDINGS.sub("\n", _decodable(value, field))
    _refuse_controls(text, field)
    shaped = shape(text)
    if len(shaped) > limit * _NFC_SHRINKS_BY:
        raise _too_long(len(shaped), limit, field)
    _refuse_stacked_accents(text, field)
    text = unicodedata.normalize("NFC", shaped)
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
    """Why somebody decided something, as it is kept. Raises `Invalid` as `clean_text` does; without words, or with too
    many, its code is the name of the field.
    """
    try:
        return clean_text(value, limit=limit, field=field).strip()  # prose, so nothing is indented
    except Invalid as error:
        if error.code not in ("blank", "too_long"):
            raise
        by_how_much = f" {error.message}" if error.code == "too_long" else ""
        raise Invalid(f"{ask}, in up to {limit} characters.{by_how_much}", code=field, field=field) from error


def clean_name(value: object) -> str:
    """A display name: one line of 1 to 40 characters that does not pose as the house.

    Runs of blanks become one. Direction controls of every kind are refused, because a name stands in the
    middle of lines that others wrote. Raises `Invalid` with the codes of `clean_text`, or `reserved`.
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
    if poses_as_the_house(text):
        raise Invalid(
            "This name is kept for the people who run the site. Please choose another.",
            code="reserved",
            field="display_name",
        )
    return " ".join(text.split())


# The shape of RFC 5646: language, extended language, script, region, variants, extensions, private use.
_LANGUAGE_TAG = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-wyz0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?"
)
_POOL_TAG = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_LANGUAGE_TAG_LIMIT = 32


def clean_language_tag(value: object, *, field: str = "lang") -> str:
    """A BCP 47 tag in its usual case: `pt-br` becomes `pt-BR`, `ZH-hant` becomes `zh-Hant`.

    Only the shape is checked. Which languages exist is not ours to decide, and a registry would be old
    tomorrow.
    """
    if (
        not isinstance(value, str)
        or len(value) > _LANGUAGE_TAG_LIMIT
        or not value.isascii()
        or not _LANGUAGE_TAG.fullmatch(value.lower())
    ):
        raise Invalid("This is not a language tag. Examples: en, pt-BR, zh-Hant.", code="language", field=field)
    return _usual_case(value)


def clean_pool_tag(value: object) -> str:
    """What a pool of work is called: a language as above, or any other subject that people who bring their own
    contributors agree on, in letters, digits and hyphens. The same rule of case makes one pool of all spellings.
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
    for place, (before, subtag) in enumerate(pairwise(subtags), start=1):
        if len(before) == 1:
            break  # what follows a single letter is an extension and stays in lower case
        if len(subtag) == 2:
            subtags[place] = subtag.upper()
        elif len(subtag) == 4 and subtag.isalpha():
            subtags[place] = subtag.title()
    return "-".join(subtags)


def _decodable(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise Invalid("This must be text.", code="not_text", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair: PostgreSQL and UTF-8 can not hold it
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
    # Flags are masked, not cut out, so that places stay those of the text.
    if tag := _TAGS.search(_FLAG.sub(lambda flag: "x" * len(flag[0]), text)):
        _refuse("an invisible letter that readers cannot see", text, tag.start(), field)


def _refuse(what: str, text: str, place: int, field: str) -> NoReturn:
    character = f"U+{ord(text[place]):04X}"
    name = _NAMES_OF_CONTROLS.get(ord(text[place])) or unicodedata.name(text[place], "").lower()
    raise Invalid(
        f"The text holds {what}: {character}{f' ({name})' if name else ''}, {_where(text, place)}. Please remove it.",
        code="control_characters",
        field=field,
        character=character,
    )


def _where(text: str, place: int) -> str:
    """For people, counted from one: "character 17", "line 3, character 17"."""
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return f"line {line}, character {column}" if "\n" in text.strip("\n") else f"character {column}"


def _refuse_stacked_accents(text: str, field: str) -> None:
    if text.isascii():
        return
    place = 0
    for is_mark, run in groupby(text, key=lambda c: unicodedata.combining(c) != 0):
        length = sum(1 for _ in run)
        if is_mark and length > _MAX_MARKS_ON_A_LETTER:
            raise Invalid(
                f"More than {_MAX_MARKS_ON_A_LETTER} accents stand on one letter ({_where(text, max(place - 1, 0))}). "
                "Please remove some.",
                code="control_characters",
                field=field,
            )
        place += length


def _too_long(length: int, limit: int, field: str) -> Invalid:
    return Invalid(
        f"This is {length:,} characters; {length - limit:,} too many (at most {limit:,} fit).",
        code="too_long",
        field=field,
        length=length,
        limit=limit,
    )
