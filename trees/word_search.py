"""Words that somebody searches, as PostgreSQL compares them with `Message.search`.

Each language is searched by its own dictionary, so all forms of a word are one. Where PostgreSQL has none, a word finds
all that begin with it, and texts in scripts without spaces are searched by pairs of characters (migration 0030,
decision 119). All words must be in a text. Nothing that is typed is an operator.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.postgres.search import SearchConfig, SearchHeadline, SearchQuery
from django.db import connection
from django.db.models import F, Func
from django.db.models.functions import Left

LONGEST = 500
"""Characters of a search."""
# One for each dictionary, one for languages without, and one for scripts without spaces.
_ANY_LANGUAGE = (
    *("ar", "hy", "eu", "ca", "da", "nl", "en", "fi", "fr", "de", "el", "hi", "hu", "id", "ga", "it", "lt", "ne"),
    *("nb", "pt", "ro", "ru", "sr", "es", "sv", "ta", "tr", "yi", "und", "zh"),
)
_CONFIGURATION = SearchConfig(Func(F("lang"), function="trees_search_configuration"))
# Characters of a text among which matches are marked.
_HEADLINE_LIMIT = 10_000


def find_query(words: str, lang: str) -> str | None:
    """Return the words as text of a `tsquery`, or None if nothing is left: only words that every text has.

    Without a language, the words of each dictionary are alternatives. One statement.
    """
    words = words.replace("\0", " ").encode("utf-8", "replace").decode()[:LONGEST]
    if not words.strip():
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT trees_search_query(lang, %s)::text FROM unnest(%s::text[]) AS lang",
            [words, [lang] if lang else list(_ANY_LANGUAGE)],
        )
        found = sorted(query for (query,) in cursor.fetchall() if query)
    return " | ".join(f"({query})" for query in found) or None


def find_queries(words: Sequence[str], lang: str) -> list[str | None]:
    """Return for each word alone what `find_query` returns. One statement, none without words."""
    if not words:
        return []
    cleaned = [word.replace("\0", " ").encode("utf-8", "replace").decode()[:LONGEST] for word in words]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT place, trees_search_query(lang, word)::text "
            "FROM unnest(%s::text[]) WITH ORDINALITY AS words(word, place), unnest(%s::text[]) AS lang",
            [cleaned, [lang] if lang else list(_ANY_LANGUAGE)],
        )
        found = sorted((place, query) for place, query in cursor.fetchall() if query)
    alternatives = [[query for at, query in found if at == place] for place in range(1, len(words) + 1)]
    return [" | ".join(f"({query})" for query in queries) or None for queries in alternatives]


class FoundQuery(SearchQuery):
    """The text of `find_query` in a statement: `messages.filter(search=FoundQuery(text))`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        return "%s::tsquery", [self.text]


MARK, END = "\x02", "\x03"
"""Around each match in `headline`. No HTML, so that the text can be escaped afterwards."""


def headline(query: str) -> SearchHeadline:
    """Return an expression: the part of a message's text with the most matches, each between MARK and END."""
    return SearchHeadline(
        Left("text", _HEADLINE_LIMIT),
        FoundQuery(query),
        config=_CONFIGURATION,
        start_sel=MARK,
        stop_sel=END,
        max_words=45,
        min_words=30,
    )


def choose_plan(*, bitmaps: bool, others: bool) -> None:
    """Choose which plans PostgreSQL may use in this transaction. An index of words is only read as a bitmap."""
    settings = {
        "enable_bitmapscan": bitmaps,
        **dict.fromkeys(("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"), others),
    }
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    values = [value for name, is_on in settings.items() for value in (name, "on" if is_on else "off")]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", values)
