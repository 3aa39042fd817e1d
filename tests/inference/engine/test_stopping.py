"""Stop texts end an answer wherever they begin, and no part of one is shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.engine.stopping import Stopper


def shown(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    stopper = Stopper(stops)
    out = [stopper.feed(piece) for piece in pieces]
    return [*out, "" if stopper.stopped else stopper.end()], stopper.stopped


@pytest.mark.parametrize(
    ("pieces", "stops", "text"),
    [
        (["Hello", " End", "!", " more"], ["End!"], "Hello "),  # not at the start of a token
        (["ab", "a", "bc"], ["abc"], "ab"),  # a false start first
        (["x", "y"], [], "xy"),
        (["one STOP two"], ["STOP", "one"], ""),  # the first in the text counts
        (["a<", "b"], ["<stop>"], "a<b"),  # held back, then shown
        (["a<st"], ["<stop>"], "a<st"),  # held back to the end
    ],
)
def test_examples(pieces: list[str], stops: list[str], text: str) -> None:
    assert "".join(shown(pieces, stops)[0]) == text


_LETTERS = st.text(alphabet="abc", max_size=4)


@given(st.lists(_LETTERS, max_size=12), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
@example(["a", "a", "b"], ["ab"])
def test_the_same_as_cutting_the_whole_text(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    out, stopped = shown(pieces, stops)
    assert stopped == bool(places)
    if not stopped:
        assert "".join(out) == whole
        return
    # In pieces, the stop text that is complete first ends the answer.
    assert "".join(out) in {whole[:place] for place in places}
    assert not any(stop in "".join(out) for stop in stops)
