"""Why a contribution may be published, or why not. Decision 107."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from oasst.accounts.consent import TERMS_DOCUMENT
from oasst.accounts.documents import PUBLISHING_TERMS
from oasst.accounts.models import Consent, Identity
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.snapshots.filters import Filters
from trees.models import Message, MessageTree


class LeftOut(StrEnum):
    """Why a contribution is not in a snapshot."""

    WITHDRAWN = "withdrawn"
    DELETED = "deleted"
    HIDDEN = "hidden"
    LATER = "after_cutoff"
    EDITED_LATER = "edited_after_cutoff"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    NO_AGREEMENT = "no_agreement"
    OTHER_TERMS = "terms_without_publication"
    NO_LICENSE = "import_without_license"
    BELOW = "below_one_left_out"
    NEAR_DUPLICATE = "near_duplicate"
    SYNTHETIC = "synthetic"  # a tree with machine-made text
    # Judgments:
    OTHER_TEXT = "about_an_earlier_text"
    FEW_REPLIES = "fewer_than_two_replies"
    NO_LABELS = "without_answers"


@dataclass(frozen=True)
class Vouching:
    """What an API client's people agreed to with the client, as the operator says."""

    basis: str
    since: datetime | None  # None for always

    def covers(self, at: datetime) -> bool:
        return self.since is None or self.since <= at


def vouching_for(filters: Filters, pseudonyms: Pseudonyms) -> dict[UUID, Vouching]:
    """Return the agreement of each API client that vouches for its people; its basis says who, and since when."""
    found = {}
    for pk, since in filters.vouched_by.items():
        client = f"client {pseudonyms.pseudonym('client', str(pk))}"
        found[pk] = Vouching(client if since is None else f"{client} since {since.date()}", since)
    return found


def basis_of(message: Message, tree: MessageTree, vouching: Mapping[UUID, Vouching]) -> str | LeftOut:
    """Return why the message may be published, such as "terms 2" or "license CC-BY-4.0", or why it may not.

    `vouching` has the API clients that vouch for their people.
    """
    if message.imported is not None:
        return f"license {tree.license}" if tree.license else LeftOut.NO_LICENSE
    if message.consent:
        return f"terms {message.consent}" if message.consent in PUBLISHING_TERMS else LeftOut.OTHER_TERMS
    agreement = None if message.api_client_id is None else vouching.get(message.api_client_id)
    return agreement.basis if agreement and agreement.covers(message.created_at) else LeftOut.NO_AGREEMENT


class Agreements:
    """Whether these users had agreed to publication when they judged."""

    def __init__(self, user_ids: Collection[UUID], vouching: Mapping[UUID, Vouching]) -> None:
        """One statement, two if API clients vouch for people."""
        self._periods: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
        rows = Consent.objects.filter(user__in=user_ids, document=TERMS_DOCUMENT, version__in=PUBLISHING_TERMS)
        for user_id, accepted_at, withdrawn_at in rows.values_list("user", "accepted_at", "withdrawn_at"):
            self._periods[user_id].append((accepted_at, withdrawn_at))
        if vouching:
            identities = Identity.objects.filter(user__in=user_ids, api_client__in=vouching)
            for user_id, client_id, since in identities.values_list("user", "api_client", "created_at"):
                # Before the client knew the person, it vouched for nothing.
                self._periods[user_id].append((max(since, vouching[client_id].since or since), None))

    def cover(self, user_id: UUID, at: datetime) -> bool:
        return any(
            accepted_at <= at and (withdrawn_at is None or at < withdrawn_at)
            for accepted_at, withdrawn_at in self._periods[user_id]
        )
