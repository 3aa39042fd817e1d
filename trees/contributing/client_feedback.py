"""What people say of messages through programs: reactions, skips, reports, and labels that nobody asked for.

Outer writers.
"""

from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from trees.access import no_message
from trees.contributing import reactions, reviews
from trees.models import Message, Reaction, Report, Skip

LONGEST_REPORT = 10_000  # all that one person says about one message through programs
SKIPS = {"_skip_reply": Skip.Kind.REPLY, "_skip_ranking": Skip.Kind.RANKING, "_skip_labeling": Skip.Kind.REVIEW}
EMOJI_CODES = (*reactions.EMOJIS, *SKIPS)
_CATEGORIES = {
    "spam": Report.Category.SPAM,
    "hate_speech": Report.Category.HATE,
    "sexual_content": Report.Category.SEXUAL,
    "violence": Report.Category.VIOLENCE,
    "pii": Report.Category.PERSONAL_DATA,
}


def react(message_id: UUID, client: ApiClient, person: User, emoji: str, op: str) -> None:
    """Put an emoji on a message or take it back. A red flag tells the moderators, a skip code says that the
    person does not want that work about the message, for good.

    Raises NotAllowed, NotFound, Busy `rate_limited`.
    """
    on = {"add": True, "remove": False, "toggle": None}[op]
    if emoji in SKIPS:
        if on is not False:
            _skip(message_id, person, SKIPS[emoji])
        return
    flags = emoji == Reaction.RED_FLAG and on is not False
    mine = Reaction.objects.of_present_text().filter(message=message_id, author=person, emoji=emoji)
    if flags and not mine.exists():
        reactions.report(message_id=message_id, reporter=person, category=Report.Category.OTHER, program=_crowd(client))
    else:
        reactions.set_reaction(message_id=message_id, person=person, emoji=emoji, on=on)


def _skip(message_id: UUID, person: User, kind: Skip.Kind) -> None:
    ratelimit.spend(ratelimit.SKIPS, person.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(person)
        message = Message.objects.defer("search", "text").filter(pk=message_id).first()
        if message is None:
            raise no_message()
        reviews.record_skip(message=message, author=person, kind=kind)


def _crowd(client: ApiClient) -> ApiClient | None:
    """The program, where nobody knows whether its people exist: one that is not trusted and nobody's own."""
    return None if client.trusted or client.person_id else client


def label_freely(
    message_id: UUID, client: ApiClient, person: User, labels: dict[str, float], text: str, *, is_report: bool
) -> None:
    """Labels that nobody asked for: they replace those of the same person, and decide nothing. As a report they also
    tell the moderators. Raises NotAllowed, NotFound, Invalid, Busy `rate_limited`.
    """
    if is_report:
        said = (category for name, category in _CATEGORIES.items() if labels.get(name))
        category = next(said, Report.Category.OTHER)
        reactions.report(
            message_id=message_id,
            reporter=person,
            category=category,
            text=text,
            limit=LONGEST_REPORT,
            program=_crowd(client),
        )
    if labels or not is_report:
        if not is_report:
            ratelimit.spend(ratelimit.FREE_LABELS, person.pk)
        with transaction.atomic(durable=True):
            reviews.record_free_labels(message_id=message_id, author=person, labels=labels, is_report=is_report)
