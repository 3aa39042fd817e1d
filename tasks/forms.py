"""Forms for the three kinds of answers. They parse the input; the rules are in the services."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width
from uuid import UUID

from django import forms
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from oasst.core.form_fields import TextField
from oasst.core.http.kept_forms import MARK
from oasst.core.markdown.rendering import render
from tasks.models import Task
from trees.contributing.reviews import mandatory_labels, requested_labels
from trees.label_questions import LabelQuestions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Review
from trees.queries import ranking_texts
from trees.text_questions import TextQuestions

# Fields that our pages send besides the answer itself.
SIMILAR_SEEN = "similar_seen"
"""The field that says: the author has seen which prompts are similar, and is not told again."""
SHORT_SEEN = "short_seen"
"""The field that says: the author was asked whether so short a reply is meant."""
NON_ANSWER_FIELDS = {"csrfmiddlewaretoken", "then", "idea", MARK, SIMILAR_SEEN, SHORT_SEEN}
SHORT_REPLY = 20  # letters of an alphabet
_WIDE = 3  # a Chinese or Japanese sign says about as much as three letters


def is_short(text: str) -> bool:
    """Return True for a reply that is so short that it may have been sent by mistake."""
    return sum(_WIDE if east_asian_width(sign) in "WF" else 1 for sign in text.strip()[:SHORT_REPLY]) < SHORT_REPLY


class TextForm(TextQuestions):
    """A prompt or a reply. The service checks the text, so that pages and API give the same errors."""

    text = TextField(required=False)

    def __init__(self, *args: Any, text_limit: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.text_limit = text_limit


class LabelForm(LabelQuestions):
    """The labels that a review asks for."""

    def clean(self) -> dict[str, Any]:
        for name in sorted(set(self.data) - set(self.fields) - NON_ANSWER_FIELDS):
            self.add_error(None, f"There is no label called “{name[:40]}” in this task.")
        return self.cleaned_data


class VerdictForm(forms.Form):
    """Practice for writers: whether a text was accepted."""

    accepted = forms.ChoiceField(
        label=gettext_lazy("Is it accepted?"),
        choices=[("1", gettext_lazy("Yes, it is accepted")), ("0", gettext_lazy("No, it is kept out"))],
        error_messages={"required": gettext_lazy("Please say yes or no.")},
    )


@dataclass
class RankItem:
    id: UUID
    text: str
    html: SafeString
    position: int  # from 1
    synthetic_badge: bool
    errors: list[str]


class RankingForm(forms.Form):
    """A position for each reply. Works without JavaScript."""

    not_rankable = forms.BooleanField(required=False)

    def __init__(self, *args: Any, replies: list[Message], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.replies = replies
        for reply in replies:
            self.fields[f"rank_{reply.pk}"] = forms.CharField(required=False)

    @property
    def items(self) -> list[RankItem]:
        # In a list that mixes human and model replies, the ranker must not see which is which.
        reveal = all(reply.synthetic for reply in self.replies)
        return [
            RankItem(
                reply.pk,
                reply.text,
                render(reply.text),
                self._parse(self[f"rank_{reply.pk}"].value()) or position,
                reveal,
                [str(error) for error in self[f"rank_{reply.pk}"].errors],
            )
            for position, reply in enumerate(self.replies, start=1)
        ]

    def _parse(self, value: object) -> int | None:
        """Return the position, or None. Compared as text, since int() raises for thousands of digits."""
        text = str(value)
        return int(text) if text in map(str, range(1, len(self.replies) + 1)) else None

    def clean(self) -> dict[str, Any]:
        number = len(self.replies)
        for name in sorted(set(self.data) - set(self.fields) - NON_ANSWER_FIELDS):
            self.add_error(None, f"“{name[:60]}” names no reply of this task.")
        taken: dict[int, str] = {}
        for letter, reply in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", self.replies, strict=False):
            name = f"rank_{reply.pk}"
            position = self._parse(self.cleaned_data.get(name))
            if position is None:
                self.add_error(name, f"Reply {letter} needs a place from 1 to {number}.")
            elif position in taken:
                self.add_error(name, f"Replies {taken[position]} and {letter} share place {position}.")
            else:
                taken[position] = letter
        return self.cleaned_data

    @property
    def ordered_ids(self) -> list[UUID]:
        return [r.pk for r in sorted(self.replies, key=lambda r: int(self.cleaned_data[f"rank_{r.pk}"]))]


def label_form(task: Task, policy: TreePolicy, data: Any = None, initial: dict[str, Any] | None = None) -> LabelForm:
    if task.message is None:
        raise AssertionError("a review is about a message")
    return _label_form(task.message, task.mode, policy, data, initial)


def answers_of(review: Review) -> dict[str, str]:
    """Return the answers of a review as the fields of its form."""
    return {name: f"{value:g}" for name, value in review.labels.items() if value is not None}


def review_form(review: Review, policy: TreePolicy, data: Any = None) -> LabelForm:
    """Return the form that changes a review."""
    return _label_form(review.message, review.mode, policy, data, answers_of(review))


def _label_form(
    message: Message, mode: str, policy: TreePolicy, data: Any, initial: Mapping[str, Any] | None
) -> LabelForm:
    asked, mandatory = requested_labels(message, mode, policy), mandatory_labels(message, policy)
    return LabelForm(data, initial=initial, asked=asked, mandatory=mandatory)


def ranking_form(task: Task, data: Any = None, initial: dict[str, Any] | None = None) -> RankingForm:
    texts = ranking_texts(task.reply_ids)
    return RankingForm(data, initial=initial, replies=[texts[pk] for pk in task.reply_ids if pk in texts])
