"""Purges and merges that wait for a second person, as the start page and the page of a person show them.

One statement for each page: both kinds come as one union, and the users whom they name as JSON.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, Exists, F, JSONField, OuterRef, QuerySet, Value
from django.db.models.functions import JSONObject

from oasst.accounts import roles
from oasst.accounts.models import SecondPersonProposal, User
from oasst.core.array_lookups import IsAnyOf
from oasst.site import merge_proposals, purge_proposals

_OF_USERS = ("id", "display_name", "program_beside", "role", "enabled", "duties")
"""What is needed to show a name and to compare ranks."""


@dataclass(frozen=True)
class WaitingDecision:
    """What waits. Its users have only _OF_USERS."""

    kind: str
    """purge or merge."""
    at: datetime
    proposer: User

    @property
    def expires_at(self) -> datetime:
        return self.at + SecondPersonProposal.LIFETIME


@dataclass(frozen=True)
class Card(WaitingDecision):
    """On the start page."""

    about: User
    """Who would be purged, or the account that would stay."""
    sources: list[User]
    """The accounts that would be closed."""
    is_own: bool
    """Whether the one who sees it proposed it."""


@dataclass(frozen=True)
class ProposedAbout(WaitingDecision):
    """On the page of a person."""

    reason: str


def cards_for(actor: User) -> list[Card]:
    """Return what this actor could decide, the oldest first, without merges that nothing can come of because an account
    was closed since.
    """
    accounts = User.objects.filter(IsAnyOf(F("pk"), OuterRef("sources"))).order_by("pk")
    closed = accounts.exclude(is_active=True, deleted_at=None)
    merges = merge_proposals.open_proposals().filter(destination__is_active=True, destination__deleted_at=None)
    purges = _waiting(
        purge_proposals.open_proposals(),
        "purge",
        about_json=_user_as_json("user__"),
        sources_json=Value([], ArrayField(JSONField())),
    )
    merges = _waiting(
        merges.exclude(Exists(closed)),
        "merge",
        about_json=_user_as_json("destination__"),
        sources_json=ArraySubquery(accounts.values(json=_user_as_json(""))),
    )
    cards = [
        Card(
            *(kind, at, User(**proposer), User(**about), [User(**one) for one in sources]),
            is_own=proposer["id"] == str(actor.pk),
        )
        for kind, at, proposer, about, sources in _rows_of(purges, merges, "about_json", "sources_json")
    ]
    return [card for card in cards if all(roles.has_higher_rank(actor, one) for one in (card.about, *card.sources))]


def proposed_about(user: User) -> list[ProposedAbout]:
    """Return what is proposed about this user and waits, the oldest first."""
    purges = _waiting(purge_proposals.open_proposals(user), "purge")
    merges = _waiting(merge_proposals.open_proposals([user.pk]), "merge")
    rows = _rows_of(purges, merges, "reason")
    return [ProposedAbout(kind, at, User(**proposer), reason) for kind, at, proposer, reason in rows]


def _waiting(proposals: QuerySet[Any], kind: str, **more: Any) -> QuerySet[Any]:
    return proposals.order_by().annotate(
        kind=Value(kind, CharField()), proposer_json=_user_as_json("proposer__"), **more
    )


def _rows_of(purges: QuerySet[Any], merges: QuerySet[Any], *more: str) -> list[Any]:
    """Return (kind, at, proposer, more) of both, the oldest first."""
    columns = ("kind", "at", "proposer_json", *more)
    return sorted(purges.values_list(*columns).union(merges.values_list(*columns), all=True), key=lambda row: row[1])


def _user_as_json(prefix: str) -> JSONObject:
    return JSONObject(**{name: f"{prefix}{name}" for name in _OF_USERS})
