"""The states of a message tree in one table: the work that each offers, whether it is active, where it may go.

`transitions` moves trees along this table and refuses everything else; the docs and the admin read it too. The ten
values are those of the Open-Assistant wire and data sets.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    INITIAL_PROMPT_REVIEW = "initial_prompt_review"
    PROMPT_LOTTERY_WAITING = "prompt_lottery_waiting"
    GROWING = "growing"
    RANKING = "ranking"
    READY_FOR_SCORING = "ready_for_scoring"
    SCORING_FAILED = "scoring_failed"
    READY_FOR_EXPORT = "ready_for_export"
    BACKLOG_RANKING = "backlog_ranking"
    ABORTED_LOW_GRADE = "aborted_low_grade"
    HALTED_BY_MODERATOR = "halted_by_moderator"


class Work(StrEnum):
    """What a user can be asked to do about a message. Writing the first prompt of a tree is not about a message."""

    LABEL_INITIAL_PROMPT = "label_initial_prompt"
    LABEL_PROMPTER_REPLY = "label_prompter_reply"
    LABEL_ASSISTANT_REPLY = "label_assistant_reply"
    PROMPTER_REPLY = "prompter_reply"
    ASSISTANT_REPLY = "assistant_reply"
    RANK_PROMPTER_REPLIES = "rank_prompter_replies"
    RANK_ASSISTANT_REPLIES = "rank_assistant_replies"


REVIEW_WORK = frozenset({Work.LABEL_INITIAL_PROMPT, Work.LABEL_PROMPTER_REPLY, Work.LABEL_ASSISTANT_REPLY})
REPLY_WORK = frozenset({Work.PROMPTER_REPLY, Work.ASSISTANT_REPLY})
RANKING_WORK = frozenset({Work.RANK_PROMPTER_REPLIES, Work.RANK_ASSISTANT_REPLIES})


@dataclass(frozen=True)
class StateRow:
    label: str
    meaning: str
    active: bool  # on the wire: people or jobs still work on it
    offers: frozenset[Work] = frozenset()
    goes_to: frozenset[State] = frozenset()


S = State
TABLE: dict[State, StateRow] = {
    S.INITIAL_PROMPT_REVIEW: StateRow(
        "Prompt in review",
        "Only the prompt exists; reviewers decide whether a conversation may grow from it.",
        active=True,
        offers=frozenset({Work.LABEL_INITIAL_PROMPT}),
        goes_to=frozenset({S.PROMPT_LOTTERY_WAITING, S.ABORTED_LOW_GRADE, S.HALTED_BY_MODERATOR}),
    ),
    S.PROMPT_LOTTERY_WAITING: StateRow(
        "Waiting to be drawn",
        "The prompt was accepted and waits for room among the growing conversations of its language.",
        active=False,
        goes_to=frozenset({S.GROWING, S.ABORTED_LOW_GRADE, S.HALTED_BY_MODERATOR}),
    ),
    S.GROWING: StateRow(
        "Growing",
        "Replies are written and reviewed until the conversation has the wanted size.",
        active=True,
        offers=REPLY_WORK | {Work.LABEL_PROMPTER_REPLY, Work.LABEL_ASSISTANT_REPLY},
        goes_to=frozenset({S.RANKING, S.ABORTED_LOW_GRADE, S.HALTED_BY_MODERATOR}),
    ),
    S.RANKING: StateRow(
        "Ranking",
        "Everything is reviewed; people order the replies that answer the same message.",
        active=True,
        offers=RANKING_WORK,
        goes_to=frozenset({S.READY_FOR_SCORING, S.HALTED_BY_MODERATOR}),
    ),
    S.READY_FOR_SCORING: StateRow(
        "Ready for scoring",
        "Enough people ranked; the consensus is computed in the same step.",
        active=True,
        goes_to=frozenset({S.READY_FOR_EXPORT, S.SCORING_FAILED, S.HALTED_BY_MODERATOR}),
    ),
    S.SCORING_FAILED: StateRow(
        "Scoring failed",
        "The consensus could not be computed. The votes are kept; the clock tries again, and so may a moderator.",
        active=False,
        goes_to=frozenset({S.READY_FOR_SCORING, S.RANKING, S.HALTED_BY_MODERATOR}),
    ),
    S.READY_FOR_EXPORT: StateRow(
        "In the data set",
        "Finished: reviewed, ranked and part of the data set.",
        active=False,
        goes_to=frozenset({S.HALTED_BY_MODERATOR}),
    ),
    S.BACKLOG_RANKING: StateRow(
        "Waiting to be ranked",
        "An imported conversation that waits until rankers have time.",
        active=False,
        goes_to=frozenset({S.RANKING, S.ABORTED_LOW_GRADE, S.HALTED_BY_MODERATOR}),
    ),
    S.ABORTED_LOW_GRADE: StateRow(
        "Not accepted",
        "Reviewers found the prompt unfit for the data set.",
        active=False,
        # Red flags ended trees before decision 55; a moderator can let such a tree go on.
        goes_to=frozenset({S.INITIAL_PROMPT_REVIEW, S.PROMPT_LOTTERY_WAITING, S.GROWING, S.HALTED_BY_MODERATOR}),
    ),
    S.HALTED_BY_MODERATOR: StateRow(
        "Stopped",
        "A moderator stopped it, many people complained and a moderator has to look, or nothing of it is left.",
        active=False,
        # Resuming returns to MessageTree.halted_from, which may be any state.
        goes_to=frozenset(S) - {S.HALTED_BY_MODERATOR},
    ),
}

TELLS_MODELS = frozenset({S.READY_FOR_EXPORT, S.ABORTED_LOW_GRADE})
"""Pages tell which messages a model wrote when nobody judges the tree any more, since that would bias people."""
ACTIVE = frozenset(state for state, row in TABLE.items() if row.active)


def is_allowed(source: State, target: State) -> bool:
    """Return True if the step is allowed; a halted tree may be halted again, then on purpose."""
    return target in TABLE[source].goes_to or source == target == State.HALTED_BY_MODERATOR
