"""Colored badges for states and names for kinds of work, the same on every admin page."""

from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from oasst.core.read_only_admin import badge
from trees.lifecycle.states import TABLE, State, Work
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
WORKS = {
    Work.LABEL_INITIAL_PROMPT: _("Check prompts"),
    Work.LABEL_PROMPTER_REPLY: _("Check follow-ups"),
    Work.LABEL_ASSISTANT_REPLY: _("Check answers"),
    Work.PROMPTER_REPLY: _("Write follow-ups"),
    Work.ASSISTANT_REPLY: _("Write answers"),
    Work.RANK_PROMPTER_REPLIES: _("Rank follow-ups"),
    Work.RANK_ASSISTANT_REPLIES: _("Rank answers"),
}
MESSAGE_STATES = {
    "in_review": (_("in review"), "info"),
    "accepted": (_("accepted"), "success"),
    "rejected": (_("not accepted"), "warning"),
    "deleted": (_("removed"), "danger"),
    "withdrawn": (_("withdrawn"), "danger"),
    "waiting": (_("waits for a moderator"), "danger"),
    "hidden": (_("hidden"), "danger"),
}


def state_badge(state: str) -> SafeString | str:
    return badge(TABLE[State(state)].label, TONES[State(state)]) if state else "–"


def message_badge(message: Message) -> SafeString:
    words, tone = MESSAGE_STATES[message_state(message)]
    return badge(str(words), tone)
