"""Chats and messages as clients of the reference server know them."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from inference.models import Chat, ChatMessage, ChatReport, Role, Turn, Vote
from inference.turns.states import OPEN, TurnState
from oasst.accounts.models import User

_STATES = {TurnState.STOPPED: "complete", TurnState.FAILED: "aborted_by_worker"}
"""Of ours that they do not know. A stopped answer can be replied to, which for them only a complete one can."""
_SAMPLING = ("top_k", "top_p", "typical_p", "temperature", "repetition_penalty")


def show_chat_with_messages(chat: Chat, person: User) -> dict[str, Any]:
    messages = _shown(ChatMessage.objects.filter(chat=chat), person).order_by("created_at", "id")
    return {**vars(chat), "messages": [show_message(one) for one in messages]}


def find_and_show(message_id: UUID, person: User) -> dict[str, Any] | None:
    """None for a message that was deleted meanwhile. Three statements."""
    found = _shown(ChatMessage.objects.filter(pk=message_id), person).first()
    return None if found is None else show_message(found)


def _shown(messages: QuerySet[ChatMessage], person: User) -> QuerySet[ChatMessage]:
    """With all that `show_message` looks at."""
    return messages.select_related("turn").prefetch_related(
        Prefetch("votes", Vote.objects.filter(user=person)),
        Prefetch("reports", ChatReport.objects.filter(user=person).order_by("pk")),
    )


def show_message(message: ChatMessage) -> dict[str, Any]:
    """A message that was made a moment ago, or one with its votes and reports at hand."""
    turn = message.turn if message.role == Role.ASSISTANT else None
    known = bool(getattr(message, "_prefetched_objects_cache", None))
    votes, reports = (message.votes.all(), message.reports.all()) if known else ((), ())
    return {
        "id": message.pk,
        "parent_id": message.parent_id,
        "chat_id": message.chat_id,
        "content": _content(message, turn),
        "created_at": message.created_at,
        "role": message.role,
        "state": "manual" if turn is None else _STATES.get(TurnState(turn.state), turn.state),
        "score": next((vote.score for vote in votes), 0),
        "reports": _reports(reports),
        "work_parameters": turn and _work_parameters(turn),
        "safe_content": None,
        "safety_level": None,
        "safety_label": None,
        "safety_rots": None,
        "used_plugin": None,
    }


def _content(message: ChatMessage, turn: Turn | None) -> str | None:
    if turn is None or turn.state in (TurnState.COMPLETE, TurnState.STOPPED):
        return message.content
    return None if turn.state in OPEN else message.content or None


def _reports(reports: Iterable[ChatReport]) -> list[dict[str, str]]:
    return [{"id": str(one.pk), "report_type": one.kind, "reason": one.reason} for one in reports]


def _work_parameters(turn: Turn) -> dict[str, Any]:
    return {
        "model_config": {
            "model_id": turn.model,
            "max_input_length": settings.ENGINE_CONTEXT - 1,
            "max_total_length": settings.ENGINE_CONTEXT,
            "quantized": False,
        },
        "sampling_parameters": show_sampling(turn.sampling),
        "do_sample": turn.sampling.get("temperature") != 0,
        "seed": turn.sampling.get("seed", 0),
        # With what the person said about themselves: it is one text by now.
        "system_prompt": turn.system_prompt or None,
        "user_profile": None,
        "user_response_instructions": None,
        "plugins": [],
        "plugin_max_depth": 4,
    }


def show_sampling(sampling: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: sampling.get(name) for name in _SAMPLING}
    return {**shown, "max_new_tokens": sampling.get("max_tokens", 1024)}


def read_sampling(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Their settings by our names."""
    return {"max_tokens" if name == "max_new_tokens" else name: value for name, value in (given or {}).items()}
