"""A user chats with the assistant in a browser: the real server, WebSockets and engine, and the tiny model."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from inference.engine.base import Finish
from inference.models import Battle, Chat, ChatMessage, Turn
from inference.turns import lifecycle, streams
from inference.turns.states import TurnState
from oasst.accounts.models import User
from oasst.embedded.sockets import listen
from tests.browser.conftest import DESK, PHONE
from tests.browser.driver import sign_in
from tests.crash.processes import START_SECONDS, serve, wait_until
from tests.inference.conftest import chat_on, tiny_folder  # noqa: F401
from tests.inference.talking import ENDLESS
from tests.inference.talking import wait_until as wait
from tests.trees.chats import answered_chat
from trees.models import Donation

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LONG = {"sampling": ENDLESS}
SHORT = {"sampling": {"temperature": 0, "max_tokens": 40}}


class ChatSite:
    """The web server with its engine, on a socket that stays open between restarts."""

    def __init__(self, folder: Path) -> None:
        self.listener = listen("127.0.0.1", 0)
        self.url = f"http://localhost:{self.listener.getsockname()[1]}"
        self.web = serve(self.listener, folder / "web.log")

    def restart(self) -> None:
        self.web.kill()
        self.web.start()

    def end(self) -> None:
        self.web.kill()
        self.listener.close()


@pytest.fixture
def site(
    transactional_db: None,
    chat_on: None,  # noqa: F811
    tiny_folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ChatSite]:
    monkeypatch.setenv("OASST_CHAT_MODEL", str(tiny_folder))
    started = ChatSite(tmp_path)
    yield started
    started.end()
    connection.close()


@pytest.fixture
def open_page(browser: Browser, site: ChatSite) -> Iterator[Callable[..., Page]]:
    """open_page(script=False): signed in as Alice, in a new chat. Errors on a page fail the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def new(*, script: bool = True, dark: bool = False, viewport: dict[str, int] = DESK, touch: bool = False) -> Page:
        context = browser.new_context(
            base_url=site.url,
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            viewport=viewport,  # type: ignore[arg-type]
            has_touch=touch,
            is_mobile=touch,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(START_SECONDS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        sign_in(page, "alice@example.org")
        # New chats take the settings of the last one: the tiny model would write a thousand tokens each time.
        Chat.objects.create(user=User.objects.get(email="alice@example.org"), title="Before", **SHORT)
        page.goto("/chat/")
        return page

    yield new
    for context in contexts:
        context.close()
    assert errors == []


def set_all(choices: dict[str, Any]) -> None:
    Chat.objects.update(**choices)


def ask(page: Page, text: str, script: bool = True) -> None:
    page.get_by_label("Your message", exact=True).fill(text)
    if script:
        page.keyboard.press("Enter")
    else:
        page.get_by_role("button", name="Send").click()
    expect(page.get_by_test_id("prompt").last).to_contain_text(text, timeout=START_SECONDS * 1000)


def settle(page: Page) -> None:
    """Wait until the page shows the answer as the server rendered it."""
    expect(page.locator("[data-coming]")).to_have_count(0, timeout=START_SECONDS * 1000)
    expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", re.compile("complete|stopped"))


def answers(page: Page) -> str:
    return page.get_by_test_id("answer-text").last.inner_text()


def wait_for_text(page: Page, length: int) -> None:
    long_enough = re.compile(rf"[\s\S]{{{length},}}")
    expect(page.locator("[data-coming]")).to_have_text(long_enough, timeout=START_SECONDS * 1000)


def coming(page: Page) -> str:
    return page.locator("[data-coming]").inner_text()


def test_a_conversation(open_page: Callable[..., Page], keep: Callable[[Page, str], None]) -> None:
    page = open_page()
    keep(page, "chat-empty")
    ask(page, "Tell me a story")
    expect(page).to_have_url(re.compile(r"/chat/[\w-]{36}/$"))
    set_all(LONG)
    settle(page)
    first = answers(page)

    # Streaming, a reload in the middle, and stopping by Escape.
    ask(page, "And a long one")
    wait_for_text(page, 20)
    before = coming(page)
    page.reload()
    wait_for_text(page, len(before) + 20)
    assert coming(page).startswith(before)
    keep(page, "chat-streaming")
    page.get_by_label("Your message", exact=True).fill("A thought meanwhile")
    page.keyboard.press("Enter")  # not sent while an answer is streamed, and not lost
    page.keyboard.press("Escape")
    settle(page)
    expect(page.get_by_text("You stopped this answer")).to_be_visible()
    expect(page.get_by_label("Your message", exact=True)).to_have_value("A thought meanwhile")
    page.reload()
    expect(page.get_by_label("Your message", exact=True)).to_have_value("A thought meanwhile")  # the draft was kept
    page.get_by_label("Your message", exact=True).fill("")

    # A second answer to the same prompt; switch between both.
    set_all(SHORT)
    page.get_by_role("button", name="Answer again").last.click()
    expect(page.get_by_test_id("branch")).to_contain_text("2/2")
    settle(page)
    second = answers(page)
    page.get_by_role("button", name="Version before").click()
    expect(page.get_by_test_id("branch")).to_contain_text("1/2")
    assert answers(page) != second
    page.get_by_role("button", name="Version after").click()
    expect(page.get_by_test_id("branch")).to_contain_text("2/2")

    # Edit the first message, by keyboard.
    page.get_by_test_id("prompt").first.hover()
    page.locator("[data-rewrite] summary").first.click()
    expect(page.get_by_label("Your message, differently").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Your message, differently").first).to_be_hidden()
    page.locator("[data-rewrite] summary").first.click()
    page.get_by_label("Your message, differently").first.fill("Tell me a tale")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("branch")).to_contain_text("2/2")
    settle(page)
    expect(page.get_by_test_id("prompt")).to_have_count(1)
    page.get_by_role("button", name="Version before").click()
    expect(page.get_by_test_id("prompt")).to_have_count(2)
    assert page.get_by_test_id("answer-text").first.inner_text() == first

    # Thumbs, the title, deleting and undoing that.
    page.get_by_role("button", name="Good answer").last.click()
    expect(page.get_by_role("button", name="Good answer").last).to_have_attribute("aria-pressed", "true")
    page.locator(".chat-bar__menu summary").click()
    page.locator(".chat-bar__menu").get_by_label("Title").fill("Stories")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stories")
    page.locator(".chat-bar__menu summary").click()
    page.locator(".chat-bar__menu").get_by_role("button", name="Delete").click()
    expect(page.get_by_test_id("undo")).to_contain_text("“Stories” is deleted.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stories")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(
    open_page: Callable[..., Page], keep: Callable[[Page, str], None], dark: bool, viewport: dict[str, int]
) -> None:
    page = open_page(dark=dark, viewport=viewport)
    name = f"{'dark' if dark else 'light'}-{viewport['width']}"
    check_with_axe(page)
    ask(page, "Tell me a story")
    settle(page)
    keep(page, f"chat-{name}")
    check_with_axe(page)
    page.locator(".chat-bar__menu summary").click()
    check_with_axe(page)
    page.keyboard.press("Escape")
    page.locator(".composer__set").click()
    expect(page.get_by_role("heading", name="Settings of this chat")).to_be_visible()
    # It slides in, and a half-transparent color has no contrast.
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    keep(page, f"chat-settings-{name}")
    check_with_axe(page)
    page.goto("/chat/all/")
    keep(page, f"chat-list-{name}")
    check_with_axe(page)


def check_with_axe(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_without_script(open_page: Callable[..., Page], keep: Callable[[Page, str], None]) -> None:
    page = open_page(script=False, viewport=PHONE)
    ask(page, "Tell me a story", script=False)
    settle(page)  # the page polls by itself
    page.get_by_role("button", name="Answer again").click()
    settle(page)
    expect(page.get_by_test_id("branch")).to_contain_text("2/2")
    page.get_by_role("button", name="Version before").click()
    expect(page.get_by_test_id("branch")).to_contain_text("1/2")
    set_all(LONG)
    ask(page, "And a long one", script=False)
    wait(lambda: Turn.objects.filter(state="in_progress").exclude(text="").exists())
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.get_by_text("You stopped this answer")).to_be_visible()
    page.locator("[data-rewrite] summary").first.click()
    set_all(SHORT)
    page.get_by_label("Your message, differently").first.fill("Tell me a tale")
    page.get_by_role("button", name="Ask this instead").first.click()
    settle(page)
    page.locator(".chat-bar__menu summary").click()
    page.locator(".chat-bar__menu").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Your chat is back.")).to_be_visible()
    keep(page, "chat-without-script")


def test_the_server_restarts_and_the_page_goes_on(open_page: Callable[..., Page], site: ChatSite) -> None:
    page = open_page()
    ask(page, "Hello")
    settle(page)
    set_all(LONG)
    ask(page, "And a long one")
    wait_for_text(page, 20)
    page.evaluate("window.sameDocument = true")
    site.restart()
    wait_until(
        lambda: not Turn.objects.filter(state__in=["pending", "in_progress"]).exists(),
        START_SECONDS * 2,
        lambda: site.web.said(),
    )
    settle(page)
    assert page.evaluate("window.sameDocument") is True
    newest = ChatMessage.objects.filter(role="assistant").latest("created_at")
    assert page.locator("template[data-source]").last.evaluate("one => one.content.textContent") == newest.content


class Answer:
    """Write an answer as an engine does: pieces over Redis, the end into its row."""

    def __init__(self) -> None:
        self.turn = Turn.objects.latest("queued_at")
        self.text = ""
        self.owner = "test"
        Turn.objects.filter(pk=self.turn.pk).update(
            state="in_progress", owner=self.owner, lease_until=timezone.now() + timedelta(hours=1)
        )

    def say(self, piece: str) -> None:
        self.text += piece
        streams.append([(str(self.turn.pk), streams.Piece(len(self.text), piece))])

    def save(self) -> None:
        Turn.objects.filter(pk=self.turn.pk).update(text=self.text)

    def finish(self) -> None:
        progress = lifecycle.Progress(str(self.turn.pk), self.text, [], 0, 0)
        assert lifecycle.finish(
            owner=self.owner, progress=progress, ending=lifecycle.Ending(TurnState.COMPLETE, Finish.STOP.value)
        )
        streams.end(self.turn.pk)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine runs beside the site: the test writes the answers."""
    monkeypatch.setenv("OASST_ENGINE", "worker")


WATCH_FOR_MARKS = """() => {
  window.marks = [];
  new MutationObserver(() => {
    const text = document.querySelector("#talk article:last-of-type .said__body")?.innerText ?? "";
    if (/[*]{2}|```|[|]/.test(text)) window.marks.push(text);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


# The button of a code block says "Copied" for a moment.
BLOCKS = "(box) => [...box.children].map((one) => one.outerHTML.replace(/<button.*?<.button>/, ''))"


def test_an_answer_is_rendered_as_it_comes(
    by_hand: None, open_page: Callable[..., Page], keep: Callable[[Page, str], None]
) -> None:
    page = open_page()
    ask(page, "How do I bake?")
    answer, box = Answer(), page.locator("[data-coming]")
    page.evaluate(WATCH_FOR_MARKS)
    answer.say("# Bread\n\nTake **flou")
    expect(box.locator("strong")).to_have_text("flou")
    answer.say("r**, water. And pa")
    expect(page.locator("#chat-said")).to_contain_text("Take flour, water.")
    answer.say("tience.\n\n```python\nprint(1)\n")
    expect(box.locator("pre code")).to_have_text("print(1)")
    answer.say("x = 2\n``")
    expect(box.locator("pre code")).to_have_text("print(1)\nx = 2")
    assert box.locator(".highlight, .copy-code").count() == 0, "it is not closed yet"

    # Finished blocks stay the same elements, with the user's selection in them.
    page.evaluate("window.first = document.querySelector('[data-coming] h1')")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-coming] p'))")
    answer.say("`\n\n| Step | Minutes |\n")
    expect(box.locator("pre.highlight .copy-code")).to_have_count(1)
    box.locator(".copy-code").click()
    assert page.evaluate("navigator.clipboard.readText()") == "print(1)\nx = 2\n"
    answer.say("|---|---|\n| Bake | **40")
    expect(box.locator("td strong")).to_have_text("40")
    for width, scheme in ((390, "dark"), (800, "light"), (1440, "light"), (1440, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        keep(page, f"chat-rendered-{scheme}-{width}")
    answer.say("** |\n\n- good\n- warm, **so")
    expect(box.locator("li strong")).to_have_text("so")
    page.evaluate("window.item = document.querySelector('[data-coming] li')")
    answer.say("ft**")
    expect(box.locator("li strong")).to_have_text("soft")
    shown = box.evaluate(BLOCKS)
    answer.finish()
    settle(page)
    body = page.get_by_test_id("answer-text")
    assert body.evaluate(BLOCKS) == shown
    assert body.evaluate("(one) => window.first === one.querySelector('h1') && window.item === one.querySelector('li')")
    assert page.evaluate("getSelection().toString()").startswith("Take flour, water")
    assert page.evaluate("window.marks") == []

    # The next answer, over a reload, until it is stopped.
    ask(page, "And in short?")
    answer, box = Answer(), page.locator("[data-coming]")
    page.evaluate(WATCH_FOR_MARKS)
    answer.say("1. Kn**ead**\n\n   ```\n   push\n")
    expect(box.locator("li code")).to_have_text("push")
    answer.save()
    before = box.inner_html().strip()
    page.reload()
    assert box.inner_html().strip() == before
    page.evaluate("window.item = document.querySelector('[data-coming] li')")
    answer.say(
        "   pull\n   ```\n2. Bake <img src=x onerror=alert(1)> [at](javascript:alert(2)) ![home](http://x.example/i.png)"
    )
    expect(box.locator("li")).to_have_text([re.compile("Knead"), re.compile(r"Bake <img src=x onerror=alert\(1\)>")])
    assert box.locator("img, [onerror], [href^=javascript]").count() == 0
    assert page.evaluate("window.item === document.querySelector('[data-coming] li')")
    answer.finish()
    settle(page)
    assert page.evaluate(
        "window.item === [...document.querySelectorAll('[data-testid=answer-text]')].at(-1).querySelector('li')"
    )


class TestKeys:
    def test_with_a_keyboard_enter_sends(self, by_hand: None, open_page: Callable[..., Page]) -> None:
        page = open_page()
        box = page.get_by_label("Your message", exact=True)
        expect(box).to_have_attribute("enterkeyhint", "send")
        expect(page.get_by_text("Enter sends, Shift+Enter starts a new line.")).to_be_visible()
        box.fill("One")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        expect(box).to_have_value("One\ntwo")
        compose(page, "Enter")
        expect(box).to_have_value("One\ntwo")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_test_id("prompt")).to_contain_text("One two")

    def test_on_a_phone_enter_is_a_new_line(self, by_hand: None, open_page: Callable[..., Page]) -> None:
        page = open_page(viewport=PHONE, touch=True)
        box = page.get_by_label("Your message", exact=True)
        expect(box).to_have_attribute("enterkeyhint", "enter")
        expect(page.get_by_text("Enter starts a new line.")).to_be_visible()
        box.fill("One")
        page.keyboard.press("Enter")
        page.keyboard.type("two")
        expect(box).to_have_value("One\ntwo")
        page.get_by_role("button", name="Send").tap()
        expect(page.get_by_test_id("prompt")).to_contain_text("One two")
        Answer().finish()
        settle(page)
        page.locator("[data-rewrite] summary").tap()
        again = page.get_by_label("Your message, differently")
        expect(again).to_be_focused()  # with the caret at the end
        expect(again).to_have_attribute("enterkeyhint", "enter")
        again.press("Enter")
        again.press_sequentially("three")
        expect(again).to_have_value("One\ntwo\nthree")
        again.press("Control+Enter")  # of an external keyboard
        expect(page.get_by_test_id("prompt")).to_contain_text("One two three")


def compose(page: Page, key: str) -> None:
    """Press the key that ends a composition, with the events of Chromium and Firefox or those of Safari."""
    for told in ({"isComposing": True}, {"keyCode": 229}):
        page.evaluate(
            "([key, told]) => document.activeElement.dispatchEvent("
            "new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...told }))",
            [key, told],
        )


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_chat_is_given_to_the_data_set(open_page: Callable[..., Page], script: bool) -> None:
    """A person reads what goes, leaves the mask on, sends it, and sees the conversation that it became."""
    page = open_page(script=script, viewport=PHONE)
    alice = User.objects.get(email="alice@example.org")
    chat = answered_chat(alice, ("Is tom.miller@wetter.de a good address?", "It is short, so it is."))
    page.goto(f"/chat/{chat.pk}/")
    page.get_by_role("link", name="Give this question and answer to the data set").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Give this exchange to the data set?")
    expect(page.get_by_test_id("piece").first).to_contain_text("Is [e-mail address] a good address?")
    if script:
        check_with_axe(page)
    page.get_by_role("button", name="Give it").click()
    expect(page).to_have_url(re.compile(r"/trees/|/messages/|/conversations/"))
    expect(page.locator("main")).to_contain_text("[e-mail address]")
    given = Donation.objects.get(chat=chat)
    assert (given.masked, given.tree.state) == (1, "initial_prompt_review")


def test_two_answers_are_compared_without_names(open_page: Callable[..., Page]) -> None:
    """Both come while the page is open; a key decides, and only then the names are there."""
    page = open_page()
    page.goto("/chat/battles/")
    page.get_by_label("Your question").fill("Why do cats purr?")
    page.get_by_label("two drafts of one model").check()
    page.get_by_role("button", name="Ask both").click()
    expect(page.get_by_role("button", name="The left one")).to_be_visible(timeout=START_SECONDS * 1000)
    assert page.get_by_test_id("name").count() == 0
    check_with_axe(page)
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("You decided")
    battle = Battle.objects.get()
    assert battle.outcome == "right"
    page.get_by_role("link", name="Go on with this chat").click()
    expect(page.get_by_test_id("answer").last).to_have_attribute("id", f"message-{battle.right_id}")
