"""Task pages in a browser: keys, ranking, questions. The rows of the acceptance table are named at each test."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from oasst.accounts.models import User
from tasks import assignment
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.browser.conftest import NewVisitor
from tests.browser.driver import sign_in
from tests.browser.staging import EVERY_KIND, make_ranking, make_work
from tests.factories import new_people
from trees.models import Message, Ranking, Review, Skip
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WORDS = "Water rises in thin tubes, and leaves pull at it all day long."
TEXTS = ("Knead it for ten minutes.", "Let it rest over night.", "Use a hot oven.")


@pytest.fixture(autouse=True)
def no_limits(settings: Any) -> None:
    settings.TREE_POLICY = {"check_share": 0}
    settings.RATE_LIMITS = False


@pytest.fixture
def writer(visitor: NewVisitor) -> Page:
    page = visitor()
    sign_in(page, "alice@example.org")
    return page


def take(page: Page, kind: Kind) -> Task:
    page.goto("/dashboard/")
    page.get_by_test_id(f"card-{kind}").press("Enter")
    expect(page.get_by_test_id("task")).to_have_attribute("data-task-kind", kind)
    page.wait_for_load_state()  # then the scripts listen to keys
    return Task.objects.get(status=Task.Status.OPEN, user__email="alice@example.org")


def order(page: Page) -> list[str]:
    return page.locator("[data-rank-item] .rank__body").all_inner_texts()


def item(page: Page, text: str) -> Locator:
    return page.locator("[data-rank-item]", has_text=text)


def ranked() -> list[str]:
    ids = Ranking.objects.get(author__email="alice@example.org").ordered_ids
    texts = dict(Message.objects.filter(pk__in=ids).values_list("pk", "text"))
    return [texts[one] for one in ids]


def on_the_next_page(page: Page) -> None:
    """The page after sending: the answer was stored, and the focus is on the heading (row 65)."""
    expect(page.get_by_test_id("undo")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.wait_for_load_state()  # then the scripts listen to keys


class TestRanking:
    def test_one_that_was_never_touched_is_asked_about(self, writer: Page) -> None:
        """Row 63."""
        make_ranking(TEXTS)
        take(writer, Kind.RANK_ASSISTANT_REPLIES)
        before = order(writer)
        question = writer.get_by_role("dialog", name="Is that really your order?")
        writer.get_by_test_id("submit").click()
        question.get_by_role("button", name="Let me look again").click()
        expect(question).to_be_hidden()
        assert not Ranking.objects.exists()
        writer.keyboard.press("Control+Enter")
        question.get_by_role("button", name="Yes, that is my order").click()
        expect(writer.get_by_test_id("undo")).to_be_visible()
        assert ranked() == before

    def test_starts_shuffled_and_is_sorted_by_mouse_and_keys(self, writer: Page) -> None:
        """Row 78."""
        root = make_ranking(TEXTS)
        starts = {
            tuple(
                assignment.request_task(
                    user=one, lang="en", kind=Kind.RANK_ASSISTANT_REPLIES, policy=current_policy()
                ).reply_ids
            )
            for one in new_people(2)
        }
        assert all(len(start) == len(TEXTS) for start in starts)
        task = take(writer, Kind.RANK_ASSISTANT_REPLIES)
        texts = dict(Message.objects.filter(parent=root).values_list("pk", "text"))
        first, second, third = [texts[one] for one in task.reply_ids]
        assert order(writer) == [first, second, third], "the order that was drawn for this task"

        item(writer, third).locator("[data-grip]").hover()
        writer.mouse.down()
        item(writer, first).hover(position={"x": 20, "y": 2})
        writer.mouse.up()
        assert order(writer) == [third, first, second]
        item(writer, second).get_by_role("button", name="one place up").click()
        assert order(writer) == [third, second, first]
        item(writer, third).press("3")
        assert order(writer) == [second, first, third]
        item(writer, third).press("ArrowUp")
        assert order(writer) == [second, third, first]
        expect(item(writer, third)).to_be_focused()
        writer.keyboard.press("Control+Enter")
        expect(writer.get_by_test_id("undo")).to_be_visible()
        assert ranked() == [second, third, first]

    def test_the_whole_rendered_text_stands_in_place(self, writer: Page) -> None:
        """Row 80."""
        long = (
            "Take **strong** flour.\n\n"
            + "\n\n".join(f"Step {n} takes patience and care." for n in range(45))
            + "\n\nThe end."
        )
        make_ranking((long, *TEXTS[1:]))
        take(writer, Kind.RANK_ASSISTANT_REPLIES)
        body = item(writer, "Take strong flour").locator(".rank__body")
        expect(body.locator("strong")).to_have_text("strong")
        expect(body.locator("p").last).to_have_text("The end.")
        assert body.evaluate("one => one.scrollHeight <= one.clientHeight + 1"), "nothing is cut or scrolls inside"
        assert body.evaluate("one => getComputedStyle(one).webkitLineClamp") in ("none", "")
        body.locator("p").last.scroll_into_view_if_needed()
        expect(body.locator("p").last).to_be_in_viewport()


def test_junk_folds_the_rest(writer: Page) -> None:
    """Row 85."""
    make_work(Kind.LABEL_INITIAL_PROMPT)
    take(writer, Kind.LABEL_INITIAL_PROMPT)
    junk, scale = writer.locator("[data-question=spam]"), writer.locator("[data-question=quality]")
    expect(scale).to_be_visible()
    junk.get_by_test_id("yes").check()
    for other in writer.locator("[data-question]:not([data-question=spam])").all():
        expect(other).to_be_hidden()
    expect(writer.get_by_text("That settles it")).to_be_visible()
    expect(writer.locator("[data-progress]")).to_have_text("1 of 1 answered")
    junk.get_by_test_id("no").check()
    expect(scale).to_be_visible()
    junk.get_by_test_id("yes").check()
    writer.get_by_test_id("submit-stop").click()
    expect(writer.get_by_test_id("undo")).to_be_visible()
    labels = Review.objects.get(author__email="alice@example.org").labels
    assert {name: value for name, value in labels.items() if value is not None} == {"spam": 1.0}


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
def test_one_chord_sends_every_kind(writer: Page, keys: str) -> None:
    """Row 70, and row 65: the focus lands on the heading of the page that follows."""
    for kind in EVERY_KIND if keys == "Control+Enter" else (Kind.INITIAL_PROMPT, Kind.LABEL_INITIAL_PROMPT):
        make_work(kind)
        task = take(writer, kind)
        expect(writer.get_by_role("heading", level=1)).to_be_focused()
        match TABLE[kind].answer:
            case "text":
                writer.get_by_test_id("reply").fill(f"{WORDS} {kind}")
            case "labels":
                writer.keyboard.press("n")
            case "ranking":
                writer.locator("[data-rank-item]").first.press("ArrowDown")
        writer.keyboard.press(keys)
        on_the_next_page(writer)
        task.refresh_from_db()
        assert task.status == Task.Status.DONE, kind
        # The next task of the same kind is given back, so that there is one open task at a time.
        Task.objects.filter(user=task.user, status=Task.Status.OPEN).update(
            status=Task.Status.EXPIRED, finished_at=timezone.now()
        )


class TestSingleKeys:
    """The keyboard map of the specification, §10.3."""

    def test_every_key(self, writer: Page, keep: Callable[[Page, str], None]) -> None:
        make_work(Kind.LABEL_INITIAL_PROMPT)
        take(writer, Kind.LABEL_INITIAL_PROMPT)
        writer.keyboard.press("?")
        sheet = writer.get_by_role("dialog", name="Keys on this page")
        expect(sheet.locator("kbd")).to_have_text(
            ["Y", "N", "1", "5", "0", "J", "K", "Ctrl", "Enter", "S", "R", "E", "G", "D", "?", "Esc"]
        )
        keep(writer, "keys-sheet")
        writer.keyboard.press("s")
        expect(writer.locator("details.skip")).not_to_have_attribute("open", "")
        writer.keyboard.press("Escape")
        expect(sheet).to_be_hidden()
        reasons = writer.locator("details.skip [name=reason]")
        writer.keyboard.press("s")
        expect(reasons.first).to_be_focused()
        writer.keyboard.press("Escape")
        expect(writer.get_by_test_id("skip")).to_be_focused()
        writer.keyboard.press("r")
        expect(writer.locator("[name=reason][value=broken]")).to_be_focused()
        note = writer.get_by_label("Note for the moderators")
        writer.locator(".skip__note summary").click()
        note.focus()
        writer.keyboard.type("srgde?")
        expect(note).to_have_value("srgde?")
        note.fill("")
        writer.keyboard.press("Escape")

        writer.keyboard.press("j")
        expect(writer.locator("[data-question=spam] input").first).to_be_focused()
        writer.keyboard.press("n")
        writer.keyboard.press("j")
        writer.keyboard.press("k")
        writer.locator("[data-question=quality] input").first.focus()
        writer.keyboard.press("4")
        expect(writer.locator("[data-question=quality] input:checked")).to_have_value("0.75")
        writer.keyboard.press("Control+Enter")
        on_the_next_page(writer)
        writer.keyboard.press("e")
        expect(writer.get_by_text("Taken back.")).to_be_visible()
        expect(writer.locator("[data-question=quality] input:checked")).to_have_value("0.75")
        writer.keyboard.press("s")
        writer.keyboard.press("Enter")
        expect(writer.locator(".toast__text")).to_contain_text("Skipped.")
        assert Skip.objects.get().reason == Skip.Reason.NOT_MY_SUBJECT
        writer.goto("/me/")
        writer.keyboard.press("g")
        writer.keyboard.press("d")
        expect(writer).to_have_url(re.compile("/dashboard/$"))

    def test_can_be_switched_off_in_the_profile(self, writer: Page) -> None:
        make_work(Kind.LABEL_INITIAL_PROMPT)
        writer.goto("/me/")
        writer.get_by_label("Switch off shortcuts of a single key").check()
        writer.get_by_role("button", name="Save", exact=True).click()
        expect(writer.get_by_text("Your profile is saved.")).to_be_visible()
        assert User.objects.get(email="alice@example.org").single_keys_off
        take(writer, Kind.LABEL_INITIAL_PROMPT)
        for key in "?sryjgd":
            writer.keyboard.press(key)
        expect(
            writer.locator("dialog[open], details.skip[open], [data-question] input[value='1']:checked")
        ).to_have_count(0)
        expect(writer.get_by_role("heading", level=1)).to_be_focused()
        writer.get_by_role("button", name="Keys on this page").click()
        sheet = writer.get_by_role("dialog", name="Keys on this page")
        expect(sheet.locator("kbd")).to_have_text(["Ctrl", "Enter", "Esc"])
        sheet.get_by_role("link", name="your profile").click()
        writer.get_by_label("Switch off shortcuts of a single key").uncheck()
        writer.get_by_role("button", name="Save", exact=True).click()
        expect(writer.get_by_text("Your profile is saved.")).to_be_visible()
        assert not User.objects.get(email="alice@example.org").single_keys_off
