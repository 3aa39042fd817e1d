"""Chats and messages as in Open-Assistant's inference server."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from inference.api.schemas import SamplingParameters
from inference.models import Chat, ChatMessage, ChatReport, Role, Turn, Vote
from inference.turns.states import OPEN, TurnState
from oasst.accounts.models import User

_STATES = {TurnState.STOPPED: "complete", TurnState.FAILED: "aborted_by_worker"}
"""States that its clients do not know. They reply only to a complete answer, we to a stopped one too."""
_SAMPLING = tuple(SamplingParameters().fields)


def represent_chat(chat: Chat, user: User) -> dict[str, Any]:
    messages = _prefetched(ChatMessage.objects.filter(chat=chat), user).order_by("created_at", "id")
    return {**vars(chat), "messages": [represent_message(message) for message in messages]}


def represent_message_by_id(message_id: UUID, user: User) -> dict[str, Any] | None:
    """Return a message, or None if it was deleted meanwhile. Three statements."""
    message = _prefetched(ChatMessage.objects.filter(pk=message_id), user).first()
    return None if message is None else represent_message(message)


def _prefetched(messages: QuerySet[ChatMessage], user: User) -> QuerySet[ChatMessage]:
    """Prefetch what `represent_message` reads."""
    return messages.select_related("turn").prefetch_related(
        Prefetch("votes", Vote.objects.filter(user=user)),
        Prefetch("reports", ChatReport.objects.filter(user=user).order_by("pk")),
    )


def represent_message(message: ChatMessage) -> dict[str, Any]:
    """Represent a new message, or one with prefetched votes and reports."""
    turn = message.turn if message.role == Role.ASSISTANT else None
    prefetched = bool(getattr(message, "_prefetched_objects_cache", None))
    votes, reports = (message.votes.all(), message.reports.all()) if prefetched else ((), ())
    return {
        "id": message.pk,
        "parent_id": message.parent_id,
        "chat_id": message.chat_id,
        "content": _content(message, turn),
        "created_at": message.created_at,
        "role": message.role,
        "state": "manual" if turn is None else _STATES.get(TurnState(turn.state), turn.state),
        "score": next((vote.score for vote in votes), 0),
        "reports": [{"id": str(r.pk), "report_type": r.kind, "reason": r.reason} for r in reports],
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


def _work_parameters(turn: Turn) -> dict[str, Any]:
    return {
        "model_config": {
            "model_id": turn.model,
            "max_input_length": settings.ENGINE_CONTEXT - 1,
            "max_total_length": settings.ENGINE_CONTEXT,
            "quantized": False,
        },
        "sampling_parameters": represent_sampling(turn.sampling),
        "do_sample": turn.sampling.get("temperature") != 0,
        "seed": turn.sampling.get("seed", 0),
        # Includes the user's instructions.
        "system_prompt": turn.system_prompt or None,
        "user_profile": None,
        "user_response_instructions": None,
        "plugins": [],
        "plugin_max_depth": 4,
    }


def represent_sampling(sampling: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sampling.get(name) for name in _SAMPLING} | {"max_new_tokens": sampling.get("max_tokens", 1024)}


def sampling_from_wire(sampling: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings of a request under our names."""
    return {"max_tokens" if name == "max_new_tokens" else name: value for name, value in (sampling or {}).items()}
