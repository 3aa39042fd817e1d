"""What a snapshot takes in: options of `snapshot_create`, kept with the snapshot."""

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from oasst.accounts.models import ApiClient
from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_pool_tag
from oasst.core.timestamps import parse_timestamp
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.selection import ALL_STATES, Inclusion, Selection, add_content_arguments, words_given
from trees.lifecycle.states import State


@dataclass(frozen=True)
class Filters:
    """Which trees and messages a snapshot takes in. The default is the data set, as in an export."""

    state: State | None = State.READY_FOR_EXPORT  # None for any
    lang: str | None = None
    rejected: bool = False  # also undecided messages
    synthetic: bool = False  # trees with machine-made text
    topics: tuple[str, ...] = ()  # only trees with one of them; words of their names
    excluded_topics: tuple[str, ...] = ()
    chats: bool = False  # also what people prefer among answers of the chat
    near_duplicates: bool = True  # False leaves out what is nearly the same as an earlier message
    since: datetime | None = None  # leaves out trees that began earlier
    vouched_by: Mapping[UUID, datetime | None] = field(default_factory=dict)
    """API clients whose people agreed with the client, and since when; None for always."""

    @property
    def selection(self) -> Selection:
        return Selection(
            state=self.state,
            lang=self.lang,
            synthetic=Inclusion.WITH if self.synthetic else Inclusion.WITHOUT,
            topics=self.topics,
            excluded_topics=self.excluded_topics,
        )

    def as_json(self, pseudonyms: Pseudonyms) -> dict[str, Any]:
        """Return the filters as a manifest publishes them."""
        clients = {pseudonyms.pseudonym("client", str(pk)): since for pk, since in self.vouched_by.items()}
        since_when = {client: since.isoformat() for client, since in sorted(clients.items()) if since is not None}
        return {**self.without_clients(), "vouched_by": sorted(clients), "vouched_since": since_when}

    def without_clients(self) -> dict[str, Any]:
        """Return what a manifest publishes of the filters without any pseudonym."""
        return {
            "state": ALL_STATES if self.state is None else self.state.value,
            "lang": self.lang,
            "include_rejected": self.rejected,
            "include_synthetic": self.synthetic,
            "include_chats": self.chats,
            "topics": list(self.topics),
            "excluded_topics": list(self.excluded_topics),
            "near_duplicates": self.near_duplicates,
            "since": None if self.since is None else self.since.isoformat(),
        }


def with_defaults(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters of a snapshot. Those that its release did not know had no effect."""
    return {**Filters().without_clients(), "vouched_by": [], "vouched_since": {}, **stored}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options that `from_options` reads."""
    states = [ALL_STATES, *(state.value for state in State)]
    parser.add_argument("--state", choices=states, help="of the trees; default: the finished ones (ready_for_export)")
    parser.add_argument("--lang", help="only trees of this language; pt-br and pt-BR are one")
    parser.add_argument(
        "--include-rejected", "--include-spam", action="store_true", help="rejected and undecided messages too"
    )
    parser.add_argument(
        "--include-synthetic", action="store_true", help="trees with machine-made text too; they stay out otherwise"
    )
    parser.add_argument(
        "--include-chats",
        action="store_true",
        help="what people prefer among answers of the chat too, where they let it be used; such a snapshot is for "
        "training on this site and cannot be published",
    )
    add_content_arguments(parser)
    parser.add_argument("--since", metavar="DATE", help="only trees that began then or later; UTC without a zone")
    parser.add_argument(
        "--vouched-by",
        action="append",
        default=[],
        metavar="ID[=DATE]",
        help="an API client whose people agreed to publication in its own terms, and since when they do; their "
        "contributions stay out otherwise. May be repeated",
    )


def from_options(options: Mapping[str, Any]) -> Filters:
    """Return the filters that these options of a command describe. Raise Invalid."""
    state, lang, clients = options.get("state"), options.get("lang"), _clients(options.get("vouched_by") or ())
    unknown = clients.keys() - set(ApiClient.objects.filter(pk__in=clients).values_list("pk", flat=True))
    if unknown:
        raise Invalid(f"There is no API client {min(map(str, unknown))}.", code="options", field="vouched_by")
    return Filters(
        state=None if state == ALL_STATES else State(state or State.READY_FOR_EXPORT),
        lang=None if lang is None else clean_pool_tag(lang),
        rejected=bool(options.get("include_rejected")),
        synthetic=bool(options.get("include_synthetic")),
        chats=bool(options.get("include_chats")),
        topics=words_given(options.get("topic")),
        excluded_topics=words_given(options.get("exclude_topic")),
        near_duplicates=not options.get("without_near_duplicates"),
        since=_date(options.get("since"), "since"),
        vouched_by=clients,
    )


def cutoff_from(options: Mapping[str, Any]) -> datetime | None:
    """Return the moment of the option `cutoff`, or None without it. Raise Invalid, also for the future."""
    cutoff = _date(options.get("cutoff"), "cutoff")
    if cutoff is not None and cutoff > timezone.now():
        raise Invalid("The cut-off is in the future: nobody knows yet what will be there.", code="options")
    return cutoff


def whole_milliseconds(moment: datetime) -> datetime:
    """Return the moment as every dump of the database keeps it; some of Django's keep no more than that."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _clients(given: Iterable[str]) -> dict[UUID, datetime | None]:
    """Return since when each of these vouches. An empty date is none, but not "always": that would publish more than
    the operator meant to.
    """
    found: dict[UUID, datetime | None] = {}
    for one in given:
        pk, equals, since = one.partition("=")
        try:
            client = UUID(pk)
        except ValueError as error:
            raise Invalid(f"{one!r} is not ID or ID=DATE.", code="options", field="vouched_by") from error
        if client in found:
            raise Invalid(f"{client} is named twice.", code="options", field="vouched_by")
        found[client] = _date(since if equals else None, "vouched_by")
    return found


def _date(value: str | None, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        return whole_milliseconds(parse_timestamp(value, zone=UTC))
    except ValueError as error:
        raise Invalid(f"{name} must be a date such as 2026-01-31 or 2026-01-31T12:00Z.", code="options") from error
