"""The forms of a page, read from its HTML as a browser would read them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

Attributes = list[tuple[str, str | None]]


@dataclass
class Form:
    page_url: str
    id: str
    action: str
    values: dict[str, str] = field(default_factory=dict)  # initial values
    options: dict[str, list[str]] = field(default_factory=dict)  # choices by field
    required: set[str] = field(default_factory=set)
    buttons: dict[str, list[str]] = field(default_factory=dict)  # values of submit buttons by name

    def filled(self, fields: dict[str, str | None]) -> dict[str, str]:
        """Return the data that a browser sends when `fields` are filled in; None leaves a field empty, or unticked.

        Raise LookupError for fields and values that the page does not offer.
        """
        data = dict(self.values)
        for name, value in fields.items():
            if value is not None and value in self.buttons.get(name, ()):
                data[name] = value
            elif name not in self.options and name not in self.values:
                raise LookupError(f"the form {self.id or self.action} has no field {name}")
            elif value is None:
                data.pop(name, None)
                if "" in self.options.get(name, ()):  # the button for "cannot tell"
                    data[name] = ""
            elif name in self.options and value not in self.options[name]:
                raise LookupError(f"{name} offers {self.options[name]}, not {value!r}")
            else:
                data[name] = value
        missing = [name for name in self.required if not data.get(name)]
        if missing:
            raise LookupError(f"a browser would not send the form without {missing}")
        return data


class Page(HTMLParser):
    """A page: its forms, its heading and its error messages."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self.url = url
        self.path = urlsplit(url).path
        self.forms: list[Form] = []
        self.task_kind = ""
        self.heading = ""
        self.alerts: list[str] = []
        self._open_form: Form | None = None
        self._outer_buttons: list[tuple[str, str, str]] = []  # outside of their form: id of the form, name, value
        self._textarea = ""
        self._select = ""
        self._reading: str = ""  # "heading", or the tag of an error message
        self.feed(html)
        for form_id, name, value in self._outer_buttons:
            for form in self.forms:
                if form.id == form_id:
                    form.buttons.setdefault(name, []).append(value)

    def form_by_id(self, form_id: str) -> Form:
        return self._first(form for form in self.forms if form.id == form_id)

    def form_with(self, name: str) -> Form:
        return self._first(form for form in self.forms if name in form.values)

    def _first(self, forms: Iterator[Form]) -> Form:
        for form in forms:
            return form
        raise LookupError(f"{self.summary()} lacks the form")

    def summary(self) -> str:
        return " · ".join([self.path, self.heading.strip(), *(" ".join(alert.split()) for alert in self.alerts)])

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.task_kind = attributes.get("data-task-kind", self.task_kind)
        if tag == "h1":
            self._reading = "heading"
        elif attributes.get("role") == "alert" or "field__errors" in attributes.get("class", ""):
            self._reading = tag
            self.alerts.append("")
        if tag == "form":
            self._open_form = Form(self.url, attributes.get("id", ""), attributes.get("action") or self.url)
            self.forms.append(self._open_form)
        elif tag == "button" and attributes.get("name"):
            if "form" in attributes:
                self._outer_buttons.append((attributes["form"], attributes["name"], attributes.get("value", "")))
            elif self._open_form:
                self._open_form.buttons.setdefault(attributes["name"], []).append(attributes.get("value", ""))
        elif self._open_form:
            self._field(tag, attributes, self._open_form)

    def _field(self, tag: str, attributes: dict[str, str], form: Form) -> None:
        name = attributes.get("name", "")
        if tag == "option" and self._select:
            form.options[self._select].append(attributes.get("value", ""))
            if "selected" in attributes or self._select not in form.values:
                form.values[self._select] = attributes.get("value", "")
            return
        if not name or tag == "button":
            return
        if "required" in attributes:
            form.required.add(name)
        kind = attributes.get("type", "text")
        if tag == "input" and kind in ("radio", "checkbox"):
            form.options.setdefault(name, []).append(attributes.get("value", "on"))
            if "checked" in attributes:
                form.values[name] = attributes.get("value", "on")
        elif tag == "input" and kind not in ("submit", "button", "image"):
            form.values[name] = attributes.get("value", "")
        elif tag == "select":
            self._select = name
            form.options[name] = []
        elif tag == "textarea":
            self._textarea = name
            form.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open_form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""
        if tag in ("h1", self._reading):
            self._reading = ""

    def handle_data(self, data: str) -> None:
        if self._textarea and self._open_form:
            self._open_form.values[self._textarea] += data
        if self._reading == "heading":
            self.heading += data
        elif self._reading:
            self.alerts[-1] += data
