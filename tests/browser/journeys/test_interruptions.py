"""What happens to an answer when something comes in between: skip, undo, tabs, killed programs, new terms, a ban."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from django.db import connection, transaction
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect

from oasst.accounts import account_bans
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.models import Appeal, User
from tasks.kinds import Kind
from tasks.models import Draft, Task
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.journeys.conftest import Device, OpenPage, WebSite, check_page, sign_in, with_script
from tests.browser.journeys.work import WORDS, Mouse, open_task
from tests.browser.staging import make_work
from tests.crash.processes import wait_until
from tests.factories import new_person, new_prompt
from trees.models import Message, Review, Skip

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MORE = f"{WORDS}, even at night."


@pytest.fixture
def page(open_page: OpenPage, alice: User) -> Page:
    return open_page(alice)


def write(page: Page, text: str = WORDS) -> None:
    page.get_by_test_id("reply").fill(text)


def prompts_of(person: User) -> list[str]:
    """The prompts that stand; one that was taken back is marked as deleted."""
    return list(Message.objects.filter(author=person, parent=None, deleted=False).values_list("text", flat=True))


class TestSkipAndUndo:
    def test_skip_with_each_reason(self, page: Page, alice: User, device: Device) -> None:
        for number in range(len(Skip.Reason.values) + 1):
            new_prompt(new_person("Writer"), f"How long does bread number {number} keep?")
        Mouse(page, device.script).take(Kind.LABEL_INITIAL_PROMPT)
        for value, label in Skip.Reason.choices:
            task = open_task(alice)
            page.get_by_test_id("skip").click()
            page.locator(".skip__note summary").click()
            page.get_by_label("Note for the moderators").fill(f"Because of {value}")
            page.get_by_role("button", name=label).click()
            expect(page.locator(".toast__text")).to_contain_text("Skipped.")
            expect(page.get_by_role("heading", level=1)).to_be_focused()
            check_page(page)
            skip = Skip.objects.get(author=alice, message=task.message)
            assert (skip.reason, skip.note) == (value, f"Because of {value}")
            assert open_task(alice).pk != task.pk

    @pytest.mark.parametrize("kind", [Kind.INITIAL_PROMPT, Kind.LABEL_INITIAL_PROMPT, Kind.RANK_ASSISTANT_REPLIES])
    def test_undo_after_sending(self, page: Page, alice: User, device: Device, kind: Kind) -> None:
        make_work(kind)
        does = Mouse(page, device.script)
        does.take(kind)
        task = open_task(alice)
        does.answer(kind)
        does.send()
        page.get_by_test_id("undo").click()
        expect(page.get_by_text("Taken back.")).to_be_visible()
        expect(page).to_have_url(re.compile(f"/tasks/{task.pk}/"))
        task.refresh_from_db()
        assert task.status == Task.Status.OPEN and not prompts_of(alice)
        assert not Review.objects.filter(author=alice).exists()
        if kind == Kind.INITIAL_PROMPT:
            expect(page.get_by_test_id("reply")).to_have_value(f"{WORDS}, as {kind}.")
            write(page, MORE)
        does.send()
        does.was_sent()
        task.refresh_from_db()
        assert task.status == Task.Status.DONE
        if kind == Kind.INITIAL_PROMPT:
            assert prompts_of(alice) == [MORE]

    def test_a_double_click_stores_once(self, page: Page, alice: User, device: Device) -> None:
        Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
        write(page)
        page.get_by_test_id("submit").dblclick()
        page.wait_for_url(re.compile("/tasks/(?!" + str(Task.objects.order_by("created_at")[0].pk) + ")"))
        check_page(page)
        assert prompts_of(alice) == [WORDS]
        assert Task.objects.filter(user=alice).count() == 2, "the one that was sent, and the next one"

    def test_an_expired_task_keeps_the_text(self, page: Page, alice: User, device: Device) -> None:
        Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
        write(page)
        Task.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
        page.get_by_test_id("submit").click()
        expect(page.get_by_label("Your text, to copy")).to_have_value(WORDS)
        check_page(page)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        assert not prompts_of(alice)
        page.get_by_role("link", name="Back to the dashboard").click()
        expect(page).to_have_url(re.compile("/dashboard/$"))


class TestTwoTabs:
    @pytest.fixture
    def other(self, page: Page, alice: User, device: Device) -> Page:
        """A second tab with the same task."""
        Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
        tab = page.context.new_page()
        tab.goto(page.url)
        return tab

    def test_the_second_send_tells_the_truth(self, page: Page, other: Page, alice: User) -> None:
        write(page)
        write(other, MORE)
        page.get_by_test_id("submit").click()
        expect(page.get_by_test_id("undo")).to_be_visible()
        other.get_by_test_id("submit").click()
        expect(other.get_by_role("alert")).to_contain_text("already")
        expect(other.get_by_label("Your text, to copy")).to_have_value(MORE)
        check_page(other)
        assert prompts_of(alice) == [WORDS]

    def test_undo_in_one_and_edit_in_the_other(self, page: Page, other: Page, alice: User) -> None:
        write(page)
        page.get_by_test_id("submit").click()
        write(other, MORE)
        page.get_by_test_id("undo").click()
        expect(page.get_by_test_id("reply")).to_have_value(WORDS)
        other.get_by_test_id("submit").click()
        expect(other.get_by_test_id("undo")).to_be_visible()
        assert prompts_of(alice) == [MORE]
        page.get_by_test_id("submit").click()
        expect(page.get_by_role("alert")).to_contain_text("already")
        assert prompts_of(alice) == [MORE]

    def test_sign_out_in_one(self, open_page: OpenPage, alice: User, device: Device) -> None:
        page = open_page()
        enter(page, alice)
        Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
        task = open_task(alice)
        other = page.context.new_page()
        other.goto(page.url)
        write(other, MORE)
        page.goto("/accounts/logout/")
        page.locator("main").get_by_role("button", name=re.compile("Sign out")).click()
        expect(page).to_have_url(re.compile(r"/$"))
        other.get_by_test_id("submit").click()
        if device.script:
            dialog = other.get_by_test_id("signed-out")
            expect(dialog).to_contain_text("You are signed out")
            dialog.get_by_role("link", name="Sign in").click()
        expect(other).to_have_url(re.compile("/accounts/login/"))
        assert not prompts_of(alice)
        enter(other, alice)
        other.goto(f"/tasks/{task.pk}/")
        if not device.script:
            expect(other.get_by_test_id("reply")).to_have_value(MORE)
            other.get_by_test_id("submit").click()
        expect(other.get_by_test_id("undo")).to_be_visible()
        assert prompts_of(alice) == [MORE]


def enter(page: Page, person: User) -> None:
    """Sign in as people do. What somebody typed comes back only to the last one who did so in this browser."""
    address = urlsplit(sign_in_links.make_link(person, minutes=5))
    page.goto(f"{address.path}?{address.query}")
    page.get_by_test_id("use-link").click()
    expect(page).to_have_url(re.compile("/dashboard/"))


def test_new_terms_in_the_middle_of_an_answer(page: Page, alice: User, device: Device) -> None:
    Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
    write(page)
    User.objects.filter(pk=alice.pk).update(terms_version="0")
    page.get_by_test_id("submit").click()
    if device.script:
        page.get_by_test_id("signed-out").get_by_role("link", name="Read them").click()
    check_page(page)
    page.get_by_test_id("accept-terms").click()
    if not device.script:
        expect(page.get_by_test_id("reply")).to_have_value(WORDS)
        page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("undo")).to_be_visible()
    assert prompts_of(alice) == [WORDS]


def test_a_ban_in_the_middle_of_an_answer(page: Page, alice: User, device: Device) -> None:
    Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
    write(page)
    account_bans.ban(alice, actor=new_person("Mo", "moderator"), reason="Copied a novel.")
    page.get_by_test_id("submit").click()
    if device.script:
        page.get_by_test_id("signed-out").get_by_role("link", name="Read why").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account is suspended")
    expect(page.get_by_text("Copied a novel.")).to_be_visible()
    check_page(page)
    page.get_by_role("textbox").fill("Those words were mine.")
    page.get_by_role("button", name="Send the appeal").click()
    expect(page.get_by_test_id("appeal")).to_contain_text("Waiting for an answer")
    assert Appeal.objects.get(user=alice).text == "Those words were mine." and not prompts_of(alice)


class TestKilledServer:
    @pytest.fixture
    def task(self, page: Page, alice: User, device: Device) -> Task:
        Mouse(page, device.script).take(Kind.INITIAL_PROMPT)
        return open_task(alice)

    @pytest.fixture(autouse=True)
    def _up_again(self, site: WebSite) -> Iterator[None]:
        yield
        if site.process.child.poll() is not None:
            site.start()

    @with_script
    def test_dead_when_the_button_is_pressed(self, page: Page, task: Task, site: WebSite, alice: User) -> None:
        write(page)
        site.kill()
        page.get_by_test_id("submit").click()
        expect(page.locator(".keep-bar")).to_have_text(
            "The site cannot be reached. It is sent as soon as you are back."
        )
        expect(page.get_by_test_id("reply")).to_have_value(WORDS)
        site.start()
        expect(page.get_by_test_id("undo")).to_be_visible(timeout=30_000)
        assert prompts_of(alice) == [WORDS]

    @with_script
    def test_frozen_when_the_button_is_pressed(self, page: Page, task: Task, site: WebSite, alice: User) -> None:
        """A server that is stopped still holds its socket: requests are accepted and never answered."""
        write(page)
        expect(page.locator("[data-draft-state]")).to_contain_text("Draft saved")
        site.process.child.send_signal(signal.SIGSTOP)
        try:
            page.get_by_test_id("submit").click()
            expect(page.locator(".keep-bar")).to_contain_text("It is sent as soon as you are back.", timeout=30_000)
        finally:
            site.process.child.send_signal(signal.SIGCONT)
        expect(page.get_by_test_id("undo")).to_be_visible(timeout=60_000)
        assert prompts_of(alice) == [WORDS]

    def test_killed_before_it_had_stored_the_answer(
        self, page: Page, task: Task, site: WebSite, alice: User, device: Device
    ) -> None:
        write(page)
        with transaction.atomic():
            Task.objects.select_for_update().get(pk=task.pk)  # the server waits for this row, in its transaction
            page.get_by_test_id("submit").click(no_wait_after=True)
            wait_until(waits_for_a_lock, 60, lambda: "the answer does not arrive")
            site.kill()
        site.start()
        assert not prompts_of(alice)
        if device.script:
            page.goto(f"/tasks/{task.pk}/")
            expect(page.get_by_text("It is not sent yet.")).to_be_visible()
            expect(page.get_by_test_id("reply")).to_have_value(WORDS)
            page.get_by_test_id("submit").click()
        else:
            # Browsers send a form again by themselves if a kept connection broke and the server is back by then.
            expect(page.locator("body:not(:has([data-testid=undo])) [data-testid=task]")).to_have_count(0)
            if not page.get_by_test_id("undo").count():
                page.reload()  # the browser's own error page offers this, and sends the form again
        expect(page.get_by_test_id("undo")).to_be_visible()
        assert prompts_of(alice) == [WORDS]

    def test_killed_after_it_had_stored_the_answer(
        self, page: Page, task: Task, site: WebSite, alice: User, device: Device
    ) -> None:
        write(page)

        def lose(route: Route) -> None:
            if route.request.method == "POST" and route.request.url.endswith(f"/tasks/{task.pk}/"):
                route.fetch(max_redirects=0)
                site.kill()
                route.abort("connectionreset")
            else:
                route.continue_()

        page.route("**/tasks/**", lose)
        page.get_by_test_id("submit").click(no_wait_after=True)
        deadline = time.monotonic() + 60
        while site.process.child.poll() is None:
            assert time.monotonic() < deadline, "the answer does not arrive"
            page.wait_for_timeout(50)  # lets `lose` run
        page.unroute("**/tasks/**")
        site.start()
        assert prompts_of(alice) == [WORDS], "it was stored, and only its page was lost"
        page.goto(f"/tasks/{task.pk}/")
        expect(page.get_by_role("heading", level=1)).to_contain_text(WORDS)
        check_page(page)
        assert prompts_of(alice) == [WORDS]


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


class OwnBrowser:
    """A Chromium that the test started, so that it may kill it by its process id."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        (profile / "DevToolsActivePort").unlink(missing_ok=True)
        argv = [
            CHROMIUM,
            "--headless=new",
            *FLAGS,
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self.child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._has_opened_its_page, 60, lambda: "Chromium does not start")

    def _port(self) -> str:
        file = self.profile / "DevToolsActivePort"
        port, written, _ = file.read_text().partition("\n") if file.exists() else ("", "", "")
        return port if written else ""

    def _has_opened_its_page(self) -> bool:
        """Return True once its first page is there: Playwright can wait for ever for one that is just being opened."""
        if not self._port():
            return False
        with urlopen(f"http://127.0.0.1:{self._port()}/json/list", timeout=60) as answer:
            return any(target["type"] == "page" for target in json.load(answer))

    def open(self, browser: Browser, person: User, site: WebSite, device: Device) -> Page:
        connected = browser.browser_type.connect_over_cdp(f"http://127.0.0.1:{self._port()}")
        context = connected.contexts[0]
        sign_in(context, person, site.url)
        page = context.new_page()
        page.set_viewport_size(device.viewport)  # type: ignore[arg-type]
        return page

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def has_written(self, text: str) -> bool:
        """Whether the browser's own storage on the disk has this text."""
        files = (self.profile / "Default" / "Local Storage" / "leveldb").glob("*.log")
        return any(text.encode(code) in one.read_bytes() for one in files for code in ("utf-8", "utf-16-le"))


@contextmanager
def profile() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="profile-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_browser(folder: Path) -> Iterator[OwnBrowser]:
    started = OwnBrowser(folder)
    try:
        yield started
    finally:
        started.kill()


@with_script
class TestKilledBrowser:
    """After a kill people sign in again: a browser writes new cookies to the disk only now and then."""

    def begin(self, page: Page, site: WebSite, alice: User) -> Task:
        page.goto(f"{site.url}/dashboard/")
        page.get_by_test_id("card-initial_prompt").click()
        expect(page.get_by_test_id("task")).to_be_visible()
        return open_task(alice)

    @pytest.mark.parametrize("fresh", [False, True], ids=["same-profile", "empty-profile"])
    def test_a_saved_draft_comes_back(
        self, browser: Browser, site: WebSite, alice: User, device: Device, fresh: bool
    ) -> None:
        with profile() as first, profile() as second:
            with own_browser(first) as killed:
                page = killed.open(browser, alice, site, device)
                task = self.begin(page, site, alice)
                write(page)
                expect(page.locator("[data-draft-state]")).to_contain_text("Draft saved")
            assert Draft.objects.get().body["text"] == WORDS
            with own_browser(second if fresh else first) as again:
                page = again.open(browser, alice, site, device)
                page.goto(f"{site.url}/dashboard/")
                page.locator(f"a[href='/tasks/{task.pk}/']").first.click()
                expect(page.get_by_test_id("reply")).to_have_value(WORDS)
                page.get_by_test_id("submit").click()
                expect(page.get_by_test_id("undo")).to_be_visible()
            assert prompts_of(alice) == [WORDS]

    def test_words_that_no_server_had_come_back(
        self, browser: Browser, site: WebSite, alice: User, device: Device
    ) -> None:
        with profile() as folder:
            with own_browser(folder) as killed:
                page = killed.open(browser, alice, site, device)
                task = self.begin(page, site, alice)
                page.context.set_offline(True)
                write(page)
                expect(page.locator(".keep-bar")).to_contain_text("What you write is kept here.")
                wait_until(lambda: killed.has_written(WORDS), 60, lambda: "the browser wrote nothing to its disk")
            assert not Draft.objects.exists()
            with own_browser(folder) as again:
                page = again.open(browser, alice, site, device)
                page.goto(f"{site.url}/tasks/{task.pk}/")
                expect(page.get_by_text("This is what you had written here. It is not sent yet.")).to_be_visible()
                expect(page.get_by_test_id("reply")).to_have_value(WORDS)
                expect(page.locator("[data-draft-state]")).to_contain_text("Draft saved")
            assert Draft.objects.get().body["text"] == WORDS
