"""Read trees for pages: conversations, whole trees, a user's contributions. Never writes."""

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
from oasst.core.timestamps import parse_timestamp
from trees.access import WITHDRAWN, Reader, may_read, message_unavailable, reads_everything, visible_messages
from trees.lifecycle.reply_ranks import sort_siblings
from trees.lifecycle.states import REPLY_WORK, TABLE, State
from trees.models import Message, MessageTree, Ranking, Reaction, Review, TreeTransition


@dataclass(frozen=True)
class Thumbs:
    """Thumbs on one message. Users see the numbers only after giving theirs, so that nobody follows the crowd."""

    mine: str  # "+1", "-1" or empty
    up: int | None
    down: int | None
    may_give: bool


@dataclass
class PageMessage:
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
    reported: bool = False  # by the viewer
    is_withheld: bool = False  # from the viewer, who sees a placeholder
    may_suggest: bool = False  # the viewer may suggest another text
    corrects: UUID | None = None  # the sibling that this text corrects, with the differences
    changes: list[Piece] = field(default_factory=list)
    replies: list[PageMessage] = field(default_factory=list)


def message_state(message: Message) -> str:
    """Return the state of a message in one word."""
    if message.withdrawn:
        return "withdrawn"
    if message.deleted:
        return "deleted"
    if message.hidden:
        return "hidden"
    if message.review_result is None:
        return "in_review"
    return "accepted" if message.review_result else "rejected"


def conversation_to(message: Message, reader: Reader) -> list[PageMessage]:
    """Return the messages from the prompt to `message`, the target, that the reader may read. One statement.

    Made for tasks: nothing in it tells who wrote what or what others thought of it.
    """
    rows = Message.objects.path(message.pk)
    readable = (row for row in rows if may_read(reader, row))
    return [PageMessage(m.id, m.role, m.text, render(m.text), m.lang, is_target=m.id == message.pk) for m in readable]


def get_tree_for(user: User, message_id: UUID) -> tuple[MessageTree, PageMessage]:
    """Return the tree around a message and its prompt with everything below. Three statements. Raise NotFound if this
    user may not see it.
    """
    not_found = message_unavailable()
    message = _on_page(user, Message.objects.filter(pk=message_id)).select_related("tree").first()
    if message is None:
        raise not_found
    messages = _on_page(user, Message.objects.filter(tree=message.tree)).defer("search", "text_digest")
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for m in messages:
        children[m.parent_id].append(m)
    if not children[None]:
        raise not_found
    mine: dict[UUID, set[str]] = defaultdict(set)
    reactions = Reaction.objects.of_present_text().filter(message__tree=message.tree, author=user)
    for message_id, emoji in reactions.values_list("message_id", "emoji"):
        mine[message_id].add(emoji)
    page_messages: dict[UUID, PageMessage] = {}
    waiting = list(children[None])
    while waiting:
        m = waiting.pop()
        page_messages[m.pk] = page_message = _page_message(m, user, m.pk == message.pk, mine[m.pk])
        if m.parent_id:
            page_messages[m.parent_id].replies.append(page_message)
        waiting.extend(reversed(sort_siblings(children[m.pk])))
    _link_corrections(message.tree, page_messages, children)
    return message.tree, page_messages[message.tree_id]


def _on_page(user: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Filter the messages of a tree page: those that this user may read, and placeholders of withdrawn ones."""
    return messages if reads_everything(user) else visible_messages(user, messages) | messages.filter(WITHDRAWN)


def _link_corrections(
    tree: MessageTree, page_messages: dict[UUID, PageMessage], children: dict[UUID | None, list[Message]]
) -> None:
    takes_replies = bool(TABLE[State(tree.state)].offers & REPLY_WORK)
    for message in (m for parent_id, replies in children.items() if parent_id for m in replies):
        page_message = page_messages.get(message.pk)
        original = page_messages.get(message.correction_of_id) if message.correction_of_id else None
        if page_message is None:
            continue
        page_message.may_suggest = takes_replies and not page_message.is_mine and not message.is_withheld
        if original is not None and not (original.is_withheld or page_message.is_withheld):
            page_message.corrects, page_message.changes = original.id, word_diff(original.text, page_message.text)


def _page_message(message: Message, user: User, is_target: bool, mine: set[str]) -> PageMessage:
    reads = may_read(user, message)
    text = message.text if reads else placeholder_for(message)
    return PageMessage(
        message.pk,
        message.role,
        text,
        render(text),
        message.lang if reads else "en",
        is_target=is_target and message.parent_id is not None,
        is_mine=message.author_id == user.pk,
        synthetic=message.synthetic,
        created_at=message.created_at,
        state=message_state(message),
        rank=None if message.rank is None else message.rank + 1,
        thumbs=_thumbs(message, user, mine) if reads else None,
        reported=Reaction.RED_FLAG in mine,
        is_withheld=not reads,
    )


def _thumbs(message: Message, user: User, mine: set[str]) -> Thumbs:
    is_own = message.author_id == user.pk
    thumb = next((emoji for emoji in (Reaction.THUMB_UP, Reaction.THUMB_DOWN) if emoji in mine), "")
    visible = is_own or bool(thumb) or acts_as_staff(user)
    up, down = (message.emojis.get(emoji, 0) if visible else None for emoji in (Reaction.THUMB_UP, Reaction.THUMB_DOWN))
    return Thumbs(thumb, up, down, may_give=not is_own)


@dataclass(frozen=True)
class Step:
    at: datetime
    label: str
    reason: str


def timeline_of(tree: MessageTree) -> list[Step]:
    steps = TreeTransition.objects.filter(tree=tree).order_by("id")
    return [Step(step.at, TABLE[State(step.to_state)].label, step.reason) for step in steps]


KINDS = ("prompt", "reply", "review", "ranking")
PAGE_SIZE = 20
EXCERPT = 160  # characters of a text in a list
REMOVED = "(removed)"
HIDDEN = "(hidden until a moderator decides)"
WITHDRAWN_TEXT = "(withdrawn by its author)"


@dataclass(frozen=True)
class Contribution:
    id: UUID
    kind: str
    at: datetime
    excerpt: str
    url: str  # empty if there is no page for this user
    state: str | None = None
    state_label: str = ""
    rank: int | None = None
    may_withdraw: bool = False  # or may undo the withdrawal


@dataclass(frozen=True)
class ContributionPage:
    rows: list[Contribution]
    newer: str | None  # cursors; None at either end
    older: str | None


def contributions_of(
    user: User, *, kind: str | None = None, older: str | None = None, newer: str | None = None, size: int = PAGE_SIZE
) -> ContributionPage:
    """Return one page of a user's contributions, newest first; one statement per kind.

    Cursors are `<ISO date>~<uuid>` of the last (`older`) or first (`newer`) row of the previous page. Raise Invalid for
    a malformed cursor or an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise Invalid(f"There is no kind of contribution called {kind!r}.", code="unknown_kind", field="kind")
    cursor = _parse_cursor(older or newer)
    rows: list[Contribution] = []
    for name in [kind] if kind else KINDS:
        items = _after_cursor(_source(user, name), cursor, ascending=bool(newer))
        rows.extend(_row(name, item, user) for item in items[: size + 1])
    rows.sort(key=lambda row: (row.at, row.id), reverse=not newer)
    more, rows = len(rows) > size, rows[:size]
    if newer:
        rows.reverse()
    first, last = (f"{row.at.isoformat()}~{row.id}" for row in (rows[0], rows[-1])) if rows else (None, None)
    return ContributionPage(
        rows,
        newer=first if (more if newer else bool(older)) else None,
        older=last if (True if newer else more) else None,
    )


Source = QuerySet[Message] | QuerySet[Review] | QuerySet[Ranking]


def text_start(text: str) -> Left:
    """Return the start of the column `text`: enough for an excerpt after Markdown is removed."""
    return Left(text, 5 * EXCERPT)


def _source(user: User, kind: str) -> Source:
    excerpt = text_start("text")
    if kind in ("prompt", "reply"):
        # By depth, not by parent: otherwise the planner may start from an index of all prompts of the site.
        messages = Message.objects.filter(author=user, **({"depth": 0} if kind == "prompt" else {"depth__gt": 0}))
        messages = messages.defer("search", "text").select_related("tree")
        return messages.annotate(excerpt=excerpt, has_page=_prompt_is_on_page(user, "tree_id"))
    if kind == "review":
        reviews = Review.by_author.filter(author=user).select_related("message").defer("message__search")
        excerpt = text_start("message__text")
        return reviews.annotate(excerpt=excerpt, has_page=_prompt_is_on_page(user, "message__tree_id"))
    rankings = Ranking.objects.filter(author=user).select_related("parent").defer("parent__search")
    excerpt = text_start("parent__text")
    return rankings.annotate(excerpt=excerpt, has_page=_prompt_is_on_page(user, "parent__tree_id"))


def _prompt_is_on_page(user: User, tree_id: str) -> Exists:
    """A conversation without a visible prompt has no page."""
    return Exists(_on_page(user, Message.objects.filter(pk=OuterRef(tree_id))))


def placeholder_for(message: Message) -> str:
    """Return the placeholder for a text that the reader may not read."""
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
        return parse_timestamp(at), UUID(row_id)
    except ValueError as error:
        raise Invalid("This page address is broken; start again from the first page.", code="bad_cursor") from error


def _row(kind: str, item: Message | Review | Ranking, user: User) -> Contribution:
    message = item if isinstance(item, Message) else item.message if isinstance(item, Review) else item.parent
    reads = may_read(user, message)
    if not reads:
        item.excerpt = placeholder_for(message)  # type: ignore[union-attr]
    is_on_page = reads or (message.withdrawn and not message.deleted)
    row: dict[str, Any] = {
        "id": item.pk,
        "kind": kind,
        "at": item.created_at,
        "excerpt": plain_excerpt(item.excerpt, EXCERPT),  # type: ignore[union-attr]
        "url": reverse("tree", args=[message.pk]) + f"#message-{message.pk}" if is_on_page and item.has_page else "",  # type: ignore[union-attr]
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
class ContributionCounts:
    prompts: int
    replies: int
    reviews: int
    rankings: int
    accepted: int


def contribution_counts(user: User) -> ContributionCounts:
    """Count the contributions of a user. Three statements."""
    written = Message.objects.filter(author=user, deleted=False, withdrawn=False).aggregate(
        prompts=Count("pk", filter=Q(parent=None)),
        replies=Count("pk", filter=Q(parent__isnull=False)),
        accepted=Count("pk", filter=Q(review_result=True)),
    )
    return ContributionCounts(
        **written,
        reviews=Review.by_author.filter(author=user, kind__in=Review.BY_TASK).count(),
        rankings=Ranking.objects.filter(author=user).count(),
    )


def ranking_texts(message_ids: Iterable[UUID]) -> dict[UUID, Message]:
    """Return messages by id with their texts, without what a ranking page must not show."""
    return Message.objects.only("id", "text", "lang", "synthetic", "deleted", "hidden").in_bulk(list(message_ids))
