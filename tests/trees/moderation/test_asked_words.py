"""What a moderator types to find messages."""

import pytest

from oasst.core.errors import Invalid
from trees.moderation.asked_words import Asked, checked_pattern, parse, pattern_has_trigram


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("  ", Asked()),
        ("bread oven", Asked(words=("bread", "oven"))),
        ("bread -oven", Asked(words=("bread",), without_words=("oven",))),
        ("bak*", Asked(patterns=(r"\mbak",))),
        ("c++*", Asked(patterns=(r"\mc\+\+",))),
        ("面*", Asked(words=("面",))),
        ('"100% rye" -"a b"', Asked(pieces=("100% rye",), without_pieces=("a b",))),
        ('say "unfinished', Asked(words=("say",), pieces=("unfinished",))),
        ('""', Asked()),
        ("/colou?rs?/ red", Asked(words=("red",), patterns=("colou?rs?",))),
        ("/a b/ /c d/", Asked(patterns=("a b", "c d"))),
        (r"/\bcat\b/", Asked(patterns=(r"\ycat\y",))),
        ("/etc/passwd and/or", Asked(words=("/etc/passwd", "and/or"))),
        ("- -", Asked(words=("-", "-"))),
    ],
)
def test_what_is_meant(text: str, asked: Asked) -> None:
    assert parse(text) == asked


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "(?=a)b", "(?<!a)b", "(?i)a", "***=a", r"a\p", "a\\", "(a{40}){40}", "x" * 201],
)
def test_patterns_that_could_take_without_limit_are_refused(pattern: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_pattern(pattern)
    assert refused.value.code == "bad_pattern"


@pytest.mark.parametrize("text", ["ba*", "a " * 21, "a" * 501])
def test_searches_that_no_index_serves_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


@pytest.mark.parametrize(
    ("pattern", "has"),
    [
        (r"\mbread", True),
        ("bread|oven", True),
        ("bread|of", False),
        ("(bread)?", False),
        ("b.r.d", False),
        ("[abc]def", True),
        ("abc?", False),
        (r"\d{3}-\d{4}", False),
    ],
)
def test_which_patterns_the_index_helps(pattern: str, has: bool) -> None:
    assert pattern_has_trigram(pattern) is has
