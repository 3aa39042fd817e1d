"""The client over HTTP: uses the pages like a browser without JavaScript.

Without an answer, or after an error page, it sends the same form again, as people do. That must not store anything
twice.
"""

import re
import time
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import requests

from oasst.simulation.crowd.forms import Form, Page
from oasst.simulation.crowd.work import Answer, Question, Refused, Work
from tasks.forms import SHORT_SEEN
from tasks.kinds import Kind
from trees.labels import LABELS

PATIENCE = 90.0  # seconds of repeating a request before giving up
PAUSE = 0.25
TIMEOUT = 30.0
TASK = re.compile(r"/tasks/([0-9a-f-]{36})/$")


class UnexpectedPage(Exception):
    """The site shows a page that a person could not continue from."""


class PageClient:
    def __init__(self, base_url: str, email: str, password: str, lang: str) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.email = email
        self.password = password
        self.lang = lang
        self.repeats = 0
        self.session = requests.Session()
        self.session.trust_env = False  # no proxies, no .netrc

    def enter(self) -> None:
        for _ in range(5):  # if the answer to a sign-in gets lost, its form cannot be used again
            page = self._get("accounts/login/?next=/dashboard/")
            if page.path.endswith("/accounts/login/"):
                form = page.form_with("password")
                page = self._send(form, {"login": self.email, "password": self.password}, refused=False)
            if page.path.endswith("/terms/accept/"):
                page = self._send(page.form_by_id("accept"), {})
            if page.path.endswith("/welcome/"):  # skipped
                page = self._get("dashboard/")
            if page.path.endswith("/dashboard/"):
                return
        raise UnexpectedPage(f"{self.email} cannot sign in: {page.summary()}")

    def take(self, kind: Kind | None) -> Work:
        dashboard = self._get(f"dashboard/?lang={self.lang}")
        value = kind.value if kind else "random"
        form = next((form for form in dashboard.forms if form.values.get("kind") == value), None)
        if form is None:
            raise Refused("no_work", "the dashboard offers none")
        return self._work(self._send(form, {}))

    def open(self, task_id: UUID) -> Work:
        return self._work(self._get(f"tasks/{task_id}/"))

    def _work(self, page: Page) -> Work:
        if page.path.endswith("/tasks/nothing/"):
            raise Refused("no_work", page.heading)
        match = TASK.search(page.path)
        if not match or not page.task_kind:
            raise Refused("no_task_page", page.summary())
        form = page.form_by_id("answer")
        names = [name for name in form.options if name in LABELS]
        questions = tuple(Question(name, LABELS[name].widget, name in form.required) for name in names)
        replies = tuple(UUID(name.removeprefix("rank_")) for name in form.options if name.startswith("rank_"))
        return Work(UUID(match[1]), Kind(page.task_kind), questions, replies, page=page)

    def answer(self, work: Work, answer: Answer, *, stop: bool) -> Work | None:
        form = work.page.form_by_id("answer")
        fields: dict[str, str | None] = {"then": "stop"} if stop else {}
        if answer.labels is not None:
            fields |= {name: None if value is None else f"{value:g}" for name, value in answer.labels.items()}
        elif answer.order:
            fields |= {f"rank_{reply_id}": str(position) for position, reply_id in enumerate(answer.order, start=1)}
        else:
            fields["text"] = answer.text
        page = self._send(form, fields)
        if page.task_kind:
            return self._work(page)
        if not page.path.endswith(("/dashboard/", "/tasks/nothing/")):
            raise UnexpectedPage(f"an answer led to {page.summary()}")
        return None

    def skip(self, work: Work, reason: str) -> Work | None:
        form = next(form for form in work.page.forms if form.action.endswith("/skip/"))
        page = self._send(form, {"reason": reason})
        return self._work(page) if page.task_kind else None

    # --- Requests ---

    def _get(self, path: str) -> Page:
        return self._page(self._request("GET", urljoin(self.base_url, path)))

    def _send(self, form: Form, fields: dict[str, str | None], *, refused: bool = True) -> Page:
        """Submit the form. With `refused`, an error page raises Refused."""
        data = form.filled(fields)
        response = self._request("POST", urljoin(form.page_url, form.action), data=data)
        if response.status_code == 422 and SHORT_SEEN not in data:
            again = Page(response.url, response.text)
            asked = next((one for one in again.forms if SHORT_SEEN in one.values), None)
            if asked is not None:  # the page asks whether so short a reply is meant
                return self._send(asked, fields, refused=refused)
        if refused and response.status_code >= 400:
            raise _refusal(response)
        return self._page(response)

    def _page(self, response: requests.Response) -> Page:
        if response.status_code in (404, 410, 429):
            raise _refusal(response)
        return Page(response.url, response.text)

    def _request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        deadline = time.monotonic() + PATIENCE
        headers = {"Referer": url}
        while True:
            try:
                response = self.session.request(method, url, headers=headers, timeout=TIMEOUT, **kwargs)
                if response.status_code < 500:
                    return response
                reason = f"status {response.status_code}"
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise UnexpectedPage(f"{method} {url} failed for {PATIENCE:.0f} seconds: {reason}")
            self.repeats += 1
            time.sleep(PAUSE)


def _refusal(response: requests.Response) -> Refused:
    page = Page(response.url, response.text)
    try:
        wait = float(response.headers.get("Retry-After", "0"))
    except ValueError:
        wait = 0
    return Refused(str(response.status_code), page.summary(), wait)
