"""The selection of trees, messages and details for an export, from options of commands and queries.

No database. The names are those of the reference's export command, plus clearer ones of our own.
"""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_pool_tag
from trees.interchange.format import SURROGATES
from trees.lifecycle.states import State

ALL_STATES = "all"


class Inclusion(StrEnum):
    """How one kind of messages or trees is treated."""

    WITHOUT = "without"
    WITH = "with"
    ONLY = "only"


@dataclass(frozen=True)
class Selection:
    """Which trees and messages are exported, with which details.

    The default is the data set: finished trees without machine text, accepted messages with their labels.
    """

    state: State | None = State.READY_FOR_EXPORT  # None for any
    lang: str | None = None  # case-insensitive; of the tree, or of the message if `user` is set
    deleted: Inclusion = Inclusion.WITHOUT  # messages
    rejected: Inclusion = Inclusion.WITHOUT  # messages; WITH includes undecided ones
    synthetic: Inclusion = Inclusion.WITHOUT  # trees with machine-made text; messages if `user` is set
    user: UUID | None = None  # only messages of this user
    topics: tuple[str, ...] = ()  # only trees with one of them; words of their names
    excluded_topics: tuple[str, ...] = ()
    near_duplicates: bool = True  # False leaves out what is nearly the same as an earlier message
    prompts_only: bool = False
    limit: int | None = None  # lines
    labels: bool = True
    events: bool = False
    real_user_ids: bool = False
    anonymizer_seed: str | None = None

    @property
    def is_flat(self) -> bool:
        """Return True if single messages are exported instead of trees: the selection breaks trees apart."""
        return self.user is not None or Inclusion.ONLY in (self.deleted, self.rejected, self.synthetic)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options for trees, messages and ids; read by `from_options`."""
    states = [ALL_STATES, *(state.value for state in State)]
    parser.add_argument("--state", choices=states, help="of the trees; default: the finished ones (ready_for_export)")
    parser.add_argument("--lang", help="only trees of this language; pt-br and pt-BR are one")
    add_content_arguments(parser)
    parser.add_argument("--limit", type=int, help="the first N trees, or messages where single ones are written")
    parser.add_argument("--prompts-only", action="store_true", help="the first message of each tree and no replies")
    parser.add_argument(
        "--user", type=UUID, metavar="ID", help="only messages of this person, one per line, of trees in any state"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--include-deleted", action="store_true", help="deleted messages too")
    group.add_argument("--deleted-only", action="store_true", help="only deleted messages, one per line")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--include-rejected", "--include-spam", action="store_true", help="rejected and undecided messages too"
    )
    group.add_argument(
        "--rejected-only", "--spam-only", action="store_true", help="only rejected messages, one per line"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--include-synthetic", action="store_true", help="trees with machine-made text too; they stay out otherwise"
    )
    group.add_argument(
        "--synthetic-only", action="store_true", help="only the messages of trees with machine-made text, one per line"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--real-user-ids",
        action="store_true",
        help="people's ids as they are here; without this they are pseudonyms, the same in every export of this site",
    )
    group.add_argument(
        "--anonymizer-seed",
        metavar="SEED",
        help="other ids for people, messages and trees, the same for the same seed; anybody who knows the "
        "seed and an id finds its pseudonym, so take a long random seed and keep it secret",
    )


def add_content_arguments(parser: ArgumentParser) -> None:
    """Add the options for what the texts say; exports and snapshots have them in common."""
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="WORDS",
        help="only trees whose prompt has a topic with these words in its name. May be repeated",
    )
    parser.add_argument(
        "--exclude-topic", action="append", default=[], metavar="WORDS", help="no trees of such a topic"
    )
    parser.add_argument(
        "--without-near-duplicates",
        action="store_true",
        help="without messages that are nearly the same as an earlier one, and what is below them",
    )


def add_detail_arguments(parser: ArgumentParser) -> None:
    """Add the options for details beyond the messages; read by `from_options`."""
    parser.add_argument(
        "--export-labels",
        dest="labels",
        action=BooleanOptionalAction,
        default=True,
        help="with the means of what reviewers said of each message (default), or without",
    )
    parser.add_argument(
        "--export-events", dest="events", action="store_true", help="with each single reaction, skip and ranking"
    )


def from_options(options: Mapping[str, Any]) -> Selection:
    """Return the selection that these options of a command or API query describe.

    Missing options have defaults. Raise Invalid for contradictions and impossible values.
    """
    user, state = options.get("user"), options.get("state")
    if user is not None and state is not None:
        raise Invalid("A person's messages are taken from trees in any state: leave out state or user.", code="options")
    seed = options.get("anonymizer_seed")
    if seed is not None and options.get("real_user_ids"):
        raise Invalid("Either real_user_ids or anonymizer_seed, not both.", code="options")
    if seed == "":
        raise Invalid("An empty anonymizer_seed hides nothing.", code="options")
    if seed is not None and SURROGATES.search(str(seed)):
        raise Invalid("anonymizer_seed contains half a character, or bytes that are no UTF-8.", code="options")
    limit = options.get("limit")
    if limit is not None and limit < 1:
        raise Invalid("limit must be at least 1.", code="options")
    if state is None:
        state = ALL_STATES if user is not None else State.READY_FOR_EXPORT
    lang = options.get("lang")
    chosen = Selection(
        state=None if state == ALL_STATES else State(state),
        lang=None if lang is None else clean_pool_tag(lang),
        deleted=_inclusion(options, "deleted"),
        rejected=_inclusion(options, "rejected"),
        synthetic=_inclusion(options, "synthetic"),
        user=None if user is None else UUID(str(user)),
        topics=words_given(options.get("topic")),
        excluded_topics=words_given(options.get("exclude_topic")),
        near_duplicates=not options.get("without_near_duplicates"),
        prompts_only=bool(options.get("prompts_only")),
        limit=limit,
        labels=bool(options.get("labels", True)),
        events=bool(options.get("events")),
        real_user_ids=bool(options.get("real_user_ids")),
        anonymizer_seed=None if seed is None else str(seed),
    )
    if chosen.is_flat and not chosen.near_duplicates:
        raise Invalid("Near-duplicates are left out of trees only, not of single messages.", code="options")
    return chosen


def words_given(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the topics of an option, which a query of the API gives once and a command any number of times."""
    return (value,) if isinstance(value, str) else tuple(sorted(value or ()))


def _inclusion(options: Mapping[str, Any], kind: str) -> Inclusion:
    include, only = f"include_{kind}", f"{kind}_only"
    if options.get(include) and options.get(only):
        raise Invalid(f"Either {include} or {only}, not both.", code="options", field=only)
    if options.get(only):
        return Inclusion.ONLY
    return Inclusion.WITH if options.get(include) else Inclusion.WITHOUT
