"""Reactions to messages and reports about them.

Outer writers: each function is one transaction. A reaction locks its message and nothing else; the automatic
thresholds are looked at after the commit, in a job of their own.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.after_commit import enqueue
from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_remark
from trees import jobs
from trees.access import no_such_message, visible_messages
from trees.models import Happening, Message, Reaction, Report
from trees.moderation import complaint_weights
from trees.outbox import publishing

UP, DOWN, RED_FLAG = Reaction.THUMB_UP, Reaction.THUMB_DOWN, Reaction.RED_FLAG
THUMBS = {UP: DOWN, DOWN: UP}
EMOJIS = (UP, DOWN, RED_FLAG, "100", "rofl", "clap", "diamond", "heart_eyes", "disappointed", "poop", "skull")
LONGEST_REPORT = 2000
ROOM_FOR_WORDS = 20  # characters: of less nobody reads anything


def set_reaction(*, message_id: UUID, person: User, emoji: str, on: bool | None = None) -> Message:
    """Put a reaction or take it back; `on=None` turns it around. Saying the same twice changes nothing.

    Thumbs up and down exclude each other, and a thumb on one's own message is quietly left out.
    Raises NotAllowed, NotFound, Invalid (`unknown_emoji`), Busy `rate_limited`.
    """
    if emoji not in EMOJIS:
        raise Invalid(f"There is no reaction called {emoji[:40]!r}.", code="unknown_emoji", field="emoji")
    ratelimit.spend(ratelimit.REACTIONS, person.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(person)
        message = _lock_message(message_id, person)
        given, mine = _given(message, person)
        wanted = emoji not in mine if on is None else on
        says_nothing_new = emoji in mine if wanted else emoji not in given
        if says_nothing_new or (wanted and emoji in THUMBS and message.author_id == person.pk):
            return message
        if wanted:
            _change(message, person, THUMBS.get(emoji), -1, given)
            _change(message, person, emoji, 1, given)
        else:
            _change(message, person, emoji, -1, given)
        message.save(update_fields=["emojis"])
        _note(message, person, Happening.Kind.MESSAGE_REACTED, {"emoji": emoji, "on": wanted})
        if emoji == RED_FLAG and wanted:
            enqueue(jobs.moderate_message, str(message.pk))
        return message


def _given(message: Message, person: User) -> tuple[set[str], set[str]]:
    """What is shown of this person, and what of it is about the present text. One statement."""
    rows = Reaction.objects.filter(message=message, author=person)
    found = rows.values_list("emoji", Case(When(Reaction.OF_EARLIER_TEXT, then=False), default=True))
    return {emoji for emoji, _ in found}, {emoji for emoji, present in found if present}


def _change(message: Message, person: User, emoji: str | None, by: int, given: set[str]) -> None:
    """Add or remove one row and its count; a count of 0 is not kept. A flag of an earlier text is counted already."""
    if emoji is None or (by < 0 and emoji not in given):
        return
    (_put if by > 0 else _take_back)(message, person, emoji)
    if by > 0 and emoji in given:
        return
    counts = Counter(message.emojis)
    counts[emoji] += by
    message.emojis = {name: number for name, number in counts.items() if number or name != emoji}


def _put(message: Message, person: User, emoji: str) -> None:
    """What a moderator overruled stays void; what was said of an earlier text is said of this one."""
    kept = Reaction.everything.filter(Reaction.OF_EARLIER_TEXT | Q(withdrawn_at__isnull=False))
    row = kept.filter(message=message, author=person, emoji=emoji).first()
    if row is None:
        Reaction.objects.create(message=message, author=person, emoji=emoji)
        return
    row.withdrawn_at = None
    if not row.overruled:
        row.first_at, row.voided_at, row.created_at = row.known_since, None, timezone.now()
    row.save(update_fields=["withdrawn_at", "voided_at", "first_at", "created_at"])


def _take_back(message: Message, person: User, emoji: str) -> None:
    """A flag that a moderator decided about is kept: whoever was overruled would only have to put it again."""
    row = Reaction.objects.get(message=message, author=person, emoji=emoji)
    if row.overruled or (emoji == RED_FLAG and complaint_weights.is_remembered(row)):
        row.withdrawn_at = timezone.now()
        row.voided_at = row.voided_at or row.withdrawn_at
        row.save(update_fields=["withdrawn_at", "voided_at"])
    else:
        row.delete()


def report(
    *,
    message_id: UUID,
    reporter: User,
    category: str,
    text: str = "",
    limit: int = LONGEST_REPORT,
    program: ApiClient | None = None,
) -> Report:
    """Tell the moderators about a message. It counts as a red flag; a second report of the same person while the first
    is open adds to that one, while all of it fits into `limit` characters. Once a moderator has answered, the
    same person says nothing new about the same text: the earlier report is the answer.

    Where `program` names people whom nobody knows to exist, all that they say about a message is one report. What does
    not fit into that any more is cut, since others filled it.
    Raises NotAllowed, NotFound, Invalid (`unknown_category`, text), Busy `rate_limited`.
    """
    if category not in Report.Category.values:
        raise Invalid("Please choose what is wrong.", code="unknown_category", field="category")
    text = clean_remark(text, limit=limit)
    ratelimit.spend(ratelimit.REPORTS, reporter.pk)
    if program is not None:
        ratelimit.spend(ratelimit.REPORTS_OF_PROGRAM, program.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(reporter)
        message = _lock_message(message_id, reporter)
        crowd = program if program is not None and not complaint_weights.speaks_alone(reporter) else None
        earlier = Report.objects.filter(_same_voice(reporter, crowd), message=message)
        found = _answered(message, earlier)
        if found is None:
            found = _write_report(message, reporter, earlier, category, text, limit, is_shared=crowd is not None)
        given, mine = _given(message, reporter)
        if RED_FLAG not in mine:
            _change(message, reporter, RED_FLAG, 1, given)
            message.save(update_fields=["emojis"])
        if found.status == Report.Status.OPEN:
            _note(message, reporter, Happening.Kind.MESSAGE_REPORTED, {"report": str(found.pk), "category": category})
        enqueue(jobs.moderate_message, str(message.pk))
        return found


def _same_voice(reporter: User, crowd: ApiClient | None) -> Q:
    """Reports of this person, or of all whom only this program knows. Not those of somebody who also speaks for
    themselves: it would put words in their mouth.
    """
    whose = Q(reporter=reporter)
    return whose if crowd is None else whose | Q(reporter__in=complaint_weights.people_of_program(crowd))


def _answered(message: Message, earlier: QuerySet[Report]) -> Report | None:
    """What was reported about this text before, if a moderator has answered and nothing is open."""
    last = earlier.filter(revision=message.revision_id).order_by("-created_at").first()
    return None if last is None or last.status == Report.Status.OPEN else last


def _write_report(
    message: Message,
    reporter: User,
    earlier: QuerySet[Report],
    category: str,
    text: str,
    limit: int,
    *,
    is_shared: bool,
) -> Report:
    """More is added to the open one, which is about the present text from then on. The message is locked, so there is
    no other one a moment later.
    """
    found = earlier.filter(status=Report.Status.OPEN).order_by("created_at", "pk").first()
    if found is None:
        return Report.objects.create(
            message=message, reporter=reporter, revision_id=message.revision_id, category=category, text=text
        )
    if not is_shared or found.category == Report.Category.OTHER:  # nobody takes back what somebody else said
        found.category = category
    found.text = _joined(found.text, text, limit, cuts=is_shared)
    found.revision_id = message.revision_id
    found.save(update_fields=["category", "text", "revision"])
    return found


def _joined(before: str, more: str, limit: int, *, cuts: bool) -> str:
    """Both statements. The same one again adds nothing: programs send a report twice when they are not sure."""
    if not more or more in before:
        return before
    joined = f"{before}\n\n{more}" if before else more
    if len(joined) > limit and cuts:
        return before if len(before) + ROOM_FOR_WORDS > limit else f"{joined[: limit - 1].rstrip()}…"
    if len(joined) > limit:
        raise Invalid(
            f"The moderators were told about this message in {len(before):,} characters already, and {limit:,} are "
            "the most. They will look at it.",
            code="too_long",
            field="text",
        )
    return joined


def _lock_message(message_id: UUID, person: User) -> Message:
    messages = Message.objects.select_for_update(of=("self",), no_key=True).defer("search", "text")
    message = visible_messages(person, messages).filter(pk=message_id).first()
    if message is None:
        raise no_such_message()
    return message


def _note(message: Message, person: User, kind: Happening.Kind, data: dict[str, object]) -> None:
    about: dict[str, Any] = {"subject_id": message.author_id, "tree_id": message.tree_id, "message": message}
    publishing.tell([Happening(kind=kind, actor=person, data=data, **about)])
