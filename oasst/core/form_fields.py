"""Form fields for what people write.

None has `maxlength`: a browser cuts a paste there without a word, and counts other units than we do. `data-limit` lets
`static/js/count.js` say how much is too much; the server decides.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator

from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_line, clean_remark, clean_text


class TextField(forms.CharField):
    """A text as it was typed, indentation and all. With `limit` it is cleaned and refused by the text rules; without,
    by the service that stores it.
    """

    widget: type[forms.Widget] = forms.Textarea
    clean_value: Callable[..., str] = staticmethod(clean_text)

    def __init__(self, *, limit: int | None = None, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(**{"strip": False, **kwargs})
        # The text rules refuse these characters too, and say where they stand.
        self.validators = [one for one in self.validators if not isinstance(one, ProhibitNullCharactersValidator)]

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), **({"data-limit": self.limit} if self.limit else {})}

    def clean(self, value: Any) -> str:
        typed: str = super().clean(value)
        if self.limit is None:
            return typed
        clean = self.clean_value if self.required else partial(clean_remark, clean=self.clean_value)
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
