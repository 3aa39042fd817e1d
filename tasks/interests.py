"""What somebody new likes to do: which practice that brings, and which kinds of tasks are offered first afterwards."""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from tasks import queries
from tasks.kinds import TABLE, Category, Kind, KindRow
from trees.lifecycle.policy import TreePolicy


class Interest(StrEnum):
    REVIEWING = "reviewing"
    RANKING = "ranking"
    REPLYING = "replying"
    PROMPTS = "prompts"


@dataclass(frozen=True)
class InterestRow:
    title: Promise
    text: Promise
    category: Category
    practice: tuple[Kind, Kind]
    tasks: tuple[Kind, ...]
    """The kinds to offer first, the most fitting one first."""


INTERESTS: dict[Interest, InterestRow] = {
    Interest.REVIEWING: InterestRow(
        _("Check what others wrote"),
        _("Is it fit to stay, and how good is it? Half a minute to two minutes each."),
        "check",
        (Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_ASSISTANT_REPLY),
        (Kind.LABEL_ASSISTANT_REPLY, Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_PROMPTER_REPLY),
    ),
    Interest.RANKING: InterestRow(
        _("Compare answers"),
        _("Put several answers to the same question in order, the best one on top."),
        "compare",
        (Kind.RANK_ASSISTANT_REPLIES, Kind.RANK_ASSISTANT_REPLIES),
        (Kind.RANK_ASSISTANT_REPLIES, Kind.RANK_PROMPTER_REPLIES),
    ),
    Interest.REPLYING: InterestRow(
        _("Answer questions"),
        _("Write the answer that you would like to get, or what a user would say next."),
        "write",
        (Kind.ASSISTANT_REPLY, Kind.PROMPTER_REPLY),
        (Kind.ASSISTANT_REPLY, Kind.PROMPTER_REPLY),
    ),
    Interest.PROMPTS: InterestRow(
        _("Ask questions"),
        _("Write what people might ask an assistant: the beginning of a new conversation."),
        "write",
        (Kind.INITIAL_PROMPT, Kind.INITIAL_PROMPT),
        (Kind.INITIAL_PROMPT,),
    ),
}


@dataclass(frozen=True)
class FirstTask:
    """The task to offer after practice."""

    kind: Kind | None
    """None: any kind, because none of the wanted kinds has work."""
    lang: str

    @property
    def row(self) -> KindRow | None:
        return TABLE[self.kind] if self.kind else None


def first_task_for(user: User, interest: Interest, policy: TreePolicy) -> FirstTask | None:
    """Return what to offer to somebody with this interest; None if there is no work at all. Two statements."""
    lang = user.working_language
    counts = queries.availability(user, lang, policy)
    if not any(counts.values()):
        return None
    return FirstTask(next((kind for kind in INTERESTS[interest].tasks if counts.get(kind)), None), lang)
