"""How long ago something was, in words."""

from datetime import timedelta

import pytest
from django.utils import timezone

from oasst.core.read_only_admin import age, duration_in_words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(seconds=-20), "just now"),
        (timedelta(minutes=5, seconds=59), "5 min ago"),
        (timedelta(hours=3, minutes=59), "3 h ago"),
        (timedelta(days=1, hours=5), "1 day ago"),
        (timedelta(days=59), "59 days ago"),
        (timedelta(days=100), "3 months ago"),
        (timedelta(days=1000), "2 years ago"),
        (timedelta(hours=-2, minutes=-1), "in 2 h"),
    ],
)
def test_the_largest_unit_and_the_time_behind_it(ago: timedelta, words: str) -> None:
    moment = timezone.now() - ago
    html = age(moment)
    assert f">{words}</time>" in html
    assert f'datetime="{moment.isoformat()}"' in html and 'title="' in html


def test_no_time() -> None:
    assert age(None) == "–"


def test_durations() -> None:
    assert [duration_in_words(seconds) for seconds in (0, 59.9, 60, 7200)] == ["0 s", "59 s", "1 min", "2 h"]
