"""Find messages for moderators, in any state, also deleted ones: by words, exact pieces and patterns.

PostgreSQL can read an index of words or trigrams and sort all matches, or walk along the dates until a page is full. It
guesses which is better and is wrong where conditions depend on each other. As on /explore/ (trees.exploring.finding),
the newest RECENT messages are read first, which is enough for what is frequent. Else the matches are counted, up to
MANY: few are sorted, for many the dates are followed.
"""

from typing import Any
from uuid import UUID

from django.db import DataError
from django.db.models import Count, Lookup, Q, QuerySet, Value
from django.db.models.expressions import F
from django.utils.translation import gettext as _
from psycopg.errors import InvalidRegularExpression

from oasst.core.errors import Invalid
from trees import word_search
from trees.enrichment.vector_queries import limited_search
from trees.models import Message, MessageTree, Reaction
from trees.moderation.asked_words import Asked, parse, pattern_has_trigram, piece_has_trigram
from trees.moderation.queries import ContainsText

MAX_FOUND = 1_000
"""Matches that can be paged through. Whoever has more adds a word or a filter."""
MOST_AT_ONCE = 10_000
"""Matches that one act on many may be about."""
RECENT = 1_000
MANY = 3_000
SECONDS = 3.0
"""After which a statement is given up."""


def find_messages(
    messages: QuerySet[Message], text: str, lang: str, limit: int, *, most_flagged: bool = False
) -> list[UUID]:
    """Return the ids of the first `limit` of these messages, in their order, that fit the text.

    `messages` are filtered, and sorted by date. With `most_flagged`, those with the most red flags come first, and
    those without are left out. Raise Invalid for a pattern that is none, Busy `search_too_long`.
    """
    if message_id := as_id(text):
        return list(messages.filter(Q(pk=message_id) | Q(tree=message_id)).values_list("pk", flat=True)[:limit])
    condition, by_index = conditions(parse(text), lang)
    try:
        with limited_search(SECONDS):
            if most_flagged:
                return _most_flagged(messages.filter(condition), limit)
            recent = messages.values("pk")[:RECENT]
            found = list(messages.filter(condition, pk__in=recent).values_list("pk", flat=True)[:limit])
            return found if len(found) >= limit else _by_index(messages, condition, by_index, lang, limit)
    except DataError as error:
        if not isinstance(error.__cause__, InvalidRegularExpression):
            raise
        reason = str(error).splitlines()[0].removeprefix("invalid regular expression: ")
        raise Invalid(_("This pattern cannot be read: %(reason)s") % {"reason": reason}, code="bad_pattern") from error


def _by_index(messages: QuerySet[Message], condition: Q, by_index: Q, lang: str, limit: int) -> list[UUID]:
    is_few = False
    if by_index:
        word_search.choose_plan(bitmaps=True, others=False)
        matches = Message.objects.filter(by_index, **({"lang": lang} if lang else {}))
        few = list(matches.order_by().values_list("pk", flat=True)[: MANY + 1])
        if is_few := len(few) <= MANY:
            messages = messages.filter(pk__in=few)
        word_search.choose_plan(bitmaps=is_few, others=True)
    return list(messages.filter(condition).values_list("pk", flat=True)[:limit])


def _most_flagged(messages: QuerySet[Message], limit: int) -> list[UUID]:
    """Return the messages with the most red flags that count, then the newest."""
    flags = Q(reactions__emoji=Reaction.RED_FLAG, reactions__withdrawn_at=None, reactions__set_aside=None)
    flagged = messages.filter(flags).order_by().values("pk").annotate(flags=Count("reactions"))
    return list(flagged.order_by("-flags", "-pk").values_list("pk", flat=True)[:limit])


def find_most_flagged(messages: QuerySet[Message], limit: int) -> list[UUID]:
    """Return the ids of these messages by the number of red flags that count. Raise Busy `search_too_long`."""
    with limited_search(SECONDS):
        return _most_flagged(messages, limit)


def find_trees(trees: QuerySet[MessageTree], text: str) -> QuerySet[MessageTree]:
    """Search by the id of the tree or of one of its messages, else by its prompt. Raise as `find_messages` does."""
    if message_id := as_id(text):
        return trees.filter(pk__in=Message.objects.filter(pk=message_id).values("tree"))
    prompts = Message.objects.filter(depth=0).order_by("-created_at", "-id")
    return trees.filter(pk__in=find_messages(prompts, text, "", MAX_FOUND))


def conditions(asked: Asked, lang: str) -> tuple[Q, Q]:
    """Return what a message must meet, and the part of it that indexes find; empty if they find nothing.

    At most two statements.
    """
    condition, by_index = Q(), Q()
    query = word_search.find_query(" ".join(asked.words), lang) if asked.words else None
    if query:
        by_index &= Q(search=word_search.FoundQuery(query))
    # Of words that every text has, PostgreSQL keeps no lexemes: they are found as pieces.
    for piece in (*asked.pieces, *(() if query else asked.words)):
        if piece_has_trigram(piece):
            by_index &= Q(ContainsText(F("text"), Value(piece)))
        else:
            condition &= Q(ContainsText(F("text"), Value(piece)))
    for pattern in asked.patterns:
        if pattern_has_trigram(pattern):
            by_index &= Q(MatchesPattern(F("text"), Value(pattern)))
        else:
            condition &= Q(MatchesPattern(F("text"), Value(pattern)))
    unwanted = word_search.find_queries(asked.without_words, lang)
    for word, query in zip(asked.without_words, unwanted, strict=True):
        condition &= ~(Q(search=word_search.FoundQuery(query)) if query else Q(ContainsText(F("text"), Value(word))))
    for piece in asked.without_pieces:
        condition &= ~Q(ContainsText(F("text"), Value(piece)))
    return condition & by_index, by_index


def as_id(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


class MatchesPattern(Lookup):
    """A case-insensitive search for a regular expression that uses the trigram index."""

    lookup_name = "matches"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        text, text_params = self.process_lhs(compiler, connection)
        return f"{text} ~* %s", (*text_params, self.rhs.value)
