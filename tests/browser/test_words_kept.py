"""What users type and choose survives the end of their session, a lost connection and new terms, and is sent once."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect

from inference.models import Chat, ChatMessage
from oasst.accounts.models import User
from tasks.models import Draft, Task
from tests.browser.conftest import DESK, PHONE, NewVisitor
from tests.browser.driver import sign_in
from tests.factories import growing_tree, new_person, new_prompt
from tests.inference.conftest import chat_on  # noqa: F401
from trees.contributing.reactions import LONGEST_REPORT
from trees.models import Message, Report, Review

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WORDS = "Water rises in thin tubes"
ARABIC = "ما هي أفضل طريقة لتعلم لغة جديدة في وقت قصير؟"
LONG = "x" * (LONGEST_REPORT + 1)
MORE = f"{WORDS}, and leaves pull at it"


@pytest.fixture
def writer(visitor: NewVisitor) -> Page:
    page = visitor()
    sign_in(page, "alice@example.org")
    return page


def alice() -> User:
    return User.objects.get(email="alice@example.org")


def take(page: Page, kind: str) -> Task:
    page.goto("/dashboard/")
    page.get_by_test_id(f"card-{kind}").click()
    expect(page.get_by_test_id("task")).to_be_visible()
    return Task.objects.get()


def end_session(page: Page) -> None:
    page.context.clear_cookies(name="sessionid")


def kept_in(page: Page) -> str:
    page.wait_for_load_state()  # the script that forgets what the server has runs after the page is read
    return page.evaluate("JSON.stringify(Object.entries(localStorage).filter(([key]) => key.startsWith('kept:')))")


def prompts() -> int:
    return Message.objects.filter(parent=None, author=alice()).count()


def asked_to_sign_in(page: Page) -> Any:
    dialog = page.get_by_test_id("signed-out")
    expect(dialog).to_contain_text("You are signed out")
    expect(dialog).to_contain_text("What you wrote is kept")
    return dialog


def test_signing_in_from_the_dialog_sends_once(writer: Page, keep: Callable[[Page, str], None]) -> None:
    task = take(writer, "initial_prompt")
    text = writer.get_by_test_id("reply")
    text.fill(WORDS)
    expect(writer.locator("[data-draft-state]")).to_contain_text("Draft saved")
    assert Draft.objects.get().body["text"] == WORDS
    end_session(writer)
    text.fill(MORE)
    dialog = asked_to_sign_in(writer)
    keep(writer, "signed-out-dialog")
    expect(writer.locator("[data-draft-state]")).to_contain_text("Not saved: you are signed out")
    dialog.get_by_role("button", name="Stay here").click()

    writer.get_by_role("tab", name="Preview").click()
    expect(writer.locator("#panel-preview")).to_contain_text("not available right now")
    expect(writer.locator("#panel-preview")).not_to_contain_text("Sign in")
    writer.get_by_role("tab", name="Write").click()

    writer.get_by_test_id("submit-stop").click()
    dialog = asked_to_sign_in(writer)
    dialog.get_by_role("link", name="Sign in").click()
    expect(writer).to_have_url(re.compile(rf"/accounts/login/\?next=%2Ftasks%2F{task.pk}%2F"))
    assert prompts() == 0
    come_back(writer)
    writer.goto(f"/tasks/{task.pk}/")
    expect(writer.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Message.objects.get().text == MORE and prompts() == 1
    expect(writer.get_by_test_id("next-task")).to_be_visible()
    assert kept_in(writer) == "[]"


def come_back(page: Page, person: User | None = None, site: str = "") -> None:
    """Sign in again in this browser, as in another tab."""
    client = Client()
    client.force_login(person or alice())
    site = site or urljoin(page.url, "/")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    # Signing in changes the CSRF token of all forms.
    page.context.clear_cookies(name="csrftoken")


def test_signing_in_in_another_tab_sends_once(writer: Page) -> None:
    take(writer, "initial_prompt")
    writer.get_by_test_id("reply").fill(WORDS)
    end_session(writer)
    writer.get_by_test_id("submit-stop").click()
    asked_to_sign_in(writer)
    come_back(writer)
    writer.evaluate("dispatchEvent(new Event('focus'))")
    expect(writer.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Message.objects.get().text == WORDS and prompts() == 1
    assert kept_in(writer) == "[]"


def test_a_review_and_a_skip_note_come_back_as_far_as_they_got(writer: Page) -> None:
    new_prompt(new_person("Writer"))
    task = take(writer, "label_initial_prompt")
    end_session(writer)
    writer.get_by_test_id("no").first.check()
    writer.locator("[data-question=quality] [data-testid=radio-option]").nth(3).check()
    writer.get_by_test_id("skip").click()
    writer.get_by_text("Add a note for the moderators").click()
    writer.get_by_label("Note for the moderators").fill("I know who wrote it")
    asked_to_sign_in(writer)
    come_back(writer)
    writer.goto(f"/tasks/{task.pk}/")
    expect(writer.get_by_text("This is what you had written here.")).to_have_count(2)
    expect(writer.get_by_test_id("no").first).to_be_checked()
    expect(writer.locator("[data-question=quality] [data-testid=radio-option]").nth(3)).to_be_checked()
    expect(writer.get_by_label("Note for the moderators")).to_have_value("I know who wrote it")
    expect(writer.locator("[data-draft-state]")).to_contain_text("Draft saved")
    assert Draft.objects.get().body["quality"] == "0.75"
    writer.get_by_test_id("submit-stop").click()
    expect(writer.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Review.objects.get(author=alice()).labels["quality"] == 0.75


def test_offline(writer: Page, keep: Callable[[Page, str], None]) -> None:
    take(writer, "initial_prompt")
    writer.context.set_offline(True)
    writer.get_by_test_id("reply").fill(WORDS)
    bar = writer.locator(".keep-bar")
    expect(bar).to_have_text("You are offline. What you write is kept here.")
    for size in (PHONE, DESK):
        writer.set_viewport_size(size)  # type: ignore[arg-type]
        bar_box, header = bar.bounding_box(), writer.locator(".site-header").bounding_box()
        assert bar_box and header and bar_box["y"] >= header["y"] + header["height"], "it covers nothing of the header"
    writer.get_by_test_id("submit-stop").click()
    expect(writer.locator("[data-draft-state]")).to_contain_text("kept in this browser")
    expect(bar).to_have_text("You are offline. It is sent as soon as you are back.")
    writer.get_by_test_id("reply").fill(f"{WORDS} ")
    expect(bar).to_contain_text("You changed it, so it is not sent by itself")
    writer.get_by_test_id("submit-stop").click()
    expect(bar).to_contain_text("It is sent as soon as you are back.")
    keep(writer, "offline")
    assert WORDS in kept_in(writer) and prompts() == 0
    writer.context.set_offline(False)
    expect(writer.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Message.objects.get().text == WORDS and prompts() == 1


def test_the_question_of_the_language_keeps_its_answer(writer: Page) -> None:
    take(writer, "initial_prompt")
    writer.get_by_test_id("reply").fill(ARABIC)
    writer.get_by_test_id("submit-stop").click()
    question = writer.get_by_test_id("language-question")
    expect(question).to_contain_text("This looks like Arabic")
    expect(question.get_by_role("radio", name="File it as Arabic")).to_be_checked()
    expect(writer.get_by_text("This is what you had written here.")).to_have_count(0)
    writer.get_by_test_id("submit-stop").click()
    expect(writer.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    stored = Message.objects.get()
    assert (stored.text, stored.lang) == (ARABIC, "ar") and kept_in(writer) == "[]"


def test_what_was_kept_can_be_discarded(writer: Page) -> None:
    task = take(writer, "initial_prompt")
    text = writer.get_by_test_id("reply")
    text.fill(WORDS)
    expect(writer.locator("[data-draft-state]")).to_contain_text("Draft saved")
    end_session(writer)
    text.fill(MORE)
    asked_to_sign_in(writer)
    site = urljoin(writer.url, "/")
    writer.goto("about:blank")  # a page that is left saves its draft, which it must not while signed in
    come_back(writer, site=site)
    writer.goto(f"/tasks/{task.pk}/")
    expect(text).to_have_value(MORE)
    expect(writer.locator("[data-draft-state]")).to_contain_text("Draft saved")
    with writer.expect_navigation():
        writer.get_by_role("button", name="Discard it").click()
    expect(text).to_have_value(WORDS)
    expect(writer.get_by_text("This is what you had written here.")).to_have_count(0)
    assert Draft.objects.get().body["text"] == WORDS and kept_in(writer) == "[]"


def test_a_refused_report_is_still_kept(writer: Page) -> None:
    root = growing_tree(new_person("Writer"))
    writer.goto(f"/messages/{root.pk}/")
    report = writer.locator("details.report").first
    report.locator("summary").click()
    report.get_by_label("A few words").fill(LONG)
    report.get_by_role("radio").first.check()
    report.get_by_role("button", name="Tell the moderators").click()
    expect(report.get_by_role("alert")).to_contain_text("too many")
    assert LONG in kept_in(writer)
    writer.goto(f"/messages/{root.pk}/")
    expect(report.get_by_label("A few words")).to_have_value(LONG)
    assert not Report.objects.exists()


@pytest.mark.usefixtures("chat_on")
def test_a_question_to_the_assistant(writer: Page) -> None:
    writer.goto("/chat/")
    box = writer.get_by_label("Your message", exact=True)
    box.fill(WORDS)
    end_session(writer)
    writer.get_by_role("button", name="Send").click()
    asked_to_sign_in(writer)
    assert not Chat.objects.exists()
    come_back(writer)
    writer.reload()
    expect(writer.get_by_test_id("prompt")).to_contain_text(WORDS)
    expect(box).to_have_value("")
    assert ChatMessage.objects.filter(content=WORDS).count() == 1 and kept_in(writer) == "[]"


def test_new_terms(writer: Page) -> None:
    take(writer, "initial_prompt")
    User.objects.update(terms_version="0")
    writer.get_by_test_id("reply").fill(WORDS)
    dialog = writer.get_by_test_id("signed-out")
    expect(dialog).to_contain_text("The terms have changed")
    dialog.get_by_role("link", name="Read them").click()
    writer.get_by_test_id("accept-terms").click()
    expect(writer.get_by_test_id("reply")).to_have_value(WORDS)
    expect(writer.locator("[data-draft-state]")).to_contain_text("Draft saved")


def test_nothing_for_another_person(writer: Page) -> None:
    root = growing_tree(new_person("Writer"))
    writer.goto(f"/messages/{root.pk}/")
    report = writer.locator("details.report").first
    report.locator("summary").click()
    report.get_by_label("A few words").fill(WORDS)
    report.get_by_role("radio").first.check()
    end_session(writer)
    report.get_by_role("button", name="Tell the moderators").click()
    asked_to_sign_in(writer)
    come_back(writer, new_person("Eve"))
    with writer.expect_navigation():
        writer.evaluate("dispatchEvent(new Event('focus'))")
    expect(writer.locator("#main")).not_to_contain_text("This is what you had written")
    expect(writer.get_by_label("A few words").first).to_have_value("")
    assert not Report.objects.exists()

    come_back(writer)
    writer.reload()
    expect(writer.get_by_text("You reported this.")).to_be_visible()
    assert Report.objects.get().text == WORDS


def test_signing_out_forgets(writer: Page) -> None:
    take(writer, "initial_prompt")
    writer.route("**/draft/", lambda route: route.abort())
    writer.get_by_test_id("reply").fill(WORDS)
    assert WORDS in kept_in(writer)
    writer.locator(".menu summary").first.click()
    writer.get_by_role("button", name="Sign out").click()
    expect(writer).to_have_url(re.compile(r"/$"))
    assert kept_in(writer) == "[]"


def test_without_storage_the_page_still_works(visitor: NewVisitor) -> None:
    page = visitor()
    context: BrowserContext = page.context
    context.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden') }})")
    sign_in(page, "alice@example.org")
    take(page, "initial_prompt")
    page.get_by_test_id("reply").fill(WORDS)
    page.get_by_test_id("submit-stop").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Message.objects.get().text == WORDS
