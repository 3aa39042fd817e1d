"""Battles for tests, made without an engine."""

from typing import Any

from django.utils import timezone

from inference.battles import battles
from inference.battles.contestants import NOISE
from inference.models import Battle, Chat, ChatMessage, Role, Turn
from oasst.accounts.models import User
from tests.inference.talking import POLICY

ANSWERS = ("One good answer.", "Two good answer.")


def begun(person: User, text: str = "What is a cat, and why does it purr?", kind: str = "presets") -> Battle:
    return battles.begin(user=person, text=text, kind=kind, policy=POLICY)


def answer(battle: Battle, *texts: str) -> Battle:
    """Write both answers, as engines do."""
    for message_id, text in zip((battle.left_id, battle.right_id), texts or ANSWERS, strict=True):
        ChatMessage.objects.filter(pk=message_id).update(content=text)
        ended = {"state": "complete", "ended_at": timezone.now(), "finish_reason": "eos_token"}
        Turn.objects.filter(pk=message_id).update(**ended, text=text)
    return Battle.objects.get(pk=battle.pk)


def answered(person: User, *texts: str, **about: Any) -> Battle:
    return answer(begun(person, **about), *texts)


def decided(
    person: User,
    left: str,
    right: str,
    outcome: str,
    *,
    texts: tuple[str, str] = ANSWERS,
    noise: str = "",
    lang: str = "en",
) -> Battle:
    """A decided battle of these models, written straight into the tables."""
    now = timezone.now()
    chat = Chat.objects.create(user=person)
    question = ChatMessage.objects.create(chat=chat, role=Role.PROMPTER, content="Why?")
    answers = []
    for side, model, text in (("left", left, texts[0]), ("right", right, texts[1])):
        message = ChatMessage.objects.create(chat=chat, parent=question, role=Role.ASSISTANT, content=text)
        sampling = dict(NOISE) if side == noise else {}
        values = {"state": "complete", "deadline_at": now, "ended_at": now}
        Turn.objects.create(message=message, user=person, model=model, sampling=sampling, **values)
        answers.append(message)
    return Battle.objects.create(
        user=person,
        chat=chat,
        left=answers[0],
        right=answers[1],
        left_model=left,
        left_preset="k50",
        right_model=right,
        right_preset="k50",
        is_check=bool(noise),
        lang=lang,
        outcome=outcome,
        judged_at=now,
    )
