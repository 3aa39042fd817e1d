"""Read trees for pages: conversations, whole trees, a user's contributions. Never writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Left
from django.urls import reverse
from django.utils.safestring import SafeString

from oasst.accounts.authentication.second_factor import acts_as_moderator
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.markdown.rendering import plain_excerpt, render
from oasst.core.text.diff import Piece, word_diff
from trees import word_search
from trees.access import (
    PUBLIC,
    WITHDRAWN,
    Reader,
    about,
    may_read,
    message_unavailable,
    reads_everything,
    visible_messages,
)
from trees.cursors import Cursor, Direction
from trees.lifecycle.reply_ranks import sort_siblings
from trees.lifecycle.states import REPLY_WORK, TABLE, TELLS_MODELS, State
from trees.models import Message, MessageTree, Ranking, Reaction, Review, TreeTransition
from trees.published import PUBLISHED, without_gaps
from trees.refusals import labels_that_refused, reasons_for
from trees.word_search import FoundQuery


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
    may_label: bool = False  # the viewer may label it without being asked
    author_id: UUID | None = None  # for moderators only
    is_unfolded: bool = False  # its replies are shown at first
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
        return "hidden" if message.kept_hidden else "waiting"
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


def get_tree_for(reader: User | None, message_id: UUID) -> tuple[MessageTree, PageMessage]:
    """Return the tree around a message and its prompt with everything below. Three statements.

    Without a reader, what is published. Raise NotFound if the message is not for this reader.
    """
    not_found = message_unavailable()
    message = _on_page(reader, Message.objects.filter(pk=message_id)).select_related("tree").first()
    if message is None:
        raise not_found
    messages: Iterable[Message] = _on_page(reader, Message.objects.filter(tree=message.tree)).defer(
        "search", "text_digest"
    )
    if reader is None:
        messages = without_gaps(messages)
        if message.pk not in {m.pk for m in messages}:
            raise not_found
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for m in messages:
        children[m.parent_id].append(m)
    if not children[None]:
        raise not_found
    mine = _own_emojis(reader, message.tree) if reader else {}
    page_messages: dict[UUID, PageMessage] = {}
    waiting = list(children[None])
    while waiting:
        m = waiting.pop()
        page_message = _page_message(m, reader, m.pk == message.pk, mine.get(m.pk, set()))
        page_message.synthetic = m.synthetic and message.tree.state in TELLS_MODELS
        page_messages[m.pk] = page_message
        if m.parent_id:
            page_messages[m.parent_id].replies.append(page_message)
        waiting.extend(reversed(sort_siblings(children[m.pk])))
    if reader:
        _link_corrections(message.tree, page_messages, children)
    root = page_messages[message.tree_id]
    _unfold(root, message.pk)
    return message.tree, root


def _own_emojis(user: User, tree: MessageTree) -> dict[UUID, set[str]]:
    mine: dict[UUID, set[str]] = defaultdict(set)
    reactions = Reaction.objects.of_present_text().filter(message__tree=tree, author=user)
    for message_id, emoji in reactions.values_list("message_id", "emoji"):
        mine[message_id].add(emoji)
    return mine


def _unfold(root: PageMessage, target_id: UUID) -> None:
    """Unfold the replies to the prompt, the branch of the best ones, and the way to the target."""
    best: PageMessage | None = root
    while best is not None:
        best.is_unfolded = True
        best = best.replies[0] if best.replies else None
    _unfold_to(root, target_id)


def _unfold_to(message: PageMessage, target_id: UUID) -> bool:
    """Return True if the target is this message or below it, with everything above it unfolded."""
    found = message.id == target_id
    for reply in message.replies:
        found = _unfold_to(reply, target_id) or found
    message.is_unfolded = message.is_unfolded or found
    return found


def get_path_for(reader: User | None, message_id: UUID) -> list[Message]:
    """Return the conversation that ends with this message, the prompt first. Without a reader, if it is published.

    Two statements. Raise NotFound if the message is not for this reader; what else they may not read is left out.
    """
    ids = [row.id for row in Message.objects.path(message_id)]
    messages = visible_messages(reader, Message.objects.filter(pk__in=ids))
    if reader is None:
        messages = messages.filter(PUBLISHED)
    path = list(messages.only("id", "parent", "role", "text", "lang", "depth").order_by("depth"))
    if not path or path[-1].pk != message_id or (reader is None and len(path) < len(ids)):
        raise message_unavailable()
    return path


def _on_page(user: User | None, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Filter the messages of a tree page: those that this user may read, and placeholders of withdrawn ones."""
    if user is None:
        return messages.filter(PUBLISHED)
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


def _page_message(message: Message, user: User | None, is_target: bool, mine: set[str]) -> PageMessage:
    reads = may_read(user, message)
    is_mine = user is not None and message.author_id == user.pk
    text = message.text if reads else placeholder_for(message)
    return PageMessage(
        message.pk,
        message.role,
        text,
        render(text),
        message.lang if reads else "en",
        is_target=is_target and message.parent_id is not None,
        is_mine=is_mine,
        created_at=message.created_at,
        state=message_state(message) if user else None,
        rank=None if message.rank is None else message.rank + 1,
        thumbs=_thumbs(message, user, mine) if reads and user else None,
        reported=Reaction.RED_FLAG in mine,
        is_withheld=not reads,
        may_label=bool(user and reads and not is_mine),
        author_id=message.author_id if user and acts_as_moderator(user) else None,
    )


def _thumbs(message: Message, user: User, mine: set[str]) -> Thumbs:
    is_own = message.author_id == user.pk
    thumb = next((emoji for emoji in (Reaction.THUMB_UP, Reaction.THUMB_DOWN) if emoji in mine), "")
    visible = is_own or bool(thumb) or acts_as_moderator(user)
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
OUTCOMES = {
    "in_review": Q(deleted=False, withdrawn=False, hidden=False, review_result=None),
    "accepted": Q(deleted=False, withdrawn=False, hidden=False, review_result=True),
    "rejected": Q(deleted=False, withdrawn=False, hidden=False, review_result=False),
    "gone": Q(deleted=True) | Q(withdrawn=True) | Q(hidden=True),
}
"""What can have become of an own message, as `message_state` says it; `gone` is removed, withdrawn or hidden."""
PAGE_SIZE = 20
EXCERPT = 160  # characters of a text in a list
REMOVED = "(removed)"
HIDDEN = "(hidden until a moderator decides)"
KEPT_HIDDEN = "(hidden by a moderator)"
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
    may_change: bool = False  # a review, while nothing is decided about the message
    tree_id: UUID | None = None  # of an own message
    lang: str = ""  # of the excerpt; empty if it is a placeholder
    reasons: str = ""  # why it was not accepted
    answers: int = 0  # accepted replies of others
    is_waiting: bool = False  # a prompt that waits to be drawn
    waiting: int = 0  # how many prompts wait with it, if the caller knows
    snapshot: str = ""  # the name of a published data set with its conversation, if the caller knows
    decision: int | None = None  # the newest decision of a moderator about an own message, if the caller knows


@dataclass(frozen=True)
class ContributionPage:
    rows: list[Contribution]
    newer: str | None  # cursors; None at either end
    older: str | None


@dataclass(frozen=True)
class ContributionFilter:
    """Which of a user's contributions. Empty fields filter nothing; an outcome has only what the user wrote."""

    kind: str = ""
    words: str = ""  # in the text, or in the text that was reviewed; for rankings in the message that was answered
    lang: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None  # before this moment

    @property
    def sources(self) -> tuple[str, ...]:
        """The tables to read: one kind, or `text` for prompts and replies together."""
        if self.kind:
            return (self.kind,)
        return ("text",) if self.outcome else ("text", "review", "ranking")


def contributions_of(
    user: User,
    *,
    only: ContributionFilter | None = None,
    older: str | None = None,
    newer: str | None = None,
    size: int = PAGE_SIZE,
) -> ContributionPage:
    """Return one page of a user's contributions, newest first; three statements, and one for words.

    `older` and `newer` are cursors of the page before. Raise Invalid for a malformed one, `unknown_kind`,
    `unknown_outcome`.
    """
    only = only or ContributionFilter()
    if only.kind and only.kind not in KINDS:
        raise Invalid(f"There is no kind of contribution called {only.kind!r}.", code="unknown_kind", field="kind")
    if only.outcome and only.outcome not in OUTCOMES:
        raise Invalid(f"There is no state called {only.outcome!r}.", code="unknown_outcome", field="state")
    direction = Direction.parse(older=older, newer=newer)
    query = word_search.find_query(only.words, only.lang) if only.words else ""
    if query is None:
        return ContributionPage([], None, None)
    rows: list[Contribution] = []
    for source in only.sources:
        items: Any = direction.apply(_narrow(_source(user, source), source, only, query, user))
        rows.extend(_row(item, user) for item in items[: size + 1])
    rows.sort(key=lambda row: (row.at, row.id), reverse=not direction.towards_newer)
    page, has_newer, has_older = direction.cut(rows, size)
    first, last = (str(Cursor(row.at, row.id)) for row in (page[0], page[-1])) if page else (None, None)
    return ContributionPage(page, newer=first if has_newer else None, older=last if has_older else None)


def _narrow(source: Source, kind: str, only: ContributionFilter, query: str, user: User) -> Source:
    message = {"review": "message", "ranking": "parent"}.get(kind, "")
    condition = Q()
    if query:
        # A hit reveals the text, so texts that the user may not read are left out.
        condition &= Q(search=FoundQuery(query)) & (Q() if reads_everything(user) else PUBLIC)
    if only.lang:
        condition &= Q(lang=only.lang)
    if message:
        condition = about(message, condition)
    elif only.outcome:
        condition &= OUTCOMES[only.outcome]
    if only.since:
        condition &= Q(created_at__gte=only.since)
    if only.until:
        condition &= Q(created_at__lt=only.until)
    return source.filter(condition)


Source = QuerySet[Message] | QuerySet[Review] | QuerySet[Ranking]


def text_start(text: str) -> Left:
    """Return the start of the column `text`: enough for an excerpt after Markdown is removed."""
    return Left(text, 5 * EXCERPT)


def _source(user: User, kind: str) -> Source:
    excerpt = text_start("text")
    if kind in _DEPTHS:
        messages = Message.objects.filter(_DEPTHS[kind], author=user)
        messages = messages.defer("search", "text").select_related("tree")
        return messages.annotate(
            excerpt=excerpt,
            has_page=_prompt_is_on_page(user, "tree_id"),
            refusals=Case(When(review_result=False, then=ArraySubquery(_LABELS_GIVEN))),
            answers=Case(When(review_result=True, then=_accepted_answers(user)), default=0),
        )
    if kind == "review":
        reviews = Review.by_author.filter(author=user).select_related("message").defer("message__search")
        excerpt = text_start("message__text")
        return reviews.annotate(excerpt=excerpt, has_page=_prompt_is_on_page(user, "message__tree_id"))
    rankings = Ranking.objects.filter(author=user).select_related("parent").defer("parent__search")
    excerpt = text_start("parent__text")
    return rankings.annotate(excerpt=excerpt, has_page=_prompt_is_on_page(user, "parent__tree_id"))


# By depth, not by parent: otherwise the planner may start from an index of all prompts of the site.
_DEPTHS = {"prompt": Q(depth=0), "reply": Q(depth__gt=0), "text": Q()}
_LABELS_GIVEN = Review.objects.filter(
    message=OuterRef("pk"), revision=OuterRef("revision"), kind=Review.Kind.REVIEW
).values("labels")


def _accepted_answers(user: User) -> Subquery:
    """Count the replies of others below a message of this user that readers may see."""
    answers = Message.objects.filter(PUBLIC, parent=OuterRef("pk"), review_result=True).exclude(author=user)
    return Subquery(answers.order_by().values("parent").annotate(number=Count("pk")).values("number"))


def _prompt_is_on_page(user: User, tree_id: str) -> Exists:
    """A conversation without a visible prompt has no page."""
    return Exists(_on_page(user, Message.objects.filter(pk=OuterRef(tree_id))))


def placeholder_for(message: Message) -> str:
    """Return the placeholder for a text that the reader may not read."""
    if message.withdrawn:
        return WITHDRAWN_TEXT
    if message.deleted:
        return REMOVED
    return KEPT_HIDDEN if message.kept_hidden else HIDDEN


def _row(item: Message | Review | Ranking, user: User) -> Contribution:
    kind = _kind_of(item)
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
        "lang": message.lang if reads else "",
        "url": reverse("tree", args=[message.pk]) + f"#message-{message.pk}" if is_on_page and item.has_page else "",  # type: ignore[union-attr]
    }
    if isinstance(item, Review):
        is_open = message.review_result is None and item.revision_id == message.revision_id and reads
        return Contribution(**row, may_change=is_open and item.kind in Review.BY_TASK)
    if not isinstance(item, Message):
        return Contribution(**row)
    state = message_state(item)
    label = ""
    if kind == "prompt" and state == "accepted":
        label = TABLE[State(item.tree.state)].label
    extras: Any = item  # what `_source` annotated
    return Contribution(
        **row,
        state=state,
        state_label=label,
        rank=None if item.rank is None else item.rank + 1,
        may_withdraw=not item.deleted,
        tree_id=item.tree_id,
        reasons=reasons_for(labels_that_refused(extras.refusals or ())) if state == "rejected" else "",
        answers=extras.answers or 0,
        is_waiting=kind == "prompt" and item.tree.state == State.PROMPT_LOTTERY_WAITING and state == "accepted",
    )


def _kind_of(item: Message | Review | Ranking) -> str:
    if isinstance(item, Message):
        return "reply" if item.depth else "prompt"
    return "review" if isinstance(item, Review) else "ranking"


@dataclass(frozen=True)
class ContributionCounts:
    prompts: int
    replies: int
    reviews: int
    rankings: int
    accepted: int


def contribution_counts(user: User) -> ContributionCounts:
    """Count the contributions of a user. Two statements."""
    written = Message.objects.filter(author=user, deleted=False, withdrawn=False).aggregate(
        prompts=Count("pk", filter=Q(parent=None)),
        replies=Count("pk", filter=Q(parent__isnull=False)),
        accepted=Count("pk", filter=Q(review_result=True)),
    )
    judged = User.objects.filter(pk=user.pk).values(
        given_reviews=_number_of(Review.by_author.filter(author=user, kind__in=Review.BY_TASK)),
        given_rankings=_number_of(Ranking.objects.filter(author=user)),
    )
    numbers = judged.get()
    return ContributionCounts(**written, reviews=numbers["given_reviews"], rankings=numbers["given_rankings"])


def _number_of(rows: QuerySet[Any]) -> Coalesce:
    numbers = rows.order_by().values("author").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(numbers), 0)


def ranking_texts(message_ids: Iterable[UUID]) -> dict[UUID, Message]:
    """Return messages by id with their texts, without what a ranking page must not show."""
    rows = Message.objects.only("id", "text", "lang", "synthetic", "deleted", "hidden", "kept_hidden")
    return rows.in_bulk(list(message_ids))
