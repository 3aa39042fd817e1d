"""A conversation and its steps, as the pages of a message and of a conversation show them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from oasst.core.read_only_admin import duration_in_words
from trees.models import Message
from trees.moderation.badges import message_badge, state_badge
from trees.moderation.conversation_tree import Step, read_conversation


def shown_conversation(tree_id: UUID, this: Message | None = None) -> dict[str, Any]:
    """Return the variable of `trees/admin/conversation.html`. Two statements."""
    conversation = read_conversation(tree_id, this)
    turns = [{"turn": turn, "badge": message_badge(turn.message)} for turn in conversation.turns]
    return {"turns": turns, "is_cut": conversation.is_cut}


def shown_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Return the variable of `trees/admin/steps.html`."""
    return [
        {
            "transition": step.transition,
            "badge": state_badge(step.transition.to_state),
            "lasted": duration_in_words(step.seconds),
            "is_now": step.is_now,
        }
        for step in steps
    ]
