"""Creating users."""

import threading
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import check_password
from django.db import connection

from oasst.accounts import registration
from oasst.accounts.models import Role, User
from oasst.accounts.names import friendly_name
from oasst.core.errors import Conflict, Invalid
from oasst.core.text.validation import clean_name

pytestmark = pytest.mark.django_db


class TestCreateUser:
    def test_it_works(self) -> None:
        user = registration.create_user(email=" Dora@Example.ORG ", display_name="Dora", password="a long password")
        assert (user.email, user.display_name, user.role) == ("dora@example.org", "Dora", Role.GENERAL)
        assert check_password("a long password", user.password)
        address = EmailAddress.objects.get(user=user)
        assert (address.email, address.verified, address.primary) == ("dora@example.org", True, True)

    def test_a_friendly_name(self) -> None:
        assert len(registration.create_user(email="a@example.org").display_name.split()) == 2

    def test_friendly_names_would_pass_our_own_rules(self) -> None:
        for _ in range(100):
            name = friendly_name()
            assert clean_name(name) == name

    def test_without_a_password_there_is_none_to_guess(self) -> None:
        assert not registration.create_user(email="a@example.org").has_usable_password()

    def test_people_without_an_address(self) -> None:
        assert registration.create_user(email=None).email is None
        assert not EmailAddress.objects.exists()

    def test_an_address_is_one_person(self) -> None:
        registration.create_user(email="dora@example.org")
        with pytest.raises(Conflict) as caught:
            registration.create_user(email="DORA@example.org")
        assert caught.value.code == "email_taken"
        assert User.objects.count() == 1

    def test_a_second_address_of_somebody_is_taken_too(self, alice: User) -> None:
        EmailAddress.objects.create(user=alice, email="other@example.org", verified=True)
        with pytest.raises(Conflict):
            registration.create_user(email="other@example.org")

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"email": "not an address"}, "email"),
            ({"email": "a@example.org", "role": "king"}, "role"),
            ({"email": "a@example.org", "display_name": "Admin"}, "reserved"),
        ],
    )
    def test_refused(self, fields: dict[str, Any], code: str) -> None:
        with pytest.raises(Invalid) as caught:
            registration.create_user(**fields)
        assert caught.value.code == code
        assert not User.objects.exists()


class TestPersonBehind:
    """`get_or_create_by_email`: the user who has verified an address."""

    def test_a_new_person(self) -> None:
        user = registration.get_or_create_by_email("new@example.org")
        assert registration.get_or_create_by_email("NEW@example.org") == user
        assert User.objects.count() == EmailAddress.objects.count() == 1

    def test_a_second_address(self, alice: User) -> None:
        EmailAddress.objects.create(user=alice, email="other@example.org", verified=True)
        assert registration.get_or_create_by_email("other@example.org") == alice

    def test_an_address_that_an_operator_gave(self) -> None:
        user = User.objects.create_user("op@example.org", display_name="Op")
        assert registration.get_or_create_by_email("op@example.org") == user
        assert EmailAddress.objects.get(user=user).verified

    def test_an_account_that_waits_for_its_owner_is_not_handed_over(self, eve: User) -> None:
        """Eve claims Dora's address without verifying it. Eve must not be able to sign in to Dora's account."""
        EmailAddress.objects.create(user=eve, email="dora@example.org", verified=False)
        shell = User.objects.create_user("dora@example.org", display_name="Trap")
        EmailAddress.objects.create(user=shell, email="dora@example.org", verified=False, primary=True)
        dora = registration.get_or_create_by_email("dora@example.org")
        assert dora not in (eve, shell)
        shell.refresh_from_db()
        assert shell.email is None
        assert not EmailAddress.objects.filter(user=shell).exists()
        assert list(EmailAddress.objects.filter(email="dora@example.org").values_list("user", "verified")) == [
            (dora.pk, True)
        ]


@pytest.mark.django_db(transaction=True)
def test_one_person_in_two_windows() -> None:
    people, start = [], threading.Barrier(2)

    def sign_in() -> None:
        start.wait(10)
        people.append(registration.get_or_create_by_email("twice@example.org").pk)
        connection.close()

    threads = [threading.Thread(target=sign_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(people) == 2 and len(set(people)) == 1
    assert User.objects.count() == 1
