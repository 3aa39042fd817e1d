"""The people of a crowd: new users, each with a client."""

import secrets
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from django.conf import settings

from oasst.accounts.models import User
from oasst.accounts.registration import create_user
from oasst.simulation.crowd.crowd import rngs
from oasst.simulation.crowd.person import Habits, Person
from oasst.simulation.crowd.texts import Texts
from oasst.simulation.crowd.work import Client
from trees.lifecycle.policy import TreePolicy

SAMPLES = Path("tests") / "data"
FEW = 10  # fewer people than this do not skip work, since nobody else might be left to do it

ClientFactory = Callable[[User, str], Client]  # from a user and their password


def gather(
    number: int,
    *,
    make_client: ClientFactory,
    policy: TreePolicy,
    seed: int | None = None,
    with_passwords: bool = False,
) -> list[Person]:
    """Create people, with random passwords if the client needs them. Raise OSError if the sample texts are missing."""
    chance = rngs(seed)
    texts = Texts(settings.BASE_DIR / SAMPLES, limit=policy.message_size_limit, rng=next(chance))
    habits = Habits() if number >= FEW else Habits(skips=0)
    people = []
    for rng in islice(chance, number):
        email, password = f"crowd-{secrets.token_hex(6)}@crowd.invalid", secrets.token_urlsafe(16)
        user = create_user(email=email, password=password if with_passwords else None)
        people.append(Person(user, make_client(user, password), texts, rng, habits))
    return people
