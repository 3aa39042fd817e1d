"""Moderators find people by name, login, address or id, and by filters that combine."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from leaderboard.models import TrollStanding
from oasst.accounts.finding import find_people
from oasst.accounts.models import ApiClient, Identity, User
from tests.factories import new_person

pytestmark = pytest.mark.django_db


def names(text: str) -> list[str]:
    return sorted(find_people(text).values_list("display_name", flat=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jose", ["Josefine", "José Łukasz"]),
        ("JOSÉ", ["Josefine", "José Łukasz"]),
        ("jose luk", ["José Łukasz"]),
        ("łuk", ["José Łukasz"]),
        ("ukasz", []),  # in the middle of a word
        ("田中", ["田中"]),
        ("zoe", ["Zoe\u0308"]),
        ("a.b", ["Punct a.b"]),
        ("discord:12", []),
        ("1234", ["José Łukasz"]),  # the name at an API client
        ("josefine@", ["Josefine"]),
        ("%", []),
        ("(", []),
        ("", []),
    ],
)
def test_by_name_login_and_address(text: str, expected: list[str]) -> None:
    people = {name: new_person("Person") for name in ("José Łukasz", "Josefine", "田中", "Zoe\u0308", "Punct a.b")}
    for name, person in people.items():
        User.objects.filter(pk=person.pk).update(display_name=name)
    User.objects.filter(pk=people["Josefine"].pk).update(email="josefine@example.org")
    bot = ApiClient.objects.create(name="bot")
    Identity.objects.create(user=people["José Łukasz"], api_client=bot, auth_method="discord", username="12345")
    assert names(text) == expected


def test_by_id(alice: User, bob: User) -> None:
    assert names(str(alice.pk)) == ["Alice"]


@pytest.mark.slow
class TestFilters:
    @pytest.fixture
    def listed(self, mo: User) -> Any:
        client = Client()
        client.force_login(mo)

        def listed(**query: str) -> list[str]:
            response = client.get(reverse("admin:accounts_user_changelist"), query)
            assert response.status_code == 200
            return [person.display_name for person in response.context["cl"].result_list]

        return listed

    def test_they_combine(self, listed: Any, alice: User, bob: User, eve: User, mo: User) -> None:
        now = timezone.now()
        User.objects.filter(pk=eve.pk).update(
            enabled=False, contribution_languages=["de", "en"], last_activity_at=now - timedelta(days=40)
        )
        User.objects.filter(pk=bob.pk).update(last_activity_at=now, contribution_languages=["fr"])
        TrollStanding.objects.create(frame="total", person=eve, red_flags=3)
        TrollStanding.objects.create(frame="total", person=bob, red_flags=1)
        assert listed(enabled__exact="0", active="not30", complaints="5") == ["Eve"]
        assert listed(enabled__exact="1", active="not30") == []
        assert listed(active="1") == ["Bob"]
        assert listed(sort="complaints") == ["Eve", "Bob"]
        assert listed(sort="active") == ["Bob", "Eve"]
        assert listed(sort="name", role__exact="general") == ["Alice", "Bob", "Eve"]
        assert listed(q="b", sort="name") == ["Bob"]
        assert listed(since=f"{now + timedelta(days=2):%Y-%m-%d}") == []
        assert "Mo" in listed(since=f"{now - timedelta(days=2):%Y-%m-%d}", role__exact="moderator")
