"""User profiles."""

from typing import Any

import pytest

from oasst.accounts import profiles
from oasst.accounts.models import User
from oasst.core.errors import Invalid

pytestmark = pytest.mark.django_db


class TestProfile:
    def test_it_works(self, alice: User) -> None:
        profiles.update_profile(
            alice,
            display_name=" Alice  B. ",
            time_zone="Europe/Berlin",
            interface_language="en",
            contribution_languages=["de", "PT-br", "de"],
        )
        alice.refresh_from_db()
        assert (alice.display_name, alice.time_zone) == ("Alice B.", "Europe/Berlin")
        assert alice.contribution_languages == ["de", "pt-BR"]

    def test_single_keys_stay_as_they_are_if_nobody_says(self, alice: User) -> None:
        about: dict[str, Any] = {
            "display_name": "Alice",
            "time_zone": "UTC",
            "interface_language": "en",
            "contribution_languages": ["en"],
        }
        for change, off in (
            ({}, False),
            ({"single_keys_off": True}, True),
            ({}, True),
            ({"single_keys_off": False}, False),
        ):
            profiles.update_profile(alice, **about, **change)
            alice.refresh_from_db()
            assert alice.single_keys_off is off

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"display_name": " "}, "display_name"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"interface_language": "klingon"}, "interface_language"),
            ({"contribution_languages": ["en", "nonsense!"]}, "contribution_languages"),
            ({"contribution_languages": [f"en-x-{n}" for n in range(21)]}, "contribution_languages"),
        ],
    )
    def test_refused(self, alice: User, change: dict[str, Any], field: str) -> None:
        fields: dict[str, Any] = {
            "display_name": "New Name",
            "time_zone": "UTC",
            "interface_language": "en",
            "contribution_languages": ["fr"],
        }
        with pytest.raises(Invalid) as caught:
            profiles.update_profile(alice, **{**fields, **change})
        assert caught.value.field == field
        alice.refresh_from_db()
        assert (alice.display_name, alice.contribution_languages) == ("Alice", [])
