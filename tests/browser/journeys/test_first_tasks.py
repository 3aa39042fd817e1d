"""A newcomer's way: from the mail to the first task of each kind, by mouse and by keyboard alone; and ten in a row."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from oasst.accounts.models import User
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.browser.journeys.conftest import Device, OpenPage, WebSite, check_page
from tests.browser.journeys.mail_catcher import MailCatcher
from tests.browser.journeys.work import (
    WORDS,
    Hand,
    Keyboard,
    Mouse,
    check_no_trap,
    choose_places,
    close_open_tasks,
    open_task,
    reach,
)
from tests.browser.staging import EVERY_KIND, make_work
from tests.factories import new_person, new_prompt
from trees.models import Message, Ranking, Review

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TEXTS = (
    "Bees dance to tell each other where the flowers are.",
    "A sailing ship can travel faster than the wind that drives it.",
    "Why does bread rise when yeast is added to the dough?",
    "Glaciers carve valleys while they creep down a mountain.",
    "Please write a short letter to my future landlord.",
    "Tea loses its taste if the water is far too cold.",
    "How many strings does a concert harp usually have?",
    "Old maps show islands that nobody ever found again.",
    "Copper roofs turn green after some decades of rain.",
    "Explain compound interest with marbles in a jar.",
)
"""None like another, or the page asks about it."""


@pytest.mark.parametrize("way", ["code", "link"])
def test_sign_in_by_mail_and_agree_to_the_terms(
    open_page: OpenPage, site: WebSite, mails: MailCatcher, device: Device, way: str
) -> None:
    address = f"dora-{way}-{device}@example.org"
    page = open_page()
    page.goto("/")
    check_page(page)
    page.goto("/accounts/login/?next=/tasks/nothing/%3Fkind%3Dprompter_reply")
    check_page(page)
    page.get_by_test_id("email-address").fill(address)
    page.get_by_test_id("signin-email-button").click()
    page.wait_for_url(re.compile("/confirm/"))
    check_page(page)
    text = mails.newest(address)
    if way == "code":
        code = re.search(r"^ {4}(\S+)$", text, re.MULTILINE)
        assert code
        page.locator("#id_code").fill(code[1])
        page.get_by_test_id("confirm-code").click()
    else:
        link = re.search(r"http\S+/accounts/login/link/\S+", text)
        assert link
        page.goto(link[0])
        page.get_by_test_id("use-link").click()
    expect(page).to_have_url(re.compile("/terms/accept/"))
    check_page(page)
    page.get_by_test_id("accept-terms").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Welcome")
    check_page(page)
    page.get_by_role("link", name="Skip this").click()
    expect(page).to_have_url(re.compile(r"/tasks/nothing/\?kind=prompter_reply$"))
    dora = User.objects.get(email=address)
    assert dora.terms_version
    page.goto("/dashboard/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("user-menu")).to_contain_text(dora.display_name)
    assert urlsplit(page.url).netloc == urlsplit(site.url).netloc


@pytest.mark.parametrize("hand", [Mouse, Keyboard], ids=["mouse", "keyboard"])
def test_the_first_task_of_each_kind(open_page: OpenPage, alice: User, device: Device, hand: type[Hand]) -> None:
    page = open_page(alice)
    does = hand(page, device.script)
    for kind in EVERY_KIND:
        make_work(kind)
        does.take(kind)
        task = open_task(alice)
        if hand is Keyboard:
            check_no_trap(page)
        does.answer(kind)
        does.send()
        does.was_sent()
        task.refresh_from_db()
        assert task.status == Task.Status.DONE
        check_stored(task)
        close_open_tasks(alice)


def check_stored(task: Task) -> None:
    match TABLE[Kind(task.kind)].answer:
        case "text":
            assert Message.objects.get(pk=task.result_message_id).text == f"{WORDS}, as {task.kind}."
        case "labels":
            labels = Review.objects.get(author=task.user, message=task.message).labels
            assert (labels["spam"], labels.get("quality", 0.75)) == (0, 0.75), labels
        case "ranking":
            ranking = Ranking.objects.get(author=task.user, parent=task.message)
            assert ranking.ordered_ids != task.reply_ids and set(ranking.ordered_ids) == set(task.reply_ids)


@pytest.mark.parametrize("mode", [Review.Mode.FULL, Review.Mode.SIMPLE])
@pytest.mark.parametrize("kind", [Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_ASSISTANT_REPLY])
def test_a_review_in_full_and_in_short(
    open_page: OpenPage, alice: User, device: Device, kind: Kind, mode: Review.Mode
) -> None:
    make_work(kind)
    page = open_page(alice)
    does = Mouse(page, device.script)
    does.take(kind)
    task = open_task(alice)
    Task.objects.filter(pk=task.pk).update(mode=mode)  # drawn by chance; here each once
    page.reload()
    asked = {one.get_attribute("data-question") for one in page.locator("[data-question]").all()}
    if mode == Review.Mode.FULL:
        assert len(asked) == (11 if kind == Kind.LABEL_INITIAL_PROMPT else 13)
    else:
        assert asked == {"spam", "lang_mismatch"} | ({"quality"} if kind == Kind.LABEL_ASSISTANT_REPLY else set())
    does.answer(kind)
    does.send()
    does.was_sent()
    task.refresh_from_db()
    check_stored(task)
    labels = Review.objects.get(author=alice).labels
    assert all(value is None for name, value in labels.items() if name not in ("spam", "quality")), "never 0 (row 86)"


def test_ten_tasks_in_a_row_from_any_task(open_page: OpenPage, alice: User, device: Device) -> None:
    for kind in EVERY_KIND[1:]:
        make_work(kind)
    for number in range(6):
        new_prompt(new_person("Writer"), f"How long does bread number {number} keep?")
    page = open_page(alice)
    does = Mouse(page, device.script)
    page.goto("/dashboard/")
    page.get_by_test_id("next-task").click()
    seen: set[str] = set()
    kinds: set[str] = set()
    for number in range(10):
        expect(page.get_by_test_id("task")).to_be_visible()
        task = open_task(alice)
        assert str(task.pk) in page.url and task.pk not in seen
        seen.add(task.pk)
        kinds.add(task.kind)
        match TABLE[Kind(task.kind)].answer:
            case "text":
                page.get_by_test_id("reply").fill(TEXTS[number])
            case "ranking":
                choose_places(page)
            case _:
                does.answer(Kind(task.kind))
        does.send()
        # The page before had an undo button too. Its own takes itself away ten seconds after the scripts of a page ran,
        # which a busy machine needs for the rest of the page: so this waits for the page and not for all of it.
        page.wait_for_url(lambda url, before=str(task.pk): before not in url, wait_until="commit")
        expect(page.get_by_test_id("undo")).to_be_visible()
    assert Task.objects.filter(user=alice, status=Task.Status.DONE).count() == 10
    assert len(kinds) > 1


def test_nothing_to_do_says_why(open_page: OpenPage, alice: User, device: Device) -> None:
    page = open_page(alice)
    page.goto("/tasks/nothing/?kind=prompter_reply&lang=en")
    check_page(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Continue as the user")
    expect(page.get_by_role("heading", name="Nothing of this kind is open")).to_be_visible()
    reach(page, page.get_by_test_id("other-task"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/tasks/[0-9a-f-]{36}/$"))
