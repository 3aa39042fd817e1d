"""Reading trees for pages: conversations, whole trees, a person's contributions. Never writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.safestring import SafeString

from oasst.accounts.authentication.second_factor import acts_as_staff
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.markdown.rendering import plain_excerpt, render
from oasst.core.text.diff import Piece, word_diff
from oasst.core.timestamps import parse_moment
from trees.access import WITHDRAWN, Reader, may_read, no_such_message, reads_everything, visible_messages
from trees.lifecycle.reply_ranks import in_order
from trees.lifecycle.states import REPLY_WORK, TABLE, State
from trees.models import Message, MessageTree, Ranking, Reaction, Review, TreeTransition


@dataclass(frozen=True)
class Thumbs:
    """Thumbs on one message. The numbers are for those who have given theirs, so that nobody follows the herd."""

    mine: str  # "+1", "-1" or nothing
    up: int | None
    down: int | None
    may_give: bool


@dataclass
class Turn:
    """One message as pages show it."""

    id: UUID
    role: str
    text: str
    html: SafeString
    lang: str
    is_target: bool = False
    is_mine: bool = False
    synthetic: bool = False
    created_at: datetime | None = None
    state: str | None = None
    rank: int | None = None  # from 1
    thumbs: Thumbs | None = None
    reported: bool = False  # by the person who looks
    is_withheld: bool = False  # from the person who looks: its place is shown, and not its text
    may_suggest: bool = False  # another text for it
    corrects: UUID | None = None  # the sibling that this is another text for, with what differs
    changes: list[Piece] = field(default_factory=list)
    replies: list[Turn] = field(default_factory=list)


def message_state(message: Message) -> str:
    """One word for what became of a message."""
    if message.withdrawn:
        return "withdrawn"
    if message.deleted:
        return "deleted"
    if message.hidden:
        return "hidden"
    if message.review_result is None:
        return "in_review"
    return "accepted" if message.review_result else "rejected"


def conversation_to(message: Message, reader: Reader) -> list[Turn]:
    """The turns from the prompt down to `message`, which is framed; those that the reader may read. One statement.

    Made for tasks: nothing in it tells who wrote what or what others thought of it.
    """
    rows = Message.objects.path(message.pk)
    shown = (row for row in rows if may_read(reader, row))
    return [Turn(m.id, m.role, m.text, render(m.text), m.lang, is_target=m.id == message.pk) for m in shown]


def get_tree_for(person: User, message_id: UUID) -> tuple[MessageTree, Turn]:
    """The whole tree around a message: (tree, its first turn with everything below). Three statements.

    Raises NotFound for what this person may not see.
    """
    missing = no_such_message()
    message = _with_gaps(person, Message.objects.filter(pk=message_id)).select_related("tree").first()
    if message is None:
        raise missing
    messages = _with_gaps(person, Message.objects.filter(tree=message.tree)).defer("search", "text_digest")
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for one in messages:
        children[one.parent_id].append(one)
    if not children[None]:
        raise missing
    mine: dict[UUID, set[str]] = defaultdict(set)
    given = Reaction.objects.of_present_text().filter(message__tree=message.tree, author=person)
    for message_id, emoji in given.values_list("message_id", "emoji"):
        mine[message_id].add(emoji)
    turns: dict[UUID, Turn] = {}
    waiting = list(children[None])
    while waiting:
        one = waiting.pop()
        turns[one.pk] = turn = _tree_turn(one, person, one.pk == message.pk, mine[one.pk])
        if one.parent_id:
            turns[one.parent_id].replies.append(turn)
        waiting.extend(reversed(in_order(children[one.pk])))
    _link_corrections(message.tree, turns, children)
    return message.tree, turns[message.tree_id]


def _with_gaps(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Those that a tree page has: what this person may read, and the places of what was withdrawn."""
    return messages if reads_everything(person) else visible_messages(person, messages) | messages.filter(WITHDRAWN)


def _link_corrections(tree: MessageTree, turns: dict[UUID, Turn], children: dict[UUID | None, list[Message]]) -> None:
    takes_replies = bool(TABLE[State(tree.state)].offers & REPLY_WORK)
    for message in (one for parent_id, replies in children.items() if parent_id for one in replies):
        turn = turns.get(message.pk)
        original = turns.get(message.correction_of_id) if message.correction_of_id else None
        if turn is None:
            continue
        turn.may_suggest = takes_replies and not turn.is_mine and not message.is_withheld
        if original is not None and not (original.is_withheld or turn.is_withheld):
            turn.corrects, turn.changes = original.id, word_diff(original.text, turn.text)


def _tree_turn(message: Message, person: User, is_target: bool, mine: set[str]) -> Turn:
    reads = may_read(person, message)
    text = message.text if reads else instead_of_text(message)
    return Turn(
        message.pk,
        message.role,
        text,
        render(text),
        message.lang if reads else "en",
        is_target=is_target and message.parent_id is not None,
        is_mine=message.author_id == person.pk,
        synthetic=message.synthetic,
        created_at=message.created_at,
        state=message_state(message),
        rank=None if message.rank is None else message.rank + 1,
        thumbs=_thumbs(message, person, mine) if reads else None,
        reported=Reaction.RED_FLAG in mine,
        is_withheld=not reads,
    )


def _thumbs(message: Message, person: User, mine: set[str]) -> Thumbs:
    own = message.author_id == person.pk
    thumb = next((emoji for emoji in (Reaction.THUMB_UP, Reaction.THUMB_DOWN) if emoji in mine), "")
    visible = own or bool(thumb) or acts_as_staff(person)
    up, down = (message.emojis.get(emoji, 0) if visible else None for emoji in (Reaction.THUMB_UP, Reaction.THUMB_DOWN))
    return Thumbs(thumb, up, down, may_give=not own)


@dataclass(frozen=True)
class Step:
    at: datetime
    label: str
    reason: str


def timeline_of(tree: MessageTree) -> list[Step]:
    steps = TreeTransition.objects.filter(tree=tree).order_by("id")
    return [Step(step.at, TABLE[State(step.to_state)].label, step.reason) for step in steps]


KINDS = ("prompt", "reply", "review", "ranking")
PAGE = 20
EXCERPT = 160
"""Letters of a text in a row of a list."""
REMOVED = "(removed)"  # in place of a text that was taken away
HIDDEN = "(hidden until a moderator decides)"
WITHDRAWN_TEXT = "(withdrawn by its author)"


@dataclass(frozen=True)
class Contribution:
    id: UUID
    kind: str
    at: datetime
    excerpt: str
    url: str  # empty where this person would find nothing
    state: str | None = None
    state_label: str = ""
    rank: int | None = None
    may_withdraw: bool = False  # or has withdrawn, and may still undo that


@dataclass(frozen=True)
class Page:
    rows: list[Contribution]
    newer: str | None  # cursors; None where there is nothing further
    older: str | None


def contributions_of(
    person: User, *, kind: str | None = None, older: str | None = None, newer: str | None = None, size: int = PAGE
) -> Page:
    """One page of what a person gave, newest first; one statement a kind, whatever the number of rows.

    Cursors are `<ISO date>~<uuid>` of the last (`older`) or first (`newer`) row of the page before.
    Raises Invalid for a cursor that is none and for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise Invalid(f"There is no kind of contribution called {kind!r}.", code="unknown_kind", field="kind")
    cursor = _parse_cursor(older or newer)
    rows: list[Contribution] = []
    for one in [kind] if kind else KINDS:
        found = _after_cursor(_source(person, one), cursor, ascending=bool(newer))
        rows.extend(_row(one, item, person) for item in found[: size + 1])
    rows.sort(key=lambda row: (row.at, row.id), reverse=not newer)
    more, rows = len(rows) > size, rows[:size]
    if newer:
        rows.reverse()
    first, last = (f"{row.at.isoformat()}~{row.id}" for row in (rows[0], rows[-1])) if rows else (None, None)
    return Page(
        rows,
        newer=first if (more if newer else bool(older)) else None,
        older=last if (True if newer else more) else None,
    )


Source = QuerySet[Message] | QuerySet[Review] | QuerySet[Ranking]


def beginning_of(text: str) -> Left:
    """Enough of the column `text` for an excerpt, also where Markdown takes much away."""
    return Left(text, 5 * EXCERPT)


def _source(person: User, kind: str) -> Source:
    excerpt = beginning_of("text")
    if kind in ("prompt", "reply"):
        # By depth and not by parent: an index finds all prompts of the site, and the planner may start there.
        messages = Message.objects.filter(author=person, **({"depth": 0} if kind == "prompt" else {"depth__gt": 0}))
        messages = messages.defer("search", "text").select_related("tree")
        return messages.annotate(excerpt=excerpt, has_page=_prompt_shown(person, "tree_id"))
    if kind == "review":
        reviews = Review.objects.filter(author=person).select_related("message").defer("message__search")
        excerpt = beginning_of("message__text")
        return reviews.annotate(excerpt=excerpt, has_page=_prompt_shown(person, "message__tree_id"))
    rankings = Ranking.objects.filter(author=person).select_related("parent").defer("parent__search")
    excerpt = beginning_of("parent__text")
    return rankings.annotate(excerpt=excerpt, has_page=_prompt_shown(person, "parent__tree_id"))


def _prompt_shown(person: User, tree_id: str) -> Exists:
    """Without its prompt a conversation has no page."""
    return Exists(_with_gaps(person, Message.objects.filter(pk=OuterRef(tree_id))))


def instead_of_text(message: Message) -> str:
    """What stands where somebody may not read it."""
    if message.withdrawn:
        return WITHDRAWN_TEXT
    return REMOVED if message.deleted else HIDDEN


def _after_cursor(source: Source, cursor: tuple[datetime, UUID] | None, *, ascending: bool) -> Source:
    if cursor is not None:
        at, row_id = cursor
        side = "gt" if ascending else "lt"
        source = source.filter(Q(**{f"created_at__{side}": at}) | Q(created_at=at, **{f"id__{side}": row_id}))
    return source.order_by("created_at", "id") if ascending else source.order_by("-created_at", "-id")


def _parse_cursor(value: str | None) -> tuple[datetime, UUID] | None:
    if value is None:
        return None
    try:
        at, _, row_id = value.partition("~")
        return parse_moment(at), UUID(row_id)
    except ValueError as error:
        raise Invalid("This page address is broken; start again from the first page.", code="bad_cursor") from error


def _row(kind: str, item: Message | Review | Ranking, person: User) -> Contribution:
    message = item if isinstance(item, Message) else item.message if isinstance(item, Review) else item.parent
    reads = may_read(person, message)
    if not reads:
        item.excerpt = instead_of_text(message)  # type: ignore[union-attr]
    has_place = reads or (message.withdrawn and not message.deleted)
    row: dict[str, Any] = {
        "id": item.pk,
        "kind": kind,
        "at": item.created_at,
        "excerpt": plain_excerpt(item.excerpt, EXCERPT),  # type: ignore[union-attr]
        "url": reverse("tree", args=[message.pk]) + f"#message-{message.pk}" if has_place and item.has_page else "",  # type: ignore[union-attr]
    }
    if not isinstance(item, Message):
        return Contribution(**row)
    state = message_state(item)
    label = ""
    if kind == "prompt" and state == "accepted":
        label = TABLE[State(item.tree.state)].label
    rank = None if item.rank is None else item.rank + 1
    return Contribution(**row, state=state, state_label=label, rank=rank, may_withdraw=not item.deleted)


@dataclass(frozen=True)
class Counts:
    prompts: int
    replies: int
    reviews: int
    rankings: int
    accepted: int


def contribution_counts(person: User) -> Counts:
    """What a person gave, in three statements."""
    written = Message.objects.filter(author=person, deleted=False, withdrawn=False).aggregate(
        prompts=Count("pk", filter=Q(parent=None)),
        replies=Count("pk", filter=Q(parent__isnull=False)),
        accepted=Count("pk", filter=Q(review_result=True)),
    )
    return Counts(
        **written,
        reviews=Review.objects.filter(author=person, kind=Review.Kind.REVIEW).count(),
        rankings=Ranking.objects.filter(author=person).count(),
    )


def texts_of(message_ids: Iterable[UUID]) -> dict[UUID, Message]:
    """Messages by id with their texts and without the rest that a ranking page must not show."""
    return Message.objects.only("id", "text", "lang", "synthetic", "deleted", "hidden").in_bulk(list(message_ids))
