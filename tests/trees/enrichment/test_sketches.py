"""Sketches find texts with the same wording, in any script, and never change."""

import random
from hashlib import sha256

import pytest

from trees.enrichment.sketches import BANDS, bands, grams, similarity

BREAD = "How do I bake a good sourdough bread in an ordinary oven at home?"


def share(one: str, other: str) -> int:
    """Return how many bands the two texts have in common."""
    return len(set(bands(grams(one))) & set(bands(grams(other))))


def test_bands_never_change() -> None:
    """They are stored: other bands would no longer match those of older texts."""
    found = bands(grams(BREAD))
    assert len(found) == BANDS and all(-(2**63) <= band < 2**63 for band in found)
    assert sha256(repr(found).encode()).hexdigest()[:16] == "0bbf77f52f494bb0"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BREAD, BREAD.upper() + "!!!"),
        (BREAD, "  How do I bake a good sourdough bread -- in an ordinary oven, at home"),
        (BREAD, BREAD.replace("good", "very good")),
        ("パンを家庭のオーブンで上手に焼く方法を教えてください", "パンを家庭のオーブンで上手に焼く方法を教えて下さい"),
        ("ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ ｈｅｒｅ", "full width letters here"),
    ],
)
def test_nearly_the_same_wording(one: str, other: str) -> None:
    assert similarity(grams(one), grams(other)) > 0.7
    assert share(one, other)


def test_other_texts_share_no_band() -> None:
    assert share(BREAD, "Which planets of the solar system have rings, and what are they made of?") == 0
    assert len(set(bands(grams(BREAD)))) == BANDS


@pytest.mark.parametrize("text", ["", "Thank you!", "?!…—!!" * 20, "🍞"])
def test_short_texts_have_no_sketch(text: str) -> None:
    assert bands(grams(text)) == []


@pytest.mark.parametrize("text", ["\ud800 half a character, which an import may hold", "x" * 100_000, "a\0b" * 50])
def test_odd_texts(text: str) -> None:
    assert len(bands(grams(text))) == BANDS


def test_the_chance_to_share_a_band_follows_the_similarity() -> None:
    """1 - (1 - s^5)^28, for sets of known similarity s."""
    rng = random.Random(7)
    for wanted, least, most in ((0.2, 0, 10), (0.75, 195, 200)):
        met = 0
        for _ in range(200):
            pool = [f"{rng.getrandbits(64):x}" for _ in range(120)]
            common = round(wanted * 120)
            rest = (120 - common) // 2
            one = frozenset(pool[: common + rest])
            other = frozenset(pool[:common] + pool[common + rest :])
            met += bool(set(bands(one)) & set(bands(other)))
        assert least <= met <= most
