"""Measuring /explore/ on a database of the target size, and how PostgreSQL finds what it shows."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from oasst.simulation.measuring.timing import Timings
from oasst.simulation.scale.texts import VOCABULARY, word
from trees.models import Message, PromptTopic, Topic

TOPIC_SIZE = 2_000
DEEP = 2_000
"""Pages after the first; a cursor there is as good as one that somebody got by turning them."""
Query = dict[str, Any]
Searches = list[tuple[str, Query]]
"""Names and queries."""


def searches(topic: Topic, deep: str) -> Iterator[tuple[str, Query]]:
    """Yield a name and the query of each kind of search."""
    frequent, usual, rare = (word("en", number) for number in (0, VOCABULARY // 100, VOCABULARY - 2))
    yield "no filter", {}
    yield "all messages", {"kind": "any"}
    yield "one language", {"lang": "fr", "kind": "any"}
    yield "a word in every third text", {"q": "bread", "lang": "en"}
    yield "a frequent word", {"q": frequent, "lang": "en"}
    yield "a usual word", {"q": usual, "lang": "en"}
    yield "a rare word", {"q": rare, "lang": "en"}
    yield "a rare word, any language", {"q": rare}
    yield "a frequent word, any language", {"q": "bread"}
    yield "two frequent words", {"q": "bread violin", "lang": "en"}
    yield "two words, seldom together", {"q": f"{frequent} {usual}", "lang": "en"}
    yield "a word that no text has", {"q": "quagmire", "lang": "en"}
    yield "a word among prompts", {"q": "bread", "lang": "en", "kind": "prompt"}
    yield "answers of a week", {"kind": "answer", **week()}
    yield "words of a week", {"q": "bread", "lang": "en", **week()}
    yield "Chinese, frequent", {"q": "面包", "lang": "zh"}
    yield "Chinese, rare", {"q": word("zh", VOCABULARY - 2), "lang": "zh"}
    yield "Chinese, one character", {"q": "面", "lang": "zh"}
    yield "a topic", {"lang": topic.lang, "topic": topic.pk}
    yield "a topic, all messages", {"lang": topic.lang, "topic": topic.pk, "kind": "any"}
    yield "a topic and a word", {"lang": topic.lang, "topic": topic.pk, "q": "bread"}
    yield "deep in all messages", {"kind": "any", "older": deep}
    yield "deep in one language", {"lang": "en", "older": deep}
    yield "deep among matches", {"q": "bread", "lang": "en", "older": deep}


def searches_of_people() -> Iterator[tuple[str, Query]]:
    """Yield those that need an account."""
    yield "own messages", {"own": "on"}
    yield "own messages with a word", {"own": "on", "q": "bread", "lang": "en"}
    yield "open conversations", {"state": "open"}
    yield "messages in review", {"state": "in_review", "kind": "any"}
    yield "rejected messages", {"state": "rejected", "kind": "any"}
    yield "a word in review", {"state": "in_review", "q": "bread", "lang": "en"}


def week() -> Query:
    """Return the filter of seven days in the middle of all messages."""
    middle = Message.objects.order_by("created_at")[Message.objects.count() // 2].created_at.date()
    return {"since": middle, "until": middle + timedelta(days=6)}


def measure(times: int) -> Timings:
    """Ask for each search as a visitor and, where it needs an account, as the person with the most messages."""
    topic, deep = _topic(), _deep_cursor()
    for_all = list(searches(topic, deep))
    return measure_searches(for_all, [*for_all, *searches_of_people()], times)


def measure_searches(of_visitor: Searches, of_person: Searches, times: int) -> Timings:
    """Ask for the first as a visitor, and for the others as the person with the most messages, each once unmeasured."""
    visitor, person = Client(headers={"host": "localhost"}), Client(headers={"host": "localhost"})
    person.force_login(_busiest_person(), backend="django.contrib.auth.backends.ModelBackend")
    timings = Timings()
    for client, prefix, queries in ((visitor, "", of_visitor), (person, "signed in: ", of_person)):
        for name, query in queries:
            _get(client, query)
            for _ in range(times):
                with timings.measure(prefix + name):
                    _get(client, query)
    return timings


def _get(client: Client, query: Query) -> None:
    response = client.get(reverse("explore"), query)
    if response.status_code != 200:
        raise AssertionError(f"{query} answers {response.status_code}")


def _busiest_person() -> User:
    with connection.cursor() as cursor:
        cursor.execute("SELECT author_id FROM trees_message GROUP BY author_id ORDER BY count(*) DESC LIMIT 1")
        return User.objects.get(pk=cursor.fetchone()[0])


def _topic() -> Topic:
    """Return a topic of many prompts, made if there is none."""
    topic = Topic.objects.filter(name="made for measuring").first()
    if topic is None:
        topic = Topic.objects.create(
            lang="en", name="made for measuring", model="none", center=[0.0] * 384, size=TOPIC_SIZE
        )
        prompts = Message.objects.filter(lang="en", depth=0).order_by("text_digest")[:TOPIC_SIZE]
        PromptTopic.objects.bulk_create([PromptTopic(message=prompt, topic=topic) for prompt in prompts.only("pk")])
    return topic


def _deep_cursor() -> str:
    message = Message.objects.order_by("-created_at")[20 * DEEP]
    return f"{message.created_at.isoformat()}~{message.pk}"
