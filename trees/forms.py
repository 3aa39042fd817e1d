"""The forms of the pages about trees. They check the form of the input; the services check the rules."""

from typing import Any

from django import forms

from oasst.core.form_fields import TextField
from trees.contributing.withdrawal import LONGEST_REMARK
from trees.text_questions import TextQuestions


class SuggestionForm(TextQuestions):
    """Another text for a message. The text rules check its length."""

    text = TextField(
        label="The better text",
        widget=forms.Textarea({"rows": 12, "class": "input", "dir": "auto"}),
    )

    def __init__(self, *args: Any, text_limit: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].widget.attrs["data-limit"] = text_limit
        self.fields["text"].help_text = f"Markdown works. Up to {text_limit} characters."


class WithdrawalForm(forms.Form):
    reason = TextField(
        label="Why do you withdraw it?",
        required=False,
        limit=LONGEST_REMARK,
        widget=forms.Textarea({"rows": 3, "class": "input", "dir": "auto"}),
        help_text="For the moderator who decides. You need not say.",
    )
