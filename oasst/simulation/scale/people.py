"""The people of made data: some give hundreds of times what others give, each in one language."""

import random
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from oasst.accounts.consent import TERMS_DOCUMENT
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.accounts.names import columns_of_own
from oasst.simulation.scale.ids import new_id

MOST_AT_ONCE = 10_000
HEAD = 20  # about so many people give alike; behind them the n-th gives 1/n of what they do
FEWEST = 24  # of one language: enough that nobody has to judge their own words


class People:
    """Who does the next piece of work."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ids: dict[str, list[str]] = {}
        self._drawn: dict[str, list[str]] = {}

    def join(self, lang: str, number: int, at: datetime) -> None:
        """Store `number` more people who work in this language and accepted the terms."""
        ids = [new_id(at, self._chance) for _ in range(number)]
        users = [
            User(
                id=UUID(one),
                email=f"{lang}{place}@scale.invalid",
                **columns_of_own(f"{lang} {place}"),
                contribution_languages=[lang],
                terms_version=TERMS.version,
                created_at=at,
                password="!",
            )
            for place, one in enumerate(ids)
        ]
        User.objects.bulk_create(users, batch_size=1000)
        Consent.objects.bulk_create(
            [Consent(user=user, document=TERMS_DOCUMENT, version=TERMS.version, accepted_at=at) for user in users],
            batch_size=1000,
        )
        self._ids[lang] = ids
        self._drawn[lang] = []

    def draw(self, lang: str, besides: Collection[str] = ()) -> str:
        """Somebody who is not among `besides`. The first of a language give most."""
        drawn = self._drawn[lang]
        while True:
            if not drawn:
                ids = self._ids[lang]
                weights = [1 / (HEAD + place) for place in range(len(ids))]
                drawn.extend(self._chance.choices(ids, weights, k=MOST_AT_ONCE))
            person = drawn.pop()
            if person not in besides:
                return person
