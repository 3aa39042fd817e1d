"""The desk and contributors use the same words."""

import re

import pytest
from django.template.loader import render_to_string

from trees.moderation.badges import MESSAGE_STATES


@pytest.mark.parametrize("state", sorted(MESSAGE_STATES))
def test_the_state_of_a_message_has_one_name(state: str) -> None:
    html = render_to_string("fragments/state_badge.html", {"state": state, "label": ""})
    assert " ".join(re.sub(r"<[^>]+>", " ", html).split()) == MESSAGE_STATES[state][0]
