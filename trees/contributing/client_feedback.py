"""What users say about messages through API clients: reactions, skips, reports, and labels that no task asked for.

Outer writers.
"""

from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from trees.access import message_not_found
from trees.contributing import reactions, reviews
from trees.models import Message, Reaction, Report, Skip

LONGEST_REPORT = 10_000  # characters of one user about one message through API clients
SKIPS = {"_skip_reply": Skip.Kind.REPLY, "_skip_ranking": Skip.Kind.RANKING, "_skip_labeling": Skip.Kind.REVIEW}
EMOJI_CODES = (*reactions.EMOJIS, *SKIPS)
_CATEGORIES = {
    "spam": Report.Category.SPAM,
    "hate_speech": Report.Category.HATE,
    "sexual_content": Report.Category.SEXUAL,
    "violence": Report.Category.VIOLENCE,
    "pii": Report.Category.PERSONAL_DATA,
}


def react(message_id: UUID, client: ApiClient, user: User, emoji: str, op: str) -> None:
    """Add or remove an emoji. A red flag tells the moderators; after a skip code the user is not offered that work
    again. Raise NotAllowed, NotFound, Busy `rate_limited`.
    """
    is_on = {"add": True, "remove": False, "toggle": None}[op]
    if emoji in SKIPS:
        if is_on is not False:
            _skip(message_id, user, SKIPS[emoji])
        return
    is_flag = emoji == Reaction.RED_FLAG and is_on is not False
    existing = Reaction.objects.of_present_text().filter(message=message_id, author=user, emoji=emoji)
    if is_flag and not existing.exists():
        reactions.report(
            message_id=message_id, reporter=user, category=Report.Category.OTHER, client=_unverified_client(client)
        )
    else:
        reactions.set_reaction(message_id=message_id, user=user, emoji=emoji, on=is_on)


def _skip(message_id: UUID, user: User, kind: Skip.Kind) -> None:
    ratelimit.count_use(ratelimit.SKIPS, user.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(user)
        message = Message.objects.defer("search", "text").filter(pk=message_id).first()
        if message is None:
            raise message_not_found()
        reviews.record_skip(message=message, author=user, kind=kind)


def _unverified_client(client: ApiClient) -> ApiClient | None:
    """Return the API client if its users cannot be verified: it is not trusted and not a user's own token."""
    return None if client.trusted or client.person_id else client


def submit_free_labels(
    message_id: UUID, client: ApiClient, user: User, labels: dict[str, float], text: str, *, is_report: bool
) -> None:
    """Store labels that no task asked for: they replace the user's earlier ones and decide nothing.

    As a report they also tell the moderators. Raise NotAllowed, NotFound, Invalid, Busy `rate_limited`.
    """
    if is_report:
        categories = (category for name, category in _CATEGORIES.items() if labels.get(name))
        category = next(categories, Report.Category.OTHER)
        reactions.report(
            message_id=message_id,
            reporter=user,
            category=category,
            text=text,
            limit=LONGEST_REPORT,
            client=_unverified_client(client),
        )
    if labels or not is_report:
        if not is_report:
            ratelimit.count_use(ratelimit.FREE_LABELS, user.pk)
        with transaction.atomic(durable=True):
            reviews.record_free_labels(message_id=message_id, author=user, labels=labels, is_report=is_report)
