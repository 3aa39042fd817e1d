"""Answered chats for tests of what comes from them, made without an engine."""

from typing import Any

from django.utils import timezone

from inference.models import Chat, ChatMessage, Turn
from inference.models import Role as ChatRole
from oasst.accounts.models import User

Exchange = tuple[str, str]
SKY: tuple[Exchange, ...] = (
    ("Why does the sky look blue at noon?", "Air scatters blue light more than red light."),
    ("And why is it red in the evening?", "Then the light has a longer way through the air."),
)


def answered_chat(person: User, *exchanges: Exchange, **fields: Any) -> Chat:
    """Return a chat with these questions and complete answers of the model `tiny`."""
    chat = Chat.objects.create(user=person, **fields)
    parent = None
    for asked, said in exchanges or SKY:
        question = ChatMessage.objects.create(chat=chat, parent=parent, role=ChatRole.PROMPTER, content=asked)
        parent = new_answer(question, said)
    return chat


def new_answer(question: ChatMessage, text: str, **turn: Any) -> ChatMessage:
    """Return another answer to this question; `turn` holds other columns of its turn."""
    answer = ChatMessage.objects.create(chat=question.chat, parent=question, role=ChatRole.ASSISTANT, content=text)
    now = timezone.now()
    values = {"state": "complete", "ended_at": now, "deadline_at": now, "finish_reason": "eos_token", "text": text}
    Turn.objects.create(message=answer, user=question.chat.user, model="tiny", **{**values, **turn})
    return answer


def questions(chat: Chat) -> list[ChatMessage]:
    return list(chat.messages.filter(role=ChatRole.PROMPTER).order_by("created_at", "id"))


def answers(chat: Chat) -> list[ChatMessage]:
    return list(chat.messages.filter(role=ChatRole.ASSISTANT).order_by("created_at", "id"))
