"""Settings: values out of range are refused with a message, unusual but clear ones are accepted."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chats.presets import BUILT_IN
from inference.engine.sampling import MAX_SEED, InvalidSetting, Sampling, parse_sampling


class TestGood:
    def test_nothing_given_is_the_default(self) -> None:
        assert parse_sampling({}) == Sampling()
        assert parse_sampling({"top_k": None, "stop": None}) == Sampling()

    def test_whole_numbers_are_understood_either_way(self) -> None:
        assert parse_sampling({"temperature": 1, "top_k": 5.0, "seed": MAX_SEED}) == Sampling(
            temperature=1.0, top_k=5, seed=MAX_SEED
        )

    def test_zero_temperature_is_greedy(self) -> None:
        assert parse_sampling({"temperature": 0}).greedy
        assert not parse_sampling({"temperature": 0.01}).greedy

    def test_huge_max_tokens_mean_as_many_as_there_is_room_for(self) -> None:
        assert parse_sampling({"max_tokens": 10**30}).max_tokens == 1_000_000

    def test_one_stop_text_needs_no_list(self) -> None:
        assert parse_sampling({"stop": "END"}).stop == ("END",)

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_the_presets_of_the_house(self, name: str) -> None:
        assert parse_sampling(parse_sampling(BUILT_IN[name]).as_json()) == parse_sampling(BUILT_IN[name])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 10**400),
        ("temperature", "0.5"),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", 1.5),
        ("typical_p", 0),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", math.nan),
        ("repetition_penalty", 0),
        ("seed", -1),
        ("seed", 2**53),
        ("max_tokens", 0),
        ("max_tokens", math.inf),
        ("stop", [""]),
        ("stop", ["\0"]),
        ("stop", ["\ud800"]),
        ("stop", 7),
        ("stop", ["x"] * 10_000),
        ("stop", ["x" * 101]),
        ("logit_bias", [1]),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {"1": math.nan}),
        ("logit_bias", {str(number): 1 for number in range(301)}),
        ("nonsense", 1),
    ],
)
def test_refused_with_its_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidSetting) as refused:
        parse_sampling({field: value})
    assert refused.value.field == field
    assert field in refused.value.message or field == "stop"


_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3)
)


@given(st.dictionaries(st.sampled_from([*Sampling.__dataclass_fields__, "other"]), _ANYTHING))
def test_anything_is_refused_or_survives_the_way_through_json(given: dict[str, Any]) -> None:
    try:
        chosen = parse_sampling(given)
    except InvalidSetting:
        return
    assert parse_sampling(chosen.as_json()) == chosen
