"""Personal data that machines found in stored texts: moderators and authors mask it or let it stay. Decision 121.

Contributors on pages are asked before they send a text; those of API clients cannot be, so their texts are asked about
here. Outer writers: each function that writes is one transaction. `revision_id` says, as a form does, which text was
seen: if it is not the present one, or nothing is to be decided about it, Conflict `text_changed` is raised.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from inference.scoring import personal_data
from inference.scoring.personal_data import MASKS, Finding
from oasst.accounts.access import require_moderator
from oasst.accounts.locks import require_member_now
from oasst.accounts.models import User
from oasst.accounts.rights import require_language
from oasst.core import ratelimit
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict
from oasst.core.text import language_detection
from oasst.core.text.diff import Piece
from trees.access import PUBLIC, message_unavailable
from trees.acts import KEEP_PERSONAL_DATA
from trees.contributing import corrections
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, MessageReading, ReadingKind
from trees.moderation import acts, offered_actions, proposals
from trees.moderation.changes import recorded

MAX_LISTED = 20
MASKED_BY_MODERATOR = "Personal data masked."
MASKED_BY_AUTHOR = "Its author masked personal data."


@dataclass(frozen=True)
class Suggestion:
    """What is suggested for a text: masks instead of what was found."""

    message: Message
    pieces: tuple[Piece, ...]
    """The text with each finding as gone and its mask as new."""
    refusal: str = ""
    """Why it cannot be masked now: a sentence."""

    @property
    def may_mask(self) -> bool:
        return not self.refusal and len(self.pieces) > 1


# --- Reading ---


def readings() -> QuerySet[MessageReading]:
    """Return the readings of present texts that need somebody's decision."""
    flagged = MessageReading.objects.filter(kind=ReadingKind.PERSONAL_DATA, flagged=True)
    about = {"revision__message__deleted": False, "revision__message__withdrawn": False}
    return flagged.filter(revision=F("revision__message__revision"), **about)


def texts_to_ask_about(author: User) -> QuerySet[Message]:
    """Return texts that the author sent through an API client and has not been asked about, at most MAX_LISTED."""
    mine = Message.objects.filter(PUBLIC, author=author, api_client__isnull=False, withdrawn=False)
    flagged: dict[str, Any] = {"kind": ReadingKind.PERSONAL_DATA, "flagged": True, "author_keeps": False}
    asked = mine.filter(**{f"revision__readings__{name}": value for name, value in flagged.items()})
    return asked.defer("search", "imported").order_by("-created_at")[:MAX_LISTED]


def suggest(message: Message, known: Iterable[MessageReading]) -> Suggestion | None:
    """Return what is suggested for the present text, whose readings are `known`; None if nothing is to be decided."""
    reading = next((one for one in known if one.kind == ReadingKind.PERSONAL_DATA and one.flagged), None)
    if reading is None or message.deleted or message.withdrawn:
        return None
    refusal = ""
    if offered_actions.has_open_proposal(message):
        refusal = "Many people complained about this message. That has to be decided first."
    return Suggestion(message, tuple(_pieces(message.text, _findings(reading))), refusal)


def _pieces(text: str, findings: Sequence[Finding]) -> Iterator[Piece]:
    last = 0
    for one in findings:
        yield from (Piece("same", text[last : one.start]), Piece("gone", text[one.start : one.end]))
        yield Piece("new", one.mask)
        last = one.end
    yield Piece("same", text[last:])


def get_suggestion_for(author: User, message_id: UUID) -> Suggestion:
    """Return the suggestion for one's own text. Raise NotFound, also for texts of others and where nothing is asked.

    What is hidden until a moderator decides is shown to nobody else, not even to its author.
    """
    message = Message.objects.filter(PUBLIC, pk=message_id, author=author).defer("search", "imported").first()
    if message is not None:
        suggestion = suggest(message, MessageReading.objects.filter(revision=message.revision_id))
        if suggestion is not None:
            return suggestion
    raise message_unavailable()


def _findings(reading: MessageReading) -> Sequence[Finding]:
    """Return what is masked: not names, which are often those of public persons, nor kinds of a newer release."""
    spans = reading.result["spans"] if reading.result else []
    return [Finding(start, end, kind) for start, end, kind in spans if kind in MASKS and kind != "name"]


# --- Moderators ---


def mask(*, message_id: UUID, revision_id: str, actor: User, policy: TreePolicy) -> None:
    """Replace what was found by its masks, as an edit. Raise NotAllowed, NotFound, Conflict (`text_changed`,
    `under_complaint`, `purged`, `erased`, `withdrawn`).
    """
    require_moderator(actor)
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        reason = MASKED_BY_MODERATOR
        with recorded(locked, acts.MASK, message, person_id=message.author_id, actor=actor, reason=reason):
            _mask(locked, message, revision_id, actor=actor, reason=reason)


def keep(*, message_id: UUID, revision_id: str, actor: User) -> None:
    """Let the text stay as it is: nobody is asked about it again until machines find something else. Raise NotAllowed,
    Conflict `text_changed`.
    """
    require_moderator(actor)
    with transaction.atomic():
        reading = _reading(message_id, revision_id)
        message = reading.revision.message
        require_language(actor, message.lang)
        watched = {"reading": Watched(MessageReading.objects.filter(pk=reading.pk), ("flagged", "settled_at"))}
        with recorded_rows(KEEP_PERSONAL_DATA, message, watched, actor=actor, person_id=message.author_id):
            _settle(message_id, revision_id, flagged=False, settled_at=timezone.now())


# --- Authors ---


def mask_own(*, message_id: UUID, revision_id: str, author: User, policy: TreePolicy) -> None:
    """Do what `mask` does for one's own text. Raise NotFound, NotAllowed (as `access.require_member`), Conflict as
    `mask`, Busy `rate_limited`.
    """
    ratelimit.count_use(ratelimit.MASKS, author.pk)
    with transaction.atomic(durable=True):
        require_member_now(author)
        get_suggestion_for(author, message_id)
        locked, message = lock_message(message_id, policy)
        if message.author_id != author.pk:  # accounts were merged meanwhile
            raise message_unavailable()
        _mask(locked, message, revision_id, actor=author, reason=MASKED_BY_AUTHOR)


def keep_own(*, message_id: UUID, revision_id: str, author: User) -> None:
    """Let one's own text stay as it is. Moderators still see it, since the data may be that of others. Raise NotFound,
    NotAllowed, Conflict `text_changed`, Busy `rate_limited`.
    """
    ratelimit.count_use(ratelimit.MASKS, author.pk)
    with transaction.atomic(durable=True):
        require_member_now(author)
        get_suggestion_for(author, message_id)
        _settle(message_id, revision_id, author_keeps=True)


# --- Both ---


def _mask(locked: LockedTree, message: Message, revision_id: str, *, actor: User, reason: str) -> None:
    reading = _reading(message.pk, revision_id)
    if offered_actions.has_open_proposal(message):  # a new text would answer what people complained about
        raise Conflict("People complained about this message. Decide about that first.", code="under_complaint")
    proposals.refuse_deleted(message)
    text = personal_data.mask(message.text, _findings(reading))
    detection = language_detection.detect(text)
    corrections.replace_text(locked, message, text=text, actor=actor, reason=reason, detection=detection)
    transitions.advance(locked, actor=actor)


def _settle(message_id: UUID, revision_id: str, **values: object) -> None:
    MessageReading.objects.filter(pk=_reading(message_id, revision_id).pk).update(**values)


def _reading(message_id: UUID, revision_id: str) -> MessageReading:
    rows = readings().filter(revision__message=message_id)
    reading = next((one for one in rows if str(one.revision_id) == revision_id), None)
    if reading is None:
        raise Conflict(
            "The text was changed, or somebody has decided about it.", code="text_changed", hint="Look at it once more."
        )
    return reading
