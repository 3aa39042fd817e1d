"""From the rows of a snapshot to samples of tokens: what a model reads, and what of it is learned.

Everything is cut between turns: a question is always whole and always before its answer, and nothing is learned twice.
A sample that cannot be cut so is left out, and counted.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.engine.base import Message
from inference.engine.chat_template import ChatTemplate, Tokens
from inference.training.config import Common, Dpo, Kto, Reward, Sft
from inference.training.errors import TrainingError
from inference.training.snapshot import Row, SnapshotFolder, Split

NO_LABEL = -100
"""The label of a token that is not learned, as torch ignores it."""


@dataclass
class Funnel:
    """How many rows came in, and how many were left out and why."""

    rows: int = 0
    samples: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def as_values(self) -> dict[str, Any]:
        return {"rows": self.rows, "samples": self.samples, "left_out": dict(sorted(self.left_out.items()))}


@dataclass(frozen=True)
class Conversation:
    """A sample for supervised fine-tuning."""

    ids: list[int]
    labels: list[int]
    """The id where it is learned, else NO_LABEL."""

    def as_row(self) -> dict[str, Any]:
        return {"input_ids": self.ids, "labels": self.labels}


@dataclass(frozen=True)
class Pair:
    """Two answers to one conversation."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    share: float
    """Of the people who compared them, those for the chosen one; 1 if that is unknown."""
    lang: str = ""


@dataclass(frozen=True)
class Order:
    """Some answers to one conversation."""

    prompt: list[int]
    answers: list[list[int]]
    ranks: list[int]
    """0 for the best; equal ones are tied."""
    lang: str = ""


@dataclass(frozen=True)
class Judged:
    """One answer that is clearly good or clearly bad."""

    prompt: list[int]
    answer: list[int]
    good: bool


def conversations(
    snapshot: SnapshotFolder, split: Split, template: ChatTemplate, config: Sft, funnel: Funnel
) -> list[Conversation]:
    """Return the conversations of a part. Each answer is learned once, although conversations share their beginnings.

    Raise TrainingError (`changed`, `empty`) and BadTemplate.
    """
    learned: set[tuple[str, ...]] = set()
    found: list[Conversation] = []
    for row in _chosen(snapshot.rows("threads", split, config.langs), config, funnel):
        if config.top_k and (row["top_k"] is None or row["top_k"] > config.top_k):
            funnel.left_out["not among the best replies"] += 1
            continue
        new = [_is_new(row["message_ids"][: end + 1], learned) for end in range(len(row["message_ids"]))]
        pieces = list(cut(messages_of(row["messages"]), new, template, config.max_length))
        if not any(label != NO_LABEL for piece in pieces for label in piece.labels):
            funnel.left_out["too long"] += 1
        found += [piece for piece in pieces if any(label != NO_LABEL for label in piece.labels)]
    return _counted(found, funnel, split, "conversations")


def _is_new(path: Sequence[str], learned: set[tuple[str, ...]]) -> bool:
    key = tuple(path)
    if key in learned:
        return False
    learned.add(key)
    return True


def messages_of(chat: Sequence[Mapping[str, str]]) -> list[Message]:
    """Return the messages of a row, without white space around them."""
    return [Message(one["role"], one["content"].strip()) for one in chat]  # type: ignore[arg-type]


def cut(
    messages: Sequence[Message], learn: Sequence[bool], template: ChatTemplate, max_length: int
) -> Iterator[Conversation]:
    """Yield a conversation in pieces that are short enough, each a whole number of turns, with a system message first.

    Only answers with `learn` are learned. Of a single turn that is too long, the answer loses its end, which then is
    not learned to end there; a question that leaves no room for an answer is left out.
    """
    system = [one for one in messages if one.role == "system"]
    turns = _turns(messages, learn)
    while turns:
        number = len(turns)
        tokens = _tokens(system, turns, template)
        while len(tokens) > max_length and number > 1:
            number -= 1
            tokens = _tokens(system, turns[:number], template)
        if any(is_learned for turn in turns[:number] for _, is_learned in turn):
            yield _labeled(tokens, turns[:number], max_length)
        turns = turns[number:]


def _turns(messages: Sequence[Message], learn: Sequence[bool]) -> list[list[tuple[Message, bool]]]:
    """Return the turns, each from a question to the message before the next one."""
    turns: list[list[tuple[Message, bool]]] = []
    for message, is_learned in zip(messages, learn, strict=True):
        if message.role == "system":
            continue
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append((message, is_learned and message.role == "assistant"))
    return turns


def _tokens(system: list[Message], turns: list[list[tuple[Message, bool]]], template: ChatTemplate) -> Tokens:
    return template.conversation([*system, *(message for turn in turns for message, _ in turn)])


def _labeled(tokens: Tokens, turns: list[list[tuple[Message, bool]]], max_length: int) -> Conversation:
    """Return the tokens with those as labels that belong to a learned answer."""
    learn = [is_learned for turn in turns for message, is_learned in turn if message.role == "assistant"]
    labels, number, before = [], -1, False
    for token, is_answer in zip(tokens.ids, tokens.is_answer, strict=True):
        number += is_answer and not before
        before = is_answer
        labels.append(token if is_answer and learn[number] else NO_LABEL)
    return Conversation(tokens.ids[:max_length], labels[:max_length])


def pairs(
    snapshot: SnapshotFolder, split: Split, template: ChatTemplate, config: Reward | Dpo, funnel: Funnel
) -> list[Pair]:
    """Return pairs of answers. Raise TrainingError (`changed`, `empty`) and BadTemplate."""
    found: list[Pair] = []
    for row in _chosen(_with_chats("pairs", snapshot, split, config), config, funnel):
        if row["near_tie"] and not config.near_ties:
            funnel.left_out["near tie"] += 1
            continue
        fitted = fit(row["prompt"], [row["chosen"], row["rejected"]], template, config.max_length)
        if fitted is None:
            funnel.left_out["too long"] += 1
            continue
        share = 1.0 if row["preference_share"] is None else row["preference_share"]
        prompt, (chosen, rejected) = fitted
        found.append(Pair(prompt, chosen, rejected, share=share, lang=row["lang"] or ""))
    return _counted(found, funnel, split, "pairs of ranked replies")


def orders(
    snapshot: SnapshotFolder, split: Split, template: ChatTemplate, config: Reward, funnel: Funnel
) -> list[Order]:
    """Return ranked answers, best first. Raise TrainingError (`changed`, `empty`) and BadTemplate."""
    found: list[Order] = []
    for row in _chosen(snapshot.rows("rankings", split, config.langs), config, funnel):
        replies = _best_and_worst(row["replies"], config.most_replies)
        answers = [[{"role": "assistant", "content": reply["content"]}] for reply in replies]
        fitted = fit(row["prompt"], answers, template, config.max_length)
        if fitted is None:
            funnel.left_out["too long"] += 1
            continue
        found.append(Order(*fitted, ranks=[reply["rank"] for reply in replies], lang=row["lang"] or ""))
    return _counted(found, funnel, split, "rankings of replies")


def _best_and_worst(replies: list[Row], most: int) -> list[Row]:
    return replies if len(replies) <= most else [*replies[: most - 1], replies[-1]]


def judged(snapshot: SnapshotFolder, split: Split, template: ChatTemplate, config: Kto, funnel: Funnel) -> list[Judged]:
    """Return good and bad answers. Raise TrainingError (`changed`, `empty`, `one_sided`) and BadTemplate."""
    found: list[Judged] = []
    for row in _chosen(_with_chats("kto", snapshot, split, config), config, funnel):
        fitted = fit(row["prompt"], [row["completion"]], template, config.max_length)
        if fitted is None:
            funnel.left_out["too long"] += 1
            continue
        found.append(Judged(fitted[0], fitted[1][0], row["label"]))
    if found and len({one.good for one in found}) == 1:
        kind = "good" if found[0].good else "bad"
        raise TrainingError(
            f"All replies in the snapshot are {kind}: there is no difference to learn.", code="one_sided"
        )
    return _counted(found, funnel, split, "replies that are clearly good or bad")


def _with_chats(form: str, snapshot: SnapshotFolder, split: Split, config: Reward | Dpo | Kto) -> Iterator[Row]:
    """Yield the rows of a form, then those of the chat if they are wanted and there."""
    yield from snapshot.rows(form, split, config.langs)
    if config.chats and snapshot.has(f"chat_{form}", split):
        yield from snapshot.rows(f"chat_{form}", split, config.langs)


def prompts(snapshot: SnapshotFolder, split: Split, config: Common, funnel: Funnel) -> list[list[Message]]:
    """Return initial prompts, for methods that let the model answer. Raise TrainingError (`changed`, `empty`)."""
    rows = _chosen(snapshot.rows("prompts", split, config.langs), config, funnel)
    return _counted([messages_of(row["prompt"]) for row in rows], funnel, split, "accepted prompts")


def fit(
    prompt: Sequence[Mapping[str, str]],
    answers: Sequence[Sequence[Mapping[str, str]]],
    template: ChatTemplate,
    max_length: int,
) -> tuple[list[int], list[list[int]]] | None:
    """Return the ids of the prompt and of each answer to it with its end, together no longer than `max_length`.

    The oldest turns go first. None if the last question and the longest answer do not fit.
    """
    asked, said = messages_of(prompt), [messages_of(answer) for answer in answers]
    system, turns = [one for one in asked if one.role == "system"], _turns(asked, [False] * len(asked))
    for first in range(len(turns)):
        left = [*system, *(message for turn in turns[first:] for message, _ in turn)]
        question = template.prompt(left)
        found = [_answer(template.conversation([*left, *answer])) for answer in said]
        if len(question) + max(map(len, found)) <= max_length:
            return question, found
    return None


def _answer(tokens: Tokens) -> list[int]:
    """Return the tokens of the last answer."""
    end = len(tokens) - tokens.is_answer[::-1].index(True)
    start = end
    while start and tokens.is_answer[start - 1]:
        start -= 1
    return tokens.ids[start:end]


def _chosen(rows: Iterable[Row], config: Common, funnel: Funnel) -> Iterable[Row]:
    """Return all rows, or as many of them as wanted, drawn by the seed, in their order."""
    if not config.most_samples:
        for row in rows:
            funnel.rows += 1
            yield row
        return
    found = list(rows)
    funnel.rows += len(found)
    number = min(config.most_samples, len(found))
    funnel.left_out["more than wanted"] += len(found) - number
    drawn = random.Random(config.seed).sample(range(len(found)), number)  # noqa: S311  (not a secret)
    yield from (found[one] for one in sorted(drawn))


def _counted(found: list[Any], funnel: Funnel, split: Split, what: str) -> list[Any]:
    funnel.samples += len(found)
    if not found and split == "train":
        reasons = ", ".join(f"{number} {reason}" for reason, number in funnel.left_out.items() if number)
        raise TrainingError(
            f"There are no {what} to learn from in the snapshot"
            + (f" (of {funnel.rows}: {reasons})." if reasons else "."),
            code="empty",
        )
    return found
