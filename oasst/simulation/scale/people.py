"""The users of made-up data, each with one language. Some contribute hundreds of times as much as others."""

import random
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from oasst.accounts.consent import TERMS_DOCUMENT
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.accounts.names import own_name_columns
from oasst.simulation.scale.bulk import new_id

MOST_AT_ONCE = 10_000
HEAD = 20  # the weight of the n-th user is 1 / (HEAD + n): about so many contribute equally
FEWEST = 24  # users of a language: enough that nobody has to judge their own texts


class People:
    """Draws who does the next piece of work."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ids: dict[str, list[str]] = {}
        self._drawn: dict[str, list[str]] = {}

    def join(self, lang: str, number: int, at: datetime) -> None:
        """Store `number` more users who work in this language and accepted the terms."""
        ids = [new_id(at, self._chance) for _ in range(number)]
        users = [
            User(
                id=UUID(user_id),
                email=f"{lang}{index}@scale.invalid",
                **own_name_columns(f"{lang} {index}"),
                contribution_languages=[lang],
                terms_version=TERMS.version,
                created_at=at,
                password="!",
            )
            for index, user_id in enumerate(ids)
        ]
        User.objects.bulk_create(users, batch_size=1000)
        Consent.objects.bulk_create(
            [Consent(user=user, document=TERMS_DOCUMENT, version=TERMS.version, accepted_at=at) for user in users],
            batch_size=1000,
        )
        self._ids[lang] = ids
        self._drawn[lang] = []

    def draw(self, lang: str, excluded: Collection[str] = ()) -> str:
        """Return the id of a user who is not in `excluded`. The first users of a language contribute most."""
        drawn = self._drawn[lang]
        while True:
            if not drawn:
                ids = self._ids[lang]
                weights = [1 / (HEAD + index) for index in range(len(ids))]
                drawn.extend(self._chance.choices(ids, weights, k=MOST_AT_ONCE))
            person = drawn.pop()
            if person not in excluded:
                return person
