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
    values: dict[str, str] = field(default_factory=dict)  # as they stand on the page
    options: dict[str, list[str]] = field(default_factory=dict)  # what may be chosen, by field
    required: set[str] = field(default_factory=set)

    buttons: dict[str, list[str]] = field(default_factory=dict)  # names and values of its buttons

    def filled(self, fields: dict[str, str | None]) -> dict[str, str]:
        """What is sent when the person fills in `fields`; None leaves a field empty, or unticked.

        Raises LookupError for what a person could not do on this page.
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
    """A page: its forms, its first heading, what it says is wrong."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self.url = url
        self.path = urlsplit(url).path
        self.forms: list[Form] = []
        self.task_kind = ""
        self.heading = ""
        self.alerts: list[str] = []
        self._inside: list[Form] = []
        self._elsewhere: list[tuple[str, str, str]] = []  # buttons outside of their form: form, name, value
        self._textarea = ""
        self._select = ""
        self._hearing: list[str] = []
        self._depth = 0
        self.feed(html)
        for form_id, name, value in self._elsewhere:
            for form in self.forms:
                if form.id == form_id:
                    form.buttons.setdefault(name, []).append(value)

    def form_by_id(self, form_id: str) -> Form:
        return self._one(form for form in self.forms if form.id == form_id)

    def form_with(self, name: str) -> Form:
        return self._one(form for form in self.forms if name in form.values)

    def _one(self, found: Iterator[Form]) -> Form:
        form = next(found, None)
        if form is None:
            raise LookupError(f"{self.summary()} lacks the form")
        return form

    def summary(self) -> str:
        return " · ".join([self.path, self.heading.strip(), *(" ".join(alert.split()) for alert in self.alerts)])

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if "data-task-kind" in given:
            self.task_kind = given["data-task-kind"]
        if tag == "h1":
            self._hearing = ["heading"]
        elif given.get("role") == "alert" or "field__errors" in given.get("class", ""):
            self._hearing = [tag]
            self.alerts.append("")
        if tag == "form":
            self._inside = [Form(self.url, given.get("id", ""), given.get("action") or self.url)]
            self.forms += self._inside
        elif tag == "button" and given.get("name"):
            if "form" in given:
                self._elsewhere.append((given["form"], given["name"], given.get("value", "")))
            elif self._inside:
                self._inside[0].buttons.setdefault(given["name"], []).append(given.get("value", ""))
        elif self._inside:
            self._field(tag, given, self._inside[0])

    def _field(self, tag: str, given: dict[str, str], form: Form) -> None:
        name = given.get("name", "")
        if tag == "option" and self._select:
            form.options[self._select].append(given.get("value", ""))
            if "selected" in given or self._select not in form.values:
                form.values[self._select] = given.get("value", "")
            return
        if not name or tag == "button":
            return
        if "required" in given:
            form.required.add(name)
        kind = given.get("type", "text")
        if tag == "input" and kind in ("radio", "checkbox"):
            form.options.setdefault(name, []).append(given.get("value", "on"))
            if "checked" in given:
                form.values[name] = given.get("value", "on")
        elif tag == "input" and kind not in ("submit", "button", "image"):
            form.values[name] = given.get("value", "")
        elif tag == "select":
            self._select = name
            form.options[name] = []
        elif tag == "textarea":
            self._textarea = name
            form.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = []
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""
        if self._hearing and (tag == "h1" or tag == self._hearing[0]):
            self._hearing = []

    def handle_data(self, data: str) -> None:
        if self._textarea and self._inside:
            self._inside[0].values[self._textarea] += data
        if self._hearing == ["heading"]:
            self.heading += data
        elif self._hearing:
            self.alerts[-1] += data
