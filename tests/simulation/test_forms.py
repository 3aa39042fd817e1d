"""Reading forms like a browser."""

import pytest

from oasst.simulation.crowd.forms import Page

HTML = """
<h1>Check an <em>answer</em></h1>
<p role="alert">Please answer.</p>
<main data-task-kind="label_assistant_reply">
<form id="answer" action="/tasks/1/">
  <input type="hidden" name="csrfmiddlewaretoken" value="token">
  <input type="radio" name="spam" value="1" required> <input type="radio" name="spam" value="0">
  <input type="radio" name="humor" value="0"> <input type="radio" name="humor" value="" checked>
  <input type="checkbox" name="pii" value="1">
  <select name="rank"><option value="1">1</option><option value="2" selected>2</option></select>
  <textarea name="text">Typed &amp; kept</textarea>
  <button name="then" value="stop">Send and stop</button>
</form>
</main>
<button form="answer" name="then" value="later">Later</button>
"""


@pytest.fixture
def page() -> Page:
    return Page("http://localhost/tasks/1/", HTML)


class TestPage:
    def test_what_stands_on_it(self, page: Page) -> None:
        assert page.task_kind == "label_assistant_reply"
        assert page.summary() == "/tasks/1/ · Check an answer · Please answer."
        form = page.form_by_id("answer")
        assert form.values == {"csrfmiddlewaretoken": "token", "humor": "", "rank": "2", "text": "Typed & kept"}
        assert form.options == {"spam": ["1", "0"], "humor": ["0", ""], "pii": ["1"], "rank": ["1", "2"]}
        assert form.required == {"spam"}
        assert form.buttons == {"then": ["stop", "later"]}

    def test_no_such_form(self, page: Page) -> None:
        with pytest.raises(LookupError, match="lacks the form"):
            page.form_by_id("skip")


class TestFilling:
    def test_it_works(self, page: Page) -> None:
        sent = page.form_by_id("answer").filled({"spam": "0", "humor": None, "pii": None, "rank": "1", "then": "later"})
        assert sent == {
            "csrfmiddlewaretoken": "token",
            "spam": "0",
            "humor": "",
            "rank": "1",
            "text": "Typed & kept",
            "then": "later",
        }

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"spam": "0.5"}, "offers"),
            ({"spam": "0", "sparkle": "1"}, "no field sparkle"),
            ({}, "would not send the form without"),
            ({"spam": "0", "then": "never"}, "no field then"),
        ],
    )
    def test_what_nobody_could_do_on_the_page(self, page: Page, fields: dict[str, str | None], reason: str) -> None:
        with pytest.raises(LookupError, match=reason):
            page.form_by_id("answer").filled(fields)
