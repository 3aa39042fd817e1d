"""JSON of the APIs: orjson writes what Python's own module would write, and reads."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from oasst.api.compact_json import dump

WORDS = ["", "plain", 'quote " and \\', "tab\tand\x00", "ä ß 漢 🙂", "\u2028\u2029\u0085", "</script>"]


def something(dice: random.Random, depth: int = 0) -> Any:
    """A random value of the types that occur in responses."""
    choice = dice.randrange(6 if depth > 3 else 8)
    if choice == 6:
        return [something(dice, depth + 1) for _ in range(dice.randrange(4))]
    if choice == 7:
        return {dice.choice(WORDS): something(dice, depth + 1) for _ in range(dice.randrange(4))}
    return [
        dice.choice(WORDS),
        dice.choice([None, True, False]),
        dice.randrange(-(2**63), 2**63),
        dice.choice([0.0, 0.1, 1e16, 1e-7, 1 / 3, -2.5]),
        UUID(int=dice.getrandbits(128)),
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=dice.choice([0, 1, 500_000, 86_400_000_000])),
    ][choice]


def plain(value: Any) -> Any:
    """The same value with datetimes and UUIDs as text."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


class TestDump:
    def test_it_works(self) -> None:
        data = {"id": UUID(int=1), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "text": "ä", "list": [1, None]}
        assert dump(data) == (
            '{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-02T03:04:05+00:00","text":"ä","list":[1,null]}'
        )

    def test_it_says_what_it_was_given(self) -> None:
        dice = random.Random(1)
        for _ in range(500):
            data = something(dice)
            assert json.loads(dump(data)) == plain(data)

    def test_it_is_one_line_whoever_counts(self) -> None:
        for text in WORDS:
            assert len(dump({"text": text}).splitlines()) == 1

    @pytest.mark.parametrize(
        "value", [2**64, -(2**70), "half \ud83d of a character", {1: "a key that is a number"}, ["\ud800", UUID(int=2)]]
    )
    def test_what_the_library_does_not_take(self, value: Any) -> None:
        expected = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
        assert dump(value) == expected

    def test_what_is_no_json(self) -> None:
        with pytest.raises(TypeError, match="no JSON"):
            dump({"a": object()})
