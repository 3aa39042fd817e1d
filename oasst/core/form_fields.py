"""Form fields for texts that people write.

They have no `maxlength`, with which browsers silently cut a paste and count other units than the server does.
`static/js/count.js` shows `data-limit` instead.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator

from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_line, clean_optional, clean_text

F = TypeVar("F", bound=forms.Form | forms.ModelForm)


def without_maxlength(form: type[F]) -> type[F]:
    """Return the form class without `maxlength`, which makes browsers cut a paste without a word."""
    for field in form.base_fields.values():
        field.widget.attrs.pop("maxlength", None)
    return form


class TextField(forms.CharField):
    """A text as typed, with indentation. With `limit` the field applies the text rules, without it the service does."""

    widget: type[forms.Widget] = forms.Textarea
    clean_value: Callable[..., str] = staticmethod(clean_text)

    def __init__(self, *, limit: int | None = None, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(**{"strip": False, **kwargs})
        # The text rules refuse null characters too, and say where they are.
        self.validators = [v for v in self.validators if not isinstance(v, ProhibitNullCharactersValidator)]

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), **({"data-limit": self.limit} if self.limit else {})}

    def clean(self, value: Any) -> str:
        typed: str = super().clean(value)
        if self.limit is None:
            return typed
        clean = self.clean_value if self.required else partial(clean_optional, clean=self.clean_value)
        try:
            return clean(typed, limit=self.limit, field="text")
        except Invalid as error:
            raise ValidationError(error.message, code=error.code) from error


class LineField(TextField):
    """A name or a title: one line."""

    widget = forms.TextInput
    clean_value = staticmethod(clean_line)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"strip": True, **kwargs})
