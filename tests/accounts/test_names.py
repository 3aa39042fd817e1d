"""Chosen names are unique. Names from API clients are never refused, but marked if they look alike."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError
from django.test import Client

from oasst.accounts import account_bans, api_clients, closing, identities, names, profiles, registration
from oasst.accounts.models import ApiClient, User
from oasst.core.errors import Invalid
from oasst.core.models import WaitingJob
from oasst.core.text.lookalikes import skeleton
from tests.accounts.test_admin import signed_in
from tests.factories import new_person
from tests.leaderboard.test_boards import stand

pytestmark = pytest.mark.django_db

CYRILLIC_ALICE = "\u0410lice"


@pytest.fixture
def bots() -> ApiClient:
    return api_clients.create_api_client(name="Bots of Bern")[0]


@pytest.fixture
def forum() -> ApiClient:
    return api_clients.create_api_client(name="A forum")[0]


def brought(client: ApiClient, name: str, username: str = "") -> User:
    """Return a user of the API client, who gets this name."""
    person = identities.get_or_create_person(
        client, auth_method="discord", username=username or name, display_name=name
    )
    finish_jobs()
    person.refresh_from_db()
    return person


def finish_jobs() -> None:
    """Run what the worker does after the commit."""
    for job in WaitingJob.objects.filter(job=names.MARK_ALIKE):
        names.update_lookalikes(*job.args)
        job.delete()


def beside(person: User) -> str:
    finish_jobs()
    person.refresh_from_db()
    return person.program_beside


def choose(person: User, name: str) -> None:
    profiles.update_profile(
        person, display_name=name, time_zone="UTC", interface_language="en", contribution_languages=[]
    )


def refusal(person: User, name: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        choose(person, name)
    return caught.value


class TestChosenHere:
    @pytest.mark.parametrize("name", ["Alice", "alice", CYRILLIC_ALICE, "AIice", "Al\u200bice", "  Alice "])
    def test_one_name_one_person(self, alice: User, bob: User, name: str) -> None:
        error = refusal(bob, name)
        assert (error.code, error.field) == ("name_taken", "display_name")
        assert bob.display_name == "Bob"
        bob.refresh_from_db()
        assert bob.display_name == "Bob"

    def test_the_page_says_so_at_the_field(self, alice: User, bob: User) -> None:
        form = {"display_name": CYRILLIC_ALICE, "time_zone": "UTC", "interface_language": "en"}
        response = signed_in(bob).post("/me/", form)
        page = response.content.decode()
        assert "Somebody has this name, or one that looks like it. Please choose another." in page
        assert "Signed in as" in page and CYRILLIC_ALICE in page  # the field keeps what was typed
        bob.refresh_from_db()
        assert bob.display_name == "Bob"

    def test_ones_own_name_in_another_way(self, alice: User) -> None:
        for name in ("ALICE", "Alice", "Jos\u00e9", "Alice"):
            choose(alice, name)
            assert alice.display_name == name

    def test_an_accent_makes_another_name(self, alice: User, bob: User) -> None:
        choose(alice, "Jose")
        choose(bob, "Jos\u00e9")

    def test_a_name_that_was_left_is_free(self, alice: User, bob: User) -> None:
        choose(alice, "Alina")
        choose(bob, "Alice")

    def test_a_closed_account_frees_its_name(self, alice: User, bob: User) -> None:
        closing.close_account(alice)
        alice.refresh_from_db()
        assert (alice.display_name, alice.name_skeleton, alice.owns_name) == (closing.DELETED_NAME, "", False)
        choose(bob, "Alice")
        closing.close_account(bob)  # two users with that name are allowed

    def test_a_banned_account_keeps_its_name(self, alice: User, bob: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam.")
        assert refusal(bob, "Alice").code == "name_taken"

    def test_an_account_that_an_operator_makes(self, alice: User) -> None:
        with pytest.raises(Invalid) as caught:
            registration.create_user(email="a@example.org", display_name="alice")
        assert (caught.value.code, caught.value.field) == ("name_taken", "display_name")
        assert not User.objects.filter(email="a@example.org").exists()

    def test_a_race_that_only_the_constraint_sees(
        self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(names, "is_taken", lambda *about, **more: False)
        assert refusal(bob, CYRILLIC_ALICE).code == "name_taken"
        assert bob.display_name == "Bob"
        with pytest.raises(Invalid) as caught:
            registration.create_user(email="a@example.org", display_name=CYRILLIC_ALICE)
        assert caught.value.code == "name_taken"
        with pytest.raises(IntegrityError):
            User.objects.create_user("b@example.org", display_name="Alice")
        monkeypatch.undo()
        with pytest.raises(Invalid):
            User.objects.create_user("b@example.org", display_name=CYRILLIC_ALICE)

    def test_nobody_who_has_a_name_is_asked_for_another(self, alice: User, bob: User) -> None:
        """Users with look-alike names from before the rule."""
        User.objects.filter(pk=bob.pk).update(display_name="Alice", name_skeleton=alice.name_skeleton, owns_name=False)
        bob.refresh_from_db()
        choose(bob, "Alice")
        choose(alice, "Alina")
        assert refusal(alice, "Alice").code == "name_taken", "Bob is called so"


class TestGivenByUs:
    def test_friendly_names_are_varied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(names, "friendly_name", lambda: "Brave Otter")
        people = [registration.create_user(email=None) for _ in range(12)]
        assert people[0].display_name == "Brave Otter"
        assert len({person.name_skeleton for person in people}) == 12
        assert all(person.owns_name and person.display_name.startswith("Brave Otter") for person in people)

    def test_a_variation_fits(self) -> None:
        for _ in range(3):
            long = registration.create_user(email=None, display_name="W" * 40, vary_name=True)
        assert long.display_name.startswith("W" * 30) and len(long.display_name) == 40

    def test_a_superuser(self) -> None:
        boss = User.objects.create_superuser("boss@example.org", "some long words")
        assert boss.owns_name and len(boss.display_name.split()) >= 2


class TestOfPrograms:
    def test_a_name_that_can_stand_alone(self, bots: ApiClient) -> None:
        person = brought(bots, "Dora")
        assert (person.display_name, person.program_beside, person.name_from) == ("Dora", "", bots)
        assert str(person) == "Dora"

    @pytest.mark.parametrize("name", ["Moderator", "\u0410dmin", "Deleted User", "oasst", "Op\u0435nAssistant bot"])
    def test_one_like_the_house(self, bots: ApiClient, name: str) -> None:
        person = brought(bots, name)
        assert (person.display_name, person.program_beside) == (name, "Bots of Bern")
        assert str(person) == f"{name} (through Bots of Bern)"

    @pytest.mark.parametrize("name", ["Alice", "ALICE", CYRILLIC_ALICE])
    def test_one_like_somebody_here(self, alice: User, bots: ApiClient, name: str) -> None:
        person = brought(bots, name)
        assert (person.display_name, person.program_beside) == (name, "Bots of Bern")
        assert beside(alice) == ""

    def test_one_like_that_of_another_program(self, bots: ApiClient, forum: ApiClient) -> None:
        first = brought(bots, "Dora")
        second = brought(forum, "D\u043era")
        assert (beside(first), beside(second)) == ("Bots of Bern", "A forum")

    def test_two_of_one_program(self, bots: ApiClient) -> None:
        people = [brought(bots, "Dora", username) for username in "ab"]
        assert [beside(person) for person in people] == ["", ""]

    def test_programs_reserve_nothing(self, bots: ApiClient, alice: User) -> None:
        """A user who chooses the name here gets it, and the client's user is marked."""
        dora = brought(bots, "Dora")
        choose(alice, "Dora")
        assert (beside(dora), beside(alice)) == ("Bots of Bern", "")
        choose(alice, "Alice")
        assert beside(dora) == ""

    def test_it_is_marked_until_the_other_leaves(self, bots: ApiClient, forum: ApiClient, alice: User) -> None:
        dora, alina = brought(bots, "Dora"), brought(forum, "Dora", "x")
        brought(forum, "Alina", "x")
        assert (beside(dora), beside(alina)) == ("", "")
        marked = brought(bots, "Alice", "y")
        closing.close_account(alice)
        assert beside(marked) == ""
        posing = brought(bots, "Admin", "z")
        names.update_lookalikes(posing.name_skeleton)
        assert beside(posing) == "Bots of Bern"

    def test_who_signs_in_here_keeps_the_name_they_chose(self, bots: ApiClient, alice: User) -> None:
        identities.Identity.objects.create(user=alice, api_client=bots, auth_method="discord", username="alice")
        assert brought(bots, "Zoe", "alice").display_name == "Alice"

    def test_a_trusted_program_names_somebody_who_signs_in_here(self, forum: ApiClient, alice: User, bob: User) -> None:
        identities.update_person(forum, alice.pk, {"display_name": "Bob"})
        alice.refresh_from_db()
        assert (alice.display_name, alice.owns_name, beside(alice)) == ("Bob", False, "A forum")
        choose(alice, "Bob")  # saving an unchanged profile

    def test_the_same_name_again_costs_nothing(self, bots: ApiClient, django_assert_num_queries: Any) -> None:
        person = brought(bots, "Dora")
        with django_assert_num_queries(1):
            identities.get_or_create_person(
                bots, auth_method="discord", username="Dora", display_name=person.display_name
            )

    def test_many_of_one_name(self, bots: ApiClient, forum: ApiClient, django_assert_max_num_queries: Any) -> None:
        for number in range(30):
            brought(bots, "Dora", str(number))
        with django_assert_max_num_queries(16):
            identities.get_or_create_person(forum, auth_method="discord", username="d", display_name="Dora")
            finish_jobs()
        assert User.objects.filter(name_skeleton="dora", program_beside="Bots of Bern").count() == 30


class TestPeopleOfBefore:
    """The migration that fills the columns."""

    def migrate(self) -> None:
        User.objects.update(name_skeleton="", owns_name=False, name_from=None, program_beside="")
        importlib.import_module("oasst.accounts.migrations.0010_fill_names").fill(apps, None)

    def test_all_keep_their_names_and_one_owns_each(
        self, alice: User, bob: User, mo: User, bots: ApiClient, forum: ApiClient
    ) -> None:
        dora, alike, posing = brought(bots, "Dora"), brought(forum, "Alice"), brought(forum, "Staff")
        User.objects.filter(pk=bob.pk).update(display_name=CYRILLIC_ALICE, owns_name=False)
        User.objects.filter(pk=mo.pk).update(display_name="ALICE", owns_name=False)
        closed = new_person("Gone")
        closing.close_account(closed)
        before = dict(User.objects.values_list("pk", "display_name"))
        self.migrate()
        assert dict(User.objects.values_list("pk", "display_name")) == before
        owners = set(User.objects.filter(owns_name=True).values_list("pk", flat=True))
        assert owners == {mo.pk}, "people with an office first"
        assert {one.name_skeleton for one in User.objects.filter(pk__in=[alice.pk, bob.pk, mo.pk])} == {"allce"}
        people = User.objects.in_bulk()
        assert [people[one.pk].program_beside for one in (dora, alike, posing)] == ["", "A forum", "A forum"]
        assert people[closed.pk].name_skeleton == ""
        assert refusal(new_person("Zoe"), "Alice").code == "name_taken"

    def test_it_can_be_stopped_and_run_again(
        self, alice: User, bob: User, bots: ApiClient, forum: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dora, alike = brought(bots, "Dora"), brought(forum, "Alice")
        User.objects.filter(pk=bob.pk).update(display_name=CYRILLIC_ALICE, owns_name=False)
        migration = importlib.import_module("oasst.accounts.migrations.0010_fill_names")
        monkeypatch.setattr(migration, "_BATCH", 1)
        looked_at: list[str] = []

        def stopped(name: str) -> str:
            looked_at.append(name)
            if len(looked_at) == 2:
                raise RuntimeError("the power")
            return skeleton(name)

        with monkeypatch.context() as patched:
            patched.setattr(migration, "skeleton", stopped)
            with pytest.raises(RuntimeError):
                self.migrate()
        filled = User.objects.exclude(name_skeleton="").get()
        assert (filled, filled.owns_name) == (alice, True)
        new_person("Zoe")  # meanwhile
        for _ in range(2):
            migration.fill(apps, None)
            assert not User.objects.filter(name_skeleton="").exists()
            assert set(User.objects.filter(owns_name=True).values_list("display_name", flat=True)) == {"Alice", "Zoe"}
            assert not User.objects.get(pk=dora.pk).program_beside
            assert User.objects.get(pk=alike.pk).program_beside == "A forum"

    def test_whoever_came_first_owns_it(self, alice: User, bob: User) -> None:
        User.objects.filter(pk=bob.pk).update(display_name="Alice", owns_name=False)
        self.migrate()
        assert User.objects.get(owns_name=True) == alice

    def test_it_gives_what_the_services_give(self, alice: User, bots: ApiClient) -> None:
        brought(bots, "Alice")
        brought(bots, "Dora")
        columns = ("pk", *names.FIELDS)
        before = list(User.objects.order_by("pk").values_list(*columns))
        self.migrate()
        assert list(User.objects.order_by("pk").values_list(*columns)) == before


class TestShown:
    def board(self, client: Client) -> str:
        return client.get("/leaderboard/?frame=total").content.decode()

    def test_a_board_tells_staff_and_programs(self, alice: User, mo: User, bots: ApiClient) -> None:
        pose = brought(bots, "Mo moderator")
        for number, person in enumerate([mo, pose, alice], start=1):
            stand(person, number)
        page = self.board(signed_in(alice))
        rows = {name: page.partition(f">{name}</bdi>")[2].partition("</tr>")[0] for name in ("Mo", "Mo moderator")}
        assert 'class="person__role">' in rows["Mo"] and "#shield" in rows["Mo"] and "moderator</span>" in rows["Mo"]
        assert "through <bdi>Bots of Bern</bdi>" in rows["Mo moderator"]
        assert "person__role" not in rows["Mo moderator"]
        assert page.count("person__role") == 1

    def test_the_admin_as_well(self, alice: User, mo: User, bots: ApiClient) -> None:
        pose = brought(bots, "Staff")
        page = signed_in(mo).get("/admin/accounts/user/").content.decode()
        assert "through <bdi>Bots of Bern</bdi>" in page and page.count('class="person__role"') == 1
        assert f'href="/admin/accounts/user/{pose.pk}/change/' in page
        details = signed_in(mo).get(f"/admin/accounts/user/{pose.pk}/change/").content.decode()
        assert "through <bdi>Bots of Bern</bdi>" in details
