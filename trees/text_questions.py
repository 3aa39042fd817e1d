"""A form that asks before a text with personal data is sent, and offers to mask it.

It has the manners of the question about the language: the form is shown again with the question, nothing is stored
meanwhile, the first answer only needs the button to be pressed again, and the author may send the text as it is.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from django.conf import settings

from inference.scoring import personal_data
from inference.scoring.personal_data import Finding
from oasst.core.text.language_question import LanguageQuestion

_MASK, _CHANGE, _KEEP = "mask", "change", "keep"
_CHOICES = [(_MASK, "Send it masked"), (_CHANGE, "I will change it"), (_KEEP, "Send it as it is")]
_LONGEST_EXCERPT = 60  # characters


class FoundPart(NamedTuple):
    """One finding, as the question shows it."""

    text: str
    mask: str


class TextQuestions(LanguageQuestion):
    """Base class for forms with a field `text` that everybody will read. `found_parts` lists what was found in it."""

    personal_data = forms.CharField(label="It may hold personal data", required=False, widget=forms.RadioSelect)
    asked_about_parts = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.found_parts: list[FoundPart] = []

    @property
    def only_asks(self) -> bool:
        """True if questions are the only errors. Then they replace the error summary."""
        is_asking = self.is_asking or bool(self.found_parts)
        return is_asking and bool(self.errors) and set(self.errors) <= {"language", "personal_data"}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        text = self.cleaned_data.get("text") or ""
        if settings.OASST_SCORING and text:
            findings = personal_data.find(text, self.lang or self.filed_as)
            if findings:
                self._ask_about(text, findings)
        return cleaned

    def _ask_about(self, text: str, findings: Sequence[Finding]) -> None:
        answer, about = self.cleaned_data.get("personal_data", ""), _digest(text, findings)
        # An answer about other parts does not count.
        is_answered = self.cleaned_data.get("asked_about_parts") == about and answer in dict(_CHOICES)
        self.found_parts = [FoundPart(_excerpt(text[f.start : f.end]), f.mask) for f in findings]
        widget: Any = self.fields["personal_data"].widget
        widget.choices = _CHOICES
        data: Any = self.data
        data = data.copy()
        data[self.add_prefix("asked_about_parts")] = about
        data[self.add_prefix("personal_data")] = answer if is_answered else _MASK
        self.data = data
        if not is_answered or answer == _CHANGE:
            self.add_error("personal_data", "Everybody will be able to read this and download it. Send it masked?")
        elif answer == _MASK:
            self.cleaned_data["text"] = personal_data.mask(text, findings)


def _digest(text: str, findings: Sequence[Finding]) -> str:
    parts = "\n".join(f"{finding.kind} {text[finding.start : finding.end]}" for finding in findings)
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:16]


def _excerpt(part: str) -> str:
    return part if len(part) <= _LONGEST_EXCERPT else f"{part[: _LONGEST_EXCERPT - 1]}…"
