"""Colored badges for states, the same on every admin page."""

from django.utils.safestring import SafeString

from oasst.core.read_only_admin import badge
from trees.lifecycle.states import TABLE, State
from trees.models import Message
from trees.queries import message_state

TONES = {
    State.INITIAL_PROMPT_REVIEW: "info",
    State.PROMPT_LOTTERY_WAITING: "",
    State.GROWING: "primary",
    State.RANKING: "primary",
    State.READY_FOR_SCORING: "primary",
    State.SCORING_FAILED: "danger",
    State.READY_FOR_EXPORT: "success",
    State.BACKLOG_RANKING: "",
    State.ABORTED_LOW_GRADE: "warning",
    State.HALTED_BY_MODERATOR: "danger",
}
_MESSAGE_STATES = {
    "in_review": ("in review", "info"),
    "accepted": ("accepted", "success"),
    "rejected": ("not accepted", "warning"),
    "deleted": ("deleted", "danger"),
    "withdrawn": ("withdrawn by its author", "danger"),
    "hidden": ("hidden until decided", "danger"),
}


def state_badge(state: str) -> SafeString | str:
    return badge(TABLE[State(state)].label, TONES[State(state)]) if state else "–"


def message_badge(message: Message) -> SafeString:
    return badge(*_MESSAGE_STATES[message_state(message)])
