"""Let a reward model judge answers, many at once."""

import sys
from collections.abc import Sequence
from pathlib import Path

from inference.engine.base import Message
from inference.engine.chat_template import BadTemplate, ChatTemplate
from inference.training.batches import texts
from inference.training.errors import TrainingError
from inference.training.models import load_reward_model, load_tokenizer
from inference.training.samples import fit

ROWS = 16
"""Conversations that are judged together."""


class Judge:
    """A reward model in a folder. Loading takes seconds.

    `max_length` is in tokens; 0 for the context of the model. Raise TrainingError (`reward_model`) if there is none in
    the folder, (`base`) if it cannot be loaded.
    """

    def __init__(self, folder: Path, *, max_length: int = 0, rows: int = ROWS) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._template = ChatTemplate(self._tokenizer, for_training=True)
        self._model = load_reward_model(folder, self._tokenizer)
        self._length = max_length or int(getattr(self._model.config, "max_position_embeddings", 0) or 2048)
        self._rows = rows

    def scores(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """Return the score of the last message of each conversation, which is the answer; the higher, the better.

        Scores of one prompt can be compared, and only with those of the same model. Of a conversation that is too long
        the oldest turns go; if the last turn alone is too long, its beginning. Raise TrainingError (`prompt`) if the
        last two messages are no question and answer, (`template`) if the template cannot lay out a conversation.
        """
        rows = [self._ids(messages) for messages in conversations]
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))  # like lengths need little padding
        found = [0.0] * len(rows)
        for start in range(0, len(order), self._rows):
            together = order[start : start + self._rows]
            for number, score in zip(together, self._judge([rows[one] for one in together]), strict=True):
                found[number] = score
        return found

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the conversation up to the token that ends the answer, which the model pools."""
        if [one.role for one in messages[-2:]] != ["user", "assistant"]:
            raise TrainingError("Only an answer to a question can be judged: these must be the last.", code="prompt")
        *asked, said = [{"role": one.role, "content": one.content} for one in messages]
        try:
            fitted = fit(asked, [[said]], self._template, self._length)
            fitted = fitted or fit(asked[-1:], [[said]], self._template, sys.maxsize)
        except BadTemplate as error:
            raise TrainingError(str(error), code="template") from error
        assert fitted is not None
        prompt, (answer,) = fitted
        return (prompt + answer)[-self._length :]

    def _judge(self, rows: Sequence[list[int]]) -> list[float]:
        import torch

        batch = texts([[] for _ in rows], rows, self._model.config.pad_token_id)
        device = self._model.device
        with torch.no_grad():
            scores = self._model(
                input_ids=batch["input_ids"].to(device), attention_mask=batch["attention_mask"].to(device)
            ).logits
        found: list[float] = scores.float().squeeze(1).tolist()
        return found
