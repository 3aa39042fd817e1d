"""Why a contribution may be published, or why not. Decision 107."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from oasst.accounts.consent import TERMS_DOCUMENT
from oasst.accounts.documents import PUBLISHING_TERMS
from oasst.accounts.models import Consent, Identity
from trees.models import Message, MessageTree


class LeftOut(StrEnum):
    """Why a contribution is not in a snapshot."""

    WITHDRAWN = "withdrawn"
    DELETED = "deleted"
    HIDDEN = "hidden"
    LATER = "after_cutoff"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    NO_AGREEMENT = "no_agreement"
    OTHER_TERMS = "terms_without_publication"
    NO_LICENSE = "import_without_license"
    BELOW = "below_one_left_out"
    # Judgments:
    OTHER_TEXT = "about_an_earlier_text"
    FEW_REPLIES = "fewer_than_two_replies"
    NO_LABELS = "without_answers"


def basis_of(message: Message, tree: MessageTree, vouching: Mapping[UUID, str]) -> str | LeftOut:
    """Return why the message may be published, such as "terms 2" or "license CC-BY-4.0", or why it may not.

    `vouching` has the basis of each API client that vouches for its people.
    """
    if message.imported is not None:
        return f"license {tree.license}" if tree.license else LeftOut.NO_LICENSE
    if message.consent:
        return f"terms {message.consent}" if message.consent in PUBLISHING_TERMS else LeftOut.OTHER_TERMS
    client_id = message.api_client_id
    return LeftOut.NO_AGREEMENT if client_id is None else vouching.get(client_id, LeftOut.NO_AGREEMENT)


class Agreements:
    """Whether these users had agreed to publication when they judged."""

    def __init__(self, user_ids: Collection[UUID], vouching: Mapping[UUID, str]) -> None:
        """One statement, two if API clients vouch for people."""
        self._periods: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
        rows = Consent.objects.filter(user__in=user_ids, document=TERMS_DOCUMENT, version__in=PUBLISHING_TERMS)
        for user_id, accepted_at, withdrawn_at in rows.values_list("user", "accepted_at", "withdrawn_at"):
            self._periods[user_id].append((accepted_at, withdrawn_at))
        self._vouched_for: set[UUID] = set()
        if vouching:
            identities = Identity.objects.filter(user__in=user_ids, api_client__in=vouching)
            self._vouched_for.update(identities.values_list("user", flat=True))

    def cover(self, user_id: UUID, at: datetime) -> bool:
        return user_id in self._vouched_for or any(
            accepted_at <= at and (withdrawn_at is None or at < withdrawn_at)
            for accepted_at, withdrawn_at in self._periods[user_id]
        )
