"""What somebody looks for on /explore/."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import F, Q

from oasst.accounts.models import User
from trees.access import PUBLIC
from trees.lifecycle.states import State
from trees.models import PromptTopic, Role
from trees.published import PUBLISHED


class Kind(StrEnum):
    PROMPT = "prompt"  # one for each conversation
    ANSWER = "answer"
    FOLLOW_UP = "follow_up"
    ANY = "any"


class Progress(StrEnum):
    """How far the conversation is, or what became of the message."""

    FINISHED = "finished"
    OPEN = "open"
    IN_REVIEW = "in_review"
    REJECTED = "rejected"


OPEN_STATES = (
    *(State.INITIAL_PROMPT_REVIEW.value, State.PROMPT_LOTTERY_WAITING.value, State.GROWING.value),
    *(State.BACKLOG_RANKING.value, State.RANKING.value, State.READY_FOR_SCORING.value, State.SCORING_FAILED.value),
)
# Depth and not the parent, so that the planner does not start from an index of all prompts.
_OF_KIND = {
    Kind.ANSWER: Q(role=Role.ASSISTANT.value),
    Kind.FOLLOW_UP: Q(role=Role.PROMPTER.value, depth__gt=0),
    Kind.ANY: Q(),
}


@dataclass(frozen=True)
class Criteria:
    """The filters of a search. Empty ones filter nothing."""

    reader: User | None  # None for a visitor
    words: str = ""
    lang: str = ""
    kind: Kind = Kind.ANY
    progress: Progress | None = None
    since: date | None = None
    until: date | None = None  # this day included
    topic: int | None = None
    own: bool = False
    set_apart: frozenset[UUID] = frozenset()
    """Conversations that the reader reviews right now, which the list leaves out (decision 130)."""

    @property
    def walks_trees(self) -> bool:
        """True if the list follows an index of conversations by state, in the order in which they began."""
        return self.kind == Kind.PROMPT and self._states is not None and not (self.own or self.topic)

    @property
    def _states(self) -> tuple[str, ...] | None:
        """Return the states of the conversations, None for any."""
        if self.reader is None or self.progress == Progress.FINISHED:
            return (State.READY_FOR_EXPORT.value,)
        return OPEN_STATES if self.progress in (Progress.OPEN, Progress.IN_REVIEW) else None

    def condition(self, *, in_list: bool = True) -> Q:
        """Return everything but the words as a condition on messages.

        `in_list` is False for a search that finds the messages before their conversations.
        """
        walks_trees = in_list and self.walks_trees
        condition = (PUBLISHED if self.reader is None else PUBLIC) & self._progress() & self._dates(walks_trees)
        if self.kind == Kind.PROMPT:
            # By the ids, so that a list of trees finds its prompts by their primary key.
            condition &= Q(id=F("tree_id")) if walks_trees else Q(depth=0)
        else:
            condition &= _OF_KIND[self.kind]
        if self.lang:
            condition &= Q(tree__lang=self.lang) if walks_trees else Q(lang=self.lang)
        if self.own and self.reader is not None:
            condition &= Q(author=self.reader)
        if self.set_apart:
            condition &= ~Q(tree__in=self.set_apart)
        if self.topic:
            condition &= Q(tree__in=PromptTopic.objects.filter(topic=self.topic).values("message"))
        return condition

    def _progress(self) -> Q:
        if self.progress == Progress.REJECTED:
            return Q(review_result=False)
        states = self._states
        condition = (
            Q() if states is None else Q(tree__state=states[0]) if len(states) == 1 else Q(tree__state__in=states)
        )
        if self.progress == Progress.FINISHED:
            condition &= Q(review_result=True)
        elif self.progress == Progress.IN_REVIEW:
            condition &= Q(review_result=None)
        return condition

    def _dates(self, walks_trees: bool) -> Q:
        """Days of UTC, so that an address means the same everywhere."""
        column = "tree__created_at" if walks_trees else "created_at"
        condition = Q()
        if self.since:
            condition &= Q(**{f"{column}__gte": _midnight(self.since)})
        if self.until:
            condition &= Q(**{f"{column}__lt": _midnight(self.until) + timedelta(days=1)})
        return condition


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
