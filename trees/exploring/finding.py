"""Find messages for /explore/: filters, words, meaning; pages by cursor, newest first.

PostgreSQL can find words by their index and sort all matches, or walk along the dates until a page is full. It guesses
which is better, and is wrong where words or filters depend on each other. So the newest RECENT messages are read first,
which is enough for frequent words. Else the matches are counted, up to MANY: few are sorted, for many the dates are
followed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Left

from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.text.languages import name_of
from trees import word_search
from trees.access import PUBLIC
from trees.cursors import Cursor, Direction
from trees.enrichment import embeddings, search
from trees.enrichment.vector_queries import limited_search
from trees.exploring import excerpts
from trees.exploring.criteria import Criteria
from trees.exploring.excerpts import Piece
from trees.lifecycle.states import TABLE, TELLS_MODELS, State
from trees.models import Message, Role, Topic
from trees.published import PUBLISHED_TEXT, without_gaps
from trees.queries import message_state

PAGE_SIZE = 20
RECENT = 1_000
"""Messages that are read before the index of words."""
MANY = 3_000
"""Matches that are sorted. Of more, one in every few hundred messages is a match, and the dates soon fill a page."""
SECONDS = 3.0
"""After which a statement of a search by words is given up."""
CONTEXT = 110
"""Characters of the prompt that an answer belongs to."""
TOPICS = 40
_START = 2_000


@dataclass(frozen=True)
class Found:
    """One message of the list."""

    id: UUID
    kind: str
    lang: str
    lang_name: str
    at: datetime
    excerpt: list[Piece]
    state: str  # of the message, see message_state
    tree_state: str  # in words
    is_mine: bool
    synthetic: bool
    rank: int | None  # from 1
    prompt: str = ""  # the start of the conversation, for what is not a prompt
    best_answer: str = ""  # for a prompt: the answer that people ranked first
    replies: int = 0  # for a prompt: all messages below it


@dataclass(frozen=True)
class FoundPage:
    rows: list[Found] = field(default_factory=list)
    newer: str = ""  # cursors; empty at either end
    older: str = ""
    only_frequent_words: bool = False  # nothing is left of the words


def find_page(criteria: Criteria, direction: Direction) -> FoundPage:
    """Return one page. At most six statements besides those with settings. Raise Busy `search_too_long`."""
    query = word_search.find_query(criteria.words, criteria.lang) if criteria.words else None
    if criteria.words and query is None:
        return FoundPage(only_frequent_words=True)
    at, pk = ("tree__created_at", "tree_id") if criteria.walks_trees else ("created_at", "id")
    with limited_search(SECONDS):
        messages = Message.objects.filter(criteria.condition())
        if query:
            recent = direction.apply(messages, at, pk).values("pk")[:RECENT]
            messages = messages.filter(search=word_search.FoundQuery(query))
            positions = _positions(messages.filter(pk__in=recent), direction, at, pk)
            if len(positions) <= PAGE_SIZE:
                messages = _by_index(messages, criteria, query)
                positions = _positions(messages, direction, at, pk)
        else:
            positions = _positions(messages, direction, at, pk)
    page, has_newer, has_older = direction.cut(positions, PAGE_SIZE)
    if not page:
        return FoundPage()
    first, last = (str(Cursor(moment, message_id)) for message_id, moment in (page[0], page[-1]))
    rows = _rows(criteria, [message_id for message_id, _ in page], query)
    return FoundPage(rows, newer=first if has_newer else "", older=last if has_older else "")


def _positions(messages: QuerySet[Message], direction: Direction, at: str, pk: str) -> list[tuple[UUID, datetime]]:
    """Return id and time of the messages of a page, and of one more."""
    return list(direction.apply(messages, at, pk).values_list("id", at)[: PAGE_SIZE + 1])


def find_by_meaning(criteria: Criteria) -> FoundPage:
    """Return the messages that mean about the same as the words, best first, at most one page.

    Raise Busy `search_too_long`.
    """
    messages = Message.objects.filter(criteria.condition(in_list=False))
    lang = criteria.lang or "en"
    query = word_search.find_query(criteria.words, lang)
    ids = search.rank_by_meaning(messages, criteria.words, lang, query)[:PAGE_SIZE]
    return FoundPage(_rows(criteria, ids, query)) if ids else FoundPage()


def can_compare_meaning(lang: str) -> bool:
    """Return True if messages of this language can be found by what they mean, now."""
    return embeddings.is_ready_for(lang or "en")


def topics_of(lang: str) -> list[tuple[int, str]]:
    """Return the largest topics of a language: their ids and names."""
    return list(Topic.objects.filter(lang=lang).order_by("-size").values_list("pk", "name")[:TOPICS])


# --- Words ---


def _by_index(messages: QuerySet[Message], criteria: Criteria, query: str) -> QuerySet[Message]:
    """Return the messages as rows to sort if they are few, and to be looked for along the dates if they are many."""
    matches = Message.objects.filter(PUBLIC, search=word_search.FoundQuery(query))
    if criteria.lang:
        matches = matches.filter(lang=criteria.lang)
    if criteria.own and criteria.reader is not None:
        matches = matches.filter(author=criteria.reader)
    word_search.choose_plan(bitmaps=True, others=False)
    few = list(matches.order_by().values_list("pk", flat=True)[: MANY + 1])
    is_few = len(few) <= MANY
    word_search.choose_plan(bitmaps=is_few, others=True)
    return messages.filter(pk__in=few) if is_few else messages


# --- Rows ---


def _rows(criteria: Criteria, ids: Sequence[UUID], query: str | None) -> list[Found]:
    """Return what the list shows of these messages, in their order. Two statements."""
    messages = Message.objects.filter(pk__in=ids).select_related("tree").defer("search", "text_digest", "text")
    part = word_search.headline(query) if query else Value("", output_field=TextField())
    by_id = {message.pk: message for message in messages.annotate(start=Left("text", _START), part=part)}
    trees = _trees(criteria, {message.tree_id for message in by_id.values()})
    return [
        _row(by_id[pk], criteria, trees[by_id[pk].tree_id])
        for pk in ids
        if pk in by_id and pk in trees[by_id[pk].tree_id].ids
    ]


@dataclass
class _Tree:
    """What the list shows of a conversation that the reader may read."""

    ids: set[UUID] = field(default_factory=set)
    prompt: str = ""
    best_answer: str = ""


def _trees(criteria: Criteria, tree_ids: set[UUID]) -> defaultdict[UUID, _Tree]:
    # Only the texts that are shown: those of the prompt and of the best reply to it.
    shown = Case(
        When(Q(depth=0) | Q(depth=1, rank=0), then=Left("text", 4 * CONTEXT)), default=None, output_field=TextField()
    )
    messages = Message.objects.filter(PUBLIC if criteria.reader else PUBLISHED_TEXT, tree__in=tree_ids)
    messages = messages.only("tree", "parent", "depth", "rank").annotate(shown=shown)
    trees: defaultdict[UUID, _Tree] = defaultdict(_Tree)
    for message in messages if criteria.reader else without_gaps(messages):
        tree, text = trees[message.tree_id], message.shown
        tree.ids.add(message.pk)
        if message.depth == 0:
            tree.prompt = text
        elif text is not None:
            tree.best_answer = text
    return trees


def _row(message: Message, criteria: Criteria, tree: _Tree) -> Found:
    is_prompt = message.depth == 0
    kind = "prompt" if is_prompt else "answer" if message.role == Role.ASSISTANT else "follow_up"
    return Found(
        message.pk,
        kind,
        message.lang,
        name_of(message.lang),
        message.created_at,
        _excerpt(message, criteria.words),
        message_state(message),
        TABLE[State(message.tree.state)].label,
        is_mine=criteria.reader is not None and message.author_id == criteria.reader.pk,
        synthetic=message.synthetic and message.tree.state in TELLS_MODELS,
        rank=None if message.rank is None else message.rank + 1,
        prompt="" if is_prompt else plain_excerpt(tree.prompt, CONTEXT),
        best_answer=plain_excerpt(tree.best_answer, CONTEXT) if is_prompt else "",
        replies=len(tree.ids) - 1 if is_prompt else 0,
    )


def _excerpt(message: Any, words: str) -> list[Piece]:
    if not words:
        return excerpts.plain(message.start)
    if excerpts.has_characters(words):
        return excerpts.marked(excerpts.mark_characters(message.start, words))
    return excerpts.marked(message.part)
