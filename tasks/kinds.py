"""The table of kinds of tasks: their texts on pages, their category and answer, how often they are drawn."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from django.urls import reverse

from trees.lifecycle.states import Work

Category = Literal["write", "check", "compare"]
Answer = Literal["text", "labels", "ranking"]


class Kind(StrEnum):
    INITIAL_PROMPT = "initial_prompt"
    PROMPTER_REPLY = "prompter_reply"
    ASSISTANT_REPLY = "assistant_reply"
    RANK_PROMPTER_REPLIES = "rank_prompter_replies"
    RANK_ASSISTANT_REPLIES = "rank_assistant_replies"
    LABEL_INITIAL_PROMPT = "label_initial_prompt"
    LABEL_PROMPTER_REPLY = "label_prompter_reply"
    LABEL_ASSISTANT_REPLY = "label_assistant_reply"


@dataclass(frozen=True)
class KindRow:
    title: str
    text: str  # on the card
    instruction: str  # on the page
    guide: tuple[str, ...]
    category: Category
    answer: Answer
    weight: float  # relative chance when any kind is asked for, as in the reference system
    guidelines: str  # the page of the guidelines, and its section after a #

    @property
    def guidelines_url(self) -> str:
        topic, _, section = self.guidelines.partition("#")
        return reverse("guidelines_topic", args=[topic]) + (f"#{section}" if section else "")


TABLE: dict[Kind, KindRow] = {
    Kind.INITIAL_PROMPT: KindRow(
        "Start a conversation",
        "Write the first message of a conversation: what you would ask an assistant.",
        "Open a new conversation with one clear request.",
        (
            "Ask what you would really ask an assistant.",
            "Give what is needed to answer it: context, format, length.",
            "Leave out names, addresses and other personal data.",
        ),
        "write",
        "text",
        0.01,
        "prompts#openers",
    ),
    Kind.PROMPTER_REPLY: KindRow(
        "Continue as the user",
        "Write what the person who asked would say next.",
        "Read the conversation and write what the same person would say next.",
        (
            "Stay the same person: same goal, same tone.",
            "React to the answer: ask on, object, clarify, or change direction.",
            "Write more than a thank-you: give the assistant something to answer.",
        ),
        "write",
        "text",
        2,
        "prompts#follow-ups",
    ),
    Kind.ASSISTANT_REPLY: KindRow(
        "Answer as the assistant",
        "Write the answer that a good assistant would give.",
        "Read the conversation and write the best answer you can.",
        (
            "Be correct first, then complete, then brief.",
            "Check facts, and say so where you are not sure.",
            "Write it yourself: text copied from a chatbot spoils the data set.",
        ),
        "write",
        "text",
        2,
        "answers",
    ),
    Kind.RANK_PROMPTER_REPLIES: KindRow(
        "Order the follow-ups",
        "Compare several user messages.",
        "Put the most natural, most useful follow-up on top.",
        (
            "Which one would move the conversation forward?",
            "Prefer what fits the person who started it.",
            "A longer text is not better for its length.",
        ),
        "compare",
        "ranking",
        10,
        "ranking#prompts",
    ),
    Kind.RANK_ASSISTANT_REPLIES: KindRow(
        "Order the answers",
        "Compare several answers to one question.",
        "Put the most useful, most correct answer on top.",
        (
            "A correct answer beats a confident one. Check facts where you can.",
            "Doing what was asked beats impressive extras.",
            "If every answer is wrong, say so with the box below the list.",
        ),
        "compare",
        "ranking",
        10,
        "ranking#answers",
    ),
    Kind.LABEL_INITIAL_PROMPT: KindRow(
        "Check an opener",
        "Read a first message: is it usable, and how good is it?",
        "Judge this first message.",
        (
            "Junk means unusable: trolling, gibberish, advertising.",
            "A simple question is not junk.",
            "If you are unsure, choose “Cannot tell” rather than guess.",
        ),
        "check",
        "labels",
        5,
        "reviewing",
    ),
    Kind.LABEL_PROMPTER_REPLY: KindRow(
        "Check a user message",
        "Read what somebody asked: is it usable, and how good is it?",
        "Judge the framed message in its context.",
        (
            "Would a person say this next?",
            "Junk means unusable: trolling, gibberish, advertising.",
            "If you are unsure, choose “Cannot tell” rather than guess.",
        ),
        "check",
        "labels",
        5,
        "reviewing",
    ),
    Kind.LABEL_ASSISTANT_REPLY: KindRow(
        "Check an answer",
        "Read an answer: is it usable, and how good is it?",
        "Judge the framed answer in its context.",
        (
            "Does it do what was asked?",
            "Is it correct? Look up what you doubt.",
            "If you are unsure, choose “Cannot tell” rather than guess.",
        ),
        "check",
        "labels",
        5,
        "reviewing",
    ),
}


def work_of(kind: Kind) -> Work | None:
    """Return the work of a kind of task; None for a first prompt, which is not about a message."""
    return None if kind == Kind.INITIAL_PROMPT else Work(kind.value)
