"""Measuring the search of moderators among all messages, and the plans of PostgreSQL behind it."""

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import Role, User
from oasst.simulation.measuring.exploring import Query, week
from oasst.simulation.measuring.timing import Timings
from oasst.simulation.scale.texts import VOCABULARY, word
from trees.models import Message, MessageReading, Reaction, ReadingKind
from trees.moderation.asked_words import parse
from trees.moderation.finding import MANY, conditions


def searches() -> Iterator[tuple[str, Query]]:
    """Yield a name and the query of each kind of search."""
    frequent, usual, rare = (word("en", number) for number in (0, VOCABULARY // 100, VOCABULARY - 2))
    author = Message.objects.exclude(author=None).order_by("-created_at").values_list("author", flat=True)[0]
    yield "everything", {}
    yield "one language", {"lang": "fr"}
    yield "a frequent word", {"q": "bread"}
    yield "a frequent word, one language", {"q": "bread", "lang": "en"}
    yield "a usual word", {"q": usual}
    yield "a rare word", {"q": rare}
    yield "two frequent words", {"q": "bread violin"}
    yield "two words, seldom together", {"q": f"{frequent} {usual}"}
    yield "a word that no text has", {"q": "quagmire"}
    yield "a word without another", {"q": f"bread -{frequent}"}
    yield "the beginning of a rare word", {"q": f"{rare[:5]}*"}
    yield "the beginning of a frequent word", {"q": "brea*"}
    yield "a frequent piece", {"q": '"bread"'}
    yield "a rare piece", {"q": f'"{rare}"'}
    yield "a piece that no text has", {"q": '"quagmire in the"'}
    yield "a pattern", {"q": f"/{rare[:4]}[a-z]+/"}
    yield "Chinese, frequent", {"q": "面包"}
    yield "Chinese, rare", {"q": word("zh", VOCABULARY - 2)}
    yield "deleted", {"deleted__exact": "1"}
    yield "hidden", {"hidden__exact": "1"}
    yield "edited", {"edited__exact": "1"}
    yield "deleted, with a word", {"deleted__exact": "1", "q": "bread"}
    yield "not accepted, of a week", {"review": "rejected", **week()}
    yield "flagged", {"flags": "1"}
    yield "most flagged first", {"sort": "flags"}
    yield "reported, with a word", {"reports": "1", "q": "bread"}
    yield "toxic", {"toxicity": "0.9"}
    yield "of one author, with a word", {"author": author, "q": "bread"}
    yield "oldest first, with a word", {"sort": "oldest", "q": usual}
    yield "page 20 of a frequent word", {"q": "bread", "p": "20"}


SHARES = {"deleted": 0.3, "hidden": 0.02, "edited": 0.3}
"""Percent of the messages that get such a mark."""
FLAGGED, READ = 0.5, 20
"""Percent of the messages with red flags, and of those whose toxicity was read."""


def prepare() -> None:
    """Mark a part of the messages, once: the data made for measuring have none in these states."""
    if Message.objects.filter(deleted=True).exists():
        return
    for seed, (column, share) in enumerate(SHARES.items()):
        Message.objects.filter(pk__in=_sample(share, seed)).update(**{column: True})
    people = list(User.objects.order_by("id")[:5])
    flagged = _sample(FLAGGED, 10)
    Reaction.objects.bulk_create(
        (
            Reaction(message_id=pk, author=person, emoji=Reaction.RED_FLAG)
            for number, pk in enumerate(flagged)
            for person in people[: 1 + number % len(people)]
        ),
        batch_size=1_000,
        ignore_conflicts=True,
    )
    read = Message.objects.filter(pk__in=_sample(READ, 11)).values_list("revision_id", flat=True)
    MessageReading.objects.bulk_create(
        (
            MessageReading(
                revision_id=revision,
                kind=ReadingKind.TOXICITY,
                result={"toxicity": number % 1_000 / 1_000},
                due_at=None,
            )
            for number, revision in enumerate(read)
        ),
        batch_size=1_000,
        ignore_conflicts=True,
    )


def _sample(percent: float, seed: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM trees_message TABLESAMPLE BERNOULLI (%s) REPEATABLE (%s) ORDER BY id", [percent, seed]
        )
        return [pk for (pk,) in cursor.fetchall()]


def measure(times: int) -> Timings:
    """Ask for each search as a moderator, once unmeasured."""
    client = Client(headers={"host": "localhost"})
    client.force_login(_moderator(), backend="django.contrib.auth.backends.ModelBackend")
    timings = Timings()
    for name, query in searches():
        _get(client, query)
        for _ in range(times):
            with timings.measure(name):
                _get(client, query)
    return timings


def plans() -> Iterator[str]:
    """Yield how PostgreSQL finds the first matches of a word, a piece and a pattern by their indexes."""
    rare = word("en", VOCABULARY - 2)
    for text in (rare, f'"{rare}"', f"{rare[:5]}*", f"/{rare[:4]}[a-z]+/"):
        _, by_index = conditions(parse(text), "")
        yield f"{text}:"
        yield Message.objects.filter(by_index).order_by().values("pk")[: MANY + 1].explain(analyze=True, buffers=True)


def _moderator() -> User:
    """Return a person who wrote nothing, as a moderator; the data are made for measuring only."""
    person = User.objects.filter(enabled=True, is_active=True).exclude(terms_version="").latest("id")
    person.role = Role.ADMIN
    person.save(update_fields=["role"])
    return person


def _get(client: Client, query: Query) -> None:
    response = client.get(reverse("admin:trees_message_changelist"), query)
    if response.status_code != 200:
        raise AssertionError(f"{query} answers {response.status_code}")
