"""The table of states: complete, connected, and the same in the docs."""

import pytest

from tests.paths import ROOT
from trees.lifecycle.state_diagram import state_picture, state_table
from trees.lifecycle.states import TABLE, State, is_allowed

DOMAIN = ROOT / "docs" / "domain.md"


def test_every_state_has_its_row() -> None:
    assert set(TABLE) == set(State)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_way_out_and_can_be_stopped(state: State) -> None:
    assert TABLE[state].goes_to
    assert state not in TABLE[state].goes_to
    assert state == State.HALTED_BY_MODERATOR or is_allowed(state, State.HALTED_BY_MODERATOR)


@pytest.mark.parametrize("state", list(State))
def test_the_data_set_can_be_reached_from_everywhere(state: State) -> None:
    reached, waiting = {state}, [state]
    while waiting:
        fresh = TABLE[waiting.pop()].goes_to - reached
        reached |= fresh
        waiting.extend(fresh)
    assert State.READY_FOR_EXPORT in reached


def test_the_documents_show_what_the_code_does() -> None:
    text = DOMAIN.read_text()
    assert state_picture() in text
    assert state_table() in text
