"""The people of a crowd: made through the services, each with a door."""

import random
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
from oasst.simulation.crowd.work import Door
from trees.lifecycle.policy import TreePolicy

SAMPLES = Path("tests") / "data"
FEW = 10  # fewer people than this can not afford to skip work: somebody has to do it

MakeDoor = Callable[[User, str], Door]  # the person and their password


def gather(
    number: int, *, make_door: MakeDoor, policy: TreePolicy, seed: int | None = None, with_passwords: bool = False
) -> list[Person]:
    """New people with random passwords, if anybody needs one. OSError when the sample texts are not there."""
    chance = rngs(seed)
    texts = Texts(settings.BASE_DIR / SAMPLES, limit=policy.message_size_limit, rng=next(chance))
    habits = Habits() if number >= FEW else Habits(skips=0)
    return [_person(make_door, texts, habits, rng, with_passwords) for rng in islice(chance, number)]


def _person(make_door: MakeDoor, texts: Texts, habits: Habits, rng: random.Random, with_password: bool) -> Person:
    password = secrets.token_urlsafe(16)
    user = create_user(
        email=f"crowd-{secrets.token_hex(6)}@crowd.invalid", password=password if with_password else None
    )
    return Person(user, make_door(user, password), texts, rng, habits)
