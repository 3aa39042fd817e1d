"""Purges and merges that wait for a second person, or were refused, as the start page and the page of a person show
them.

One statement for each page: all kinds come as one union, and the users whom they name as JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import Case, CharField, Exists, F, JSONField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import JSONObject

from oasst.accounts import roles, second_person
from oasst.accounts.models import BanProposal, MergeProposal, PurgeProposal, SecondPersonProposal, User
from oasst.core.array_lookups import IsAnyOf
from oasst.site import merge_proposals, purge_proposals

_OF_USERS = ("id", "display_name", "program_beside", "role", "enabled", "duties")
"""What is needed to show a name and to compare ranks."""


MOST_REFUSED = 5
"""Refusals that the page of a person shows."""


@dataclass(frozen=True)
class Refusal:
    """Who refused a proposal, when and why."""

    by: User
    at: datetime
    reason: str


@dataclass(frozen=True)
class Proposed:
    """What was proposed. Its users have only _OF_USERS."""

    kind: str
    """purge or merge; of what was refused also ban or unban."""
    at: datetime
    proposer: User
    refusal: Refusal | None
    """None while it waits."""

    @property
    def expires_at(self) -> datetime:
        return self.at + SecondPersonProposal.LIFETIME


@dataclass(frozen=True)
class Card(Proposed):
    """On the start page."""

    about: User
    """Who would be purged, or the account that would stay."""
    sources: list[User]
    """The accounts that would be closed."""
    is_own: bool
    """Whether the one who sees it proposed it."""


@dataclass(frozen=True)
class ProposedAbout(Proposed):
    """On the page of a person."""

    reason: str


def cards_for(actor: User) -> list[Card]:
    """Return what this actor could decide, and what others refused them lately, the oldest first, without merges that
    nothing can come of because an account was closed since.
    """
    accounts = User.objects.filter(IsAnyOf(F("pk"), OuterRef("sources"))).order_by("pk")
    closed = accounts.exclude(is_active=True, deleted_at=None)
    merges = merge_proposals.open_proposals() | second_person.refused_lately(MergeProposal, actor, "destination")
    merges = merges.filter(destination__is_active=True, destination__deleted_at=None)
    purges = _named(
        purge_proposals.open_proposals() | second_person.refused_lately(PurgeProposal, actor, "user"),
        Value("purge", CharField()),
        about_json=_user_as_json("user__"),
        sources_json=Value([], ArrayField(JSONField())),
    )
    merges = _named(
        merges.exclude(Exists(closed)),
        Value("merge", CharField()),
        about_json=_user_as_json("destination__"),
        sources_json=ArraySubquery(accounts.values(json=_user_as_json(""))),
    )
    cards = [
        Card(
            **proposed,
            about=User(**about),
            sources=[User(**one) for one in sources],
            is_own=str(proposed["proposer"].pk) == str(actor.pk),
        )
        for proposed, about, sources in _rows_of("about_json", "sources_json", of=(purges, merges))
    ]
    return [card for card in cards if all(roles.has_higher_rank(actor, one) for one in (card.about, *card.sources))]


def waiting_about(user: User) -> tuple[list[ProposedAbout], list[ProposedAbout]]:
    """Return what is proposed about this user and waits, the oldest first, and what was refused, the newest first."""
    refused = Q(outcome=SecondPersonProposal.Outcome.REFUSED)
    kind_of_ban = Case(When(lifts=True, then=Value("unban")), default=Value("ban"), output_field=CharField())
    purges = purge_proposals.open_proposals(user) | PurgeProposal.objects.filter(refused, user=user)
    merges = merge_proposals.open_proposals([user.pk])
    merges |= MergeProposal.objects.filter(refused, merge_proposals.names_any([user.pk]))
    rows = _rows_of(
        "reason",
        of=(
            _named(purges, Value("purge", CharField())),
            _named(merges, Value("merge", CharField())),
            _named(BanProposal.objects.filter(refused, user=user), kind_of_ban),
        ),
    )
    found = [ProposedAbout(**proposed, reason=reason) for proposed, reason in rows]
    closed = [(one.refusal.at, one) for one in found if one.refusal is not None]
    closed.sort(key=itemgetter(0), reverse=True)
    return [one for one in found if one.refusal is None], [one for _, one in closed[:MOST_REFUSED]]


def _named(proposals: QuerySet[Any], kind: Value | Case, **more: Any) -> QuerySet[Any]:
    users = {"proposer_json": _user_as_json("proposer__"), "decider_json": _user_as_json("decided_by__")}
    return proposals.order_by().annotate(kind=kind, **users, **more)


def _rows_of(*more: str, of: Sequence[QuerySet[Any]]) -> list[tuple[Any, ...]]:
    """Return the values of Proposed, and more, of all these, the oldest first."""
    columns = ("kind", "at", "proposer_json", "decider_json", "decided_at", "refuse_reason", *more)
    first, *others = (one.values_list(*columns) for one in of)
    rows = sorted(first.union(*others, all=True), key=lambda row: row[1])
    return [(_proposed(*row[:6]), *row[6:]) for row in rows]


def _proposed(
    kind: str, at: datetime, proposer: Any, decider: Any, decided_at: datetime | None, reason: str
) -> dict[str, Any]:
    refusal = None if decided_at is None else Refusal(User(**decider), decided_at, reason)
    return {"kind": kind, "at": at, "proposer": User(**proposer), "refusal": refusal}


def _user_as_json(prefix: str) -> JSONObject:
    return JSONObject(**{name: f"{prefix}{name}" for name in _OF_USERS})
