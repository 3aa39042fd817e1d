"""Reactions to messages and reports about them.

Outer writers: each function is one transaction. A reaction locks its message only; a job checks the automatic
thresholds after the commit.
"""

from collections import Counter
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.after_commit import enqueue
from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_optional
from trees import jobs
from trees.access import message_unavailable, visible_messages
from trees.models import Happening, Message, Reaction, Report
from trees.moderation import complaint_weights
from trees.outbox import publishing

UP, DOWN, RED_FLAG = Reaction.THUMB_UP, Reaction.THUMB_DOWN, Reaction.RED_FLAG
THUMBS = {UP: DOWN, DOWN: UP}
EMOJIS = (UP, DOWN, RED_FLAG, "100", "rofl", "clap", "diamond", "heart_eyes", "disappointed", "poop", "skull")
LONGEST_REPORT = 2000
MIN_ADDITION = 20  # characters; a shorter rest is not worth adding


def set_reaction(*, message_id: UUID, user: User, emoji: str, on: bool | None = None) -> Message:
    """Add or remove a reaction; `on=None` toggles it. A repeat changes nothing. Thumbs up and down exclude each other;
    a thumb on one's own message is ignored. Raise NotAllowed, NotFound, Invalid (`unknown_emoji`), Busy `rate_limited`.
    """
    if emoji not in EMOJIS:
        raise Invalid(f"There is no reaction called {emoji[:40]!r}.", code="unknown_emoji", field="emoji")
    ratelimit.count_use(ratelimit.REACTIONS, user.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(user)
        message = _lock_message(message_id, user)
        shown, current = _own_emojis(message, user)
        is_on = emoji not in current if on is None else on
        is_unchanged = emoji in current if is_on else emoji not in shown
        if is_unchanged or (is_on and emoji in THUMBS and message.author_id == user.pk):
            return message
        if is_on:
            _change(message, user, THUMBS.get(emoji), -1, shown)
            _change(message, user, emoji, 1, shown)
        else:
            _change(message, user, emoji, -1, shown)
        message.save(update_fields=["emojis"])
        data = {"emoji": emoji, "on": is_on}
        publishing.publish_about(message, Happening.Kind.MESSAGE_REACTED, actor=user, data=data)
        if emoji == RED_FLAG and is_on:
            enqueue(jobs.moderate_message, str(message.pk))
        return message


def _own_emojis(message: Message, user: User) -> tuple[set[str], set[str]]:
    """Return the emojis shown for this user, and those about the present text. One statement."""
    rows = Reaction.objects.filter(message=message, author=user)
    emojis = rows.values_list("emoji", Case(When(Reaction.OF_EARLIER_TEXT, then=False), default=True))
    return {emoji for emoji, _ in emojis}, {emoji for emoji, present in emojis if present}


def _change(message: Message, user: User, emoji: str | None, by: int, shown: set[str]) -> None:
    """Add or remove one row and its count; a count of 0 is dropped. A flag of an earlier text is counted already."""
    if emoji is None or (by < 0 and emoji not in shown):
        return
    (_put if by > 0 else _take_back)(message, user, emoji)
    if by > 0 and emoji in shown:
        return
    counts = Counter(message.emojis)
    counts[emoji] += by
    message.emojis = {name: number for name, number in counts.items() if number or name != emoji}


def _put(message: Message, user: User, emoji: str) -> None:
    """Store a reaction; an overruled flag stays void, one of an earlier text moves to the present text."""
    stored = Reaction.everything.filter(Reaction.OF_EARLIER_TEXT | Q(withdrawn_at__isnull=False))
    row = stored.filter(message=message, author=user, emoji=emoji).first()
    if row is None:
        Reaction.objects.create(message=message, author=user, emoji=emoji)
        return
    row.withdrawn_at = None
    if not row.overruled:
        row.first_at, row.voided_at, row.created_at = row.known_since, None, timezone.now()
    row.save(update_fields=["withdrawn_at", "voided_at", "first_at", "created_at"])


def _take_back(message: Message, user: User, emoji: str) -> None:
    """Delete a reaction, but keep a flag that a moderator decided about: deleting would let the user flag again."""
    row = Reaction.objects.get(message=message, author=user, emoji=emoji)
    if row.overruled or (emoji == RED_FLAG and complaint_weights.was_decided_lately(row)):
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
    client: ApiClient | None = None,
) -> Report:
    """Tell the moderators about a message. It counts as a red flag.

    A second report of the same user adds to an open first one, up to `limit` characters in all. Once a moderator has
    answered, it changes nothing while the text is the same: the earlier report is returned.

    `client` is an API client whose users cannot be verified: all that they say about a message is one report, and text
    beyond `limit` is cut. Raise NotAllowed, NotFound, Invalid (`unknown_category`, text), Busy `rate_limited`.
    """
    if category not in Report.Category.values:
        raise Invalid("Please choose what is wrong.", code="unknown_category", field="category")
    text = clean_optional(text, limit=limit)
    ratelimit.count_use(ratelimit.REPORTS, reporter.pk)
    if client is not None:
        ratelimit.count_use(ratelimit.REPORTS_OF_CLIENT, client.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(reporter)
        message = _lock_message(message_id, reporter)
        crowd = client if client is not None and not complaint_weights.counts_separately(reporter) else None
        earlier = Report.objects.filter(_same_complainant(reporter, crowd), message=message)
        result = _answered_report(message, earlier)
        if result is None:
            result = _write_report(message, reporter, earlier, category, text, limit, is_shared=crowd is not None)
        shown, current = _own_emojis(message, reporter)
        if RED_FLAG not in current:
            _change(message, reporter, RED_FLAG, 1, shown)
            message.save(update_fields=["emojis"])
        if result.status == Report.Status.OPEN:
            data = {"report": str(result.pk), "category": category}
            publishing.publish_about(message, Happening.Kind.MESSAGE_REPORTED, actor=reporter, data=data)
        enqueue(jobs.moderate_message, str(message.pk))
        return result


def _same_complainant(reporter: User, crowd: ApiClient | None) -> Q:
    """Filter the reports of this user, or of all users of this API client who do not count separately."""
    whose = Q(reporter=reporter)
    return whose if crowd is None else whose | Q(reporter__in=complaint_weights.users_of_client(crowd))


def _answered_report(message: Message, earlier: QuerySet[Report]) -> Report | None:
    """Return the last report about this text if a moderator has answered it and nothing is open."""
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
    """Add to the open report, then about the present text, or create one. The lock on the message prevents a second
    one.
    """
    open_report = earlier.filter(status=Report.Status.OPEN).order_by("created_at", "pk").first()
    if open_report is None:
        return Report.objects.create(
            message=message, reporter=reporter, revision_id=message.revision_id, category=category, text=text
        )
    if not is_shared or open_report.category == Report.Category.OTHER:  # one user must not change another's category
        open_report.category = category
    open_report.text = _joined(open_report.text, text, limit, may_cut=is_shared)
    open_report.revision_id = message.revision_id
    open_report.save(update_fields=["category", "text", "revision"])
    return open_report


def _joined(before: str, addition: str, limit: int, *, may_cut: bool) -> str:
    """Return both statements; a repeated one adds nothing, since clients send a report twice when in doubt."""
    if not addition or addition in before:
        return before
    joined = f"{before}\n\n{addition}" if before else addition
    if len(joined) > limit and may_cut:
        return before if len(before) + MIN_ADDITION > limit else f"{joined[: limit - 1].rstrip()}…"
    if len(joined) > limit:
        raise Invalid(
            f"The moderators were told about this message in {len(before):,} characters already, and {limit:,} are "
            "the most. They will look at it.",
            code="too_long",
            field="text",
        )
    return joined


def _lock_message(message_id: UUID, user: User) -> Message:
    messages = Message.objects.select_for_update(of=("self",), no_key=True).defer("search", "text")
    message = visible_messages(user, messages).filter(pk=message_id).first()
    if message is None:
        raise message_unavailable()
    return message
