"""The form of a ranking."""

import pytest

from tasks.forms import RankingForm
from trees.models import Message


@pytest.mark.parametrize(("synthetic", "told"), [((True, True), True), ((True, False), False), ((False, False), False)])
def test_a_mixed_list_does_not_tell_who_is_a_model(synthetic: tuple[bool, ...], told: bool) -> None:
    replies = [Message(text="A reply.", synthetic=one) for one in synthetic]
    assert {item.synthetic_badge for item in RankingForm(replies=replies).items} == {told}
