"""Two people choose the same name at the same moment, and an API client sends it."""

import pytest

from oasst.accounts import api_clients, identities, names, profiles, registration
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.models import WaitingJob
from tests.concurrency.together import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def choose(person: User, name: str) -> User:
    profiles.update_profile(
        person, display_name=name, time_zone="UTC", interface_language="en", contribution_languages=[]
    )
    return person


def test_one_gets_it_and_the_others_hear_why(alice: User, bob: User, carol: User) -> None:
    spellings = {alice: "Zelda", bob: "Zeld\u0430", carol: "ZELDA"}
    results = at_once([lambda one=person, name=name: choose(one, name) for person, name in spellings.items()])  # type: ignore[misc]
    refused = [result for result in results if isinstance(result, Invalid)]
    assert [(error.code, error.field) for error in refused] == [("name_taken", "display_name")] * 2
    assert User.objects.filter(name_skeleton="zelda").count() == 1


def test_new_accounts_at_once(db: None) -> None:
    emails = [f"zelda{number}@example.org" for number in range(4)]
    results = at_once(
        [lambda email=email: registration.create_user(email=email, display_name="Zelda") for email in emails]
    )  # type: ignore[misc]
    assert [getattr(result, "code", "") for result in results].count("name_taken") == 3
    before = User.objects.count()
    more = [f"nobody{number}@example.org" for number in range(3)]
    results = at_once([lambda email=email: registration.create_user(email=email) for email in more])  # type: ignore[misc]
    assert [result for result in results if isinstance(result, Exception)] == []
    assert User.objects.count() == before + 3
    assert User.objects.filter(owns_name=True).count() == before + 3


def test_programs_and_a_person_at_once(alice: User) -> None:
    """The second one sees the first, so each user of an API client with this name gets its mark."""
    clients = [api_clients.create_api_client(name=f"Program {number}")[0] for number in range(3)]
    acts = [
        lambda client=client: identities.get_or_create_person(
            client, auth_method="local", username="z", display_name="Zelda"
        )
        for client in clients
    ]
    results = at_once([*acts, lambda: choose(alice, "Zelda")])
    assert [result for result in results if isinstance(result, Exception)] == []
    for job in WaitingJob.objects.filter(job=names.MARK_ALIKE):
        names.update_lookalikes(*job.args)
    shown = dict(User.objects.filter(name_skeleton="zelda").values_list("name_from__name", "program_beside"))
    assert shown == {None: "", **{client.name: client.name for client in clients}}
