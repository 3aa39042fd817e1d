"""Around the work: exploring, labels, reports, notices, the account, practice, links that lead away."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from oasst.accounts.models import User
from oasst.site.notices import jobs as notice_jobs
from tests.browser.journeys.conftest import Device, OpenPage, check_page
from tests.factories import decide, new_person, new_prompt
from tests.trees.exploring.finished import finished
from trees.models import Message, Report, Review
from trees.moderation import moderator_actions
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUESTION = "How is sourdough baked?"
ANSWER = "A **hot oven** helps, and see https://example.org/bread for more."


@pytest.fixture
def tree() -> Message:
    return finished(new_person("Author"), QUESTION, (ANSWER, "In a cold one."))


def framed(page: Page) -> Locator:
    return page.locator(".node", has=page.locator(".turn.is-target")).last


@pytest.mark.parametrize("visitor", [True, False], ids=["visitor", "member"])
def test_explore_to_a_message_its_tree_and_its_copy(
    open_page: OpenPage, alice: User, device: Device, visitor: bool, tree: Message
) -> None:
    page = open_page(None if visitor else alice)
    page.goto("/explore/")
    check_page(page)
    page.get_by_label("Search for").fill("ovens hot")
    page.get_by_label("Language").select_option("en")
    page.get_by_role("button", name="Search").click()
    check_page(page)
    page.get_by_test_id("found").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(QUESTION)
    expect(page.locator(".turn.is-target")).to_contain_text("hot oven")
    expect(page.locator(".turn.is-target")).to_be_in_viewport()
    check_page(page)
    framed(page).locator("summary", has_text="More about this message").click()
    if device.script:
        framed(page).get_by_role("link", name="Copy the text").click()
        expect(page.locator("[data-copy-status]")).to_have_text("The text is copied.")
        assert page.evaluate("navigator.clipboard.readText()") == ANSWER
    else:
        framed(page).get_by_role("link", name="Copy the text").click()
        expect(page.locator("body")).to_have_text(ANSWER)


def test_a_link_leads_away_only_after_a_question(open_page: OpenPage, device: Device, tree: Message) -> None:
    page = open_page()
    page.goto(f"/messages/{Message.objects.get(text=ANSWER).pk}/")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="https://example.org/bread").click()
    leaving = opened.value
    expect(leaving).to_have_url(re.compile("/leaving/"))
    check_page(leaving)
    onward = leaving.get_by_role("link", name="Go to example.org")
    expect(onward).to_have_attribute("href", "https://example.org/bread")
    expect(onward).to_have_attribute("rel", "noopener noreferrer nofollow ugc")


def test_free_labels(open_page: OpenPage, alice: User, device: Device, tree: Message) -> None:
    page = open_page(alice)
    answer = Message.objects.get(text=ANSWER)
    page.goto(f"/messages/{answer.pk}/")
    framed(page).locator("summary", has_text="More about this message").click()
    framed(page).get_by_role("link", name="Label it").click()
    check_page(page)
    page.locator("[data-question=humor] [data-testid=radio-option]").nth(1).check()
    page.get_by_role("button", name="Store my labels").click()
    expect(page).to_have_url(re.compile(f"/messages/{answer.pk}/(#.*)?$"))
    check_page(page)
    stored = Review.everything.get(author=alice, message=answer, kind=Review.Kind.FREE).labels
    assert {name: value for name, value in stored.items() if value is not None} == {"humor": 0.25}


def test_a_report_and_its_outcome(open_page: OpenPage, alice: User, device: Device, tree: Message) -> None:
    page = open_page(alice)
    page.goto(f"/messages/{Message.objects.get(text=ANSWER).pk}/")
    report = framed(page).locator("details.report")
    if device.script:
        page.wait_for_load_state()
        page.keyboard.press("r")
        expect(report.get_by_role("radio").first).to_be_focused()
    else:
        report.locator("summary").click()
    report.get_by_role("radio").first.check()
    report.get_by_label("A few words").fill("It is an advertisement.")
    check_page(page)
    report.get_by_role("button", name="Tell the moderators").click()
    expect(page.get_by_text("You reported this.")).to_be_visible()
    check_page(page)
    moderator_actions.settle_report(
        report_id=Report.objects.get().pk,
        actor=new_person("Mo", "moderator"),
        status="dismissed",
        outcome="The link is fine.",
        policy=current_policy(),
    )
    page.goto("/me/reports/")
    check_page(page)
    expect(page.get_by_test_id("report")).to_contain_text("The link is fine.")
    expect(page.get_by_test_id("report")).to_contain_text("It is an advertisement.")


def test_notices(open_page: OpenPage, alice: User, device: Device) -> None:
    decide(new_prompt(alice, QUESTION, current_policy()), policy=current_policy())
    notice_jobs.write_notices()
    page = open_page(alice)
    page.goto("/dashboard/")
    page.get_by_role("link", name=re.compile("^Notices")).first.click()
    check_page(page)
    expect(page.locator(".notice")).to_contain_text(QUESTION)
    expect(page.locator("[data-unread]")).to_have_count(1)
    if device.script:
        expect(page.locator("[data-bell-count]")).to_have_count(0)  # what was in view for two seconds is read
    else:
        page.get_by_role("button", name="Mark all as read").click()
        expect(page.locator("[data-unread]")).to_have_count(0)
    page.reload()
    expect(page.locator("[data-unread]")).to_have_count(0)
    page.get_by_role("link", name="What to tell me, and how").click()
    page.locator("#settings").get_by_role("checkbox").first.uncheck()
    page.locator("#settings").get_by_role("button", name="Save").click()
    check_page(page)
    page.locator(".notice__text").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(QUESTION)


def test_the_account(open_page: OpenPage, alice: User, device: Device) -> None:
    page = open_page(alice)
    page.goto("/me/")
    check_page(page)
    if device.script:
        search = page.get_by_role("combobox", name="Add a language")
        search.press_sequentially("deutsch")
        expect(search).to_have_attribute("aria-expanded", "true")
        search.press("Enter")
    else:
        page.get_by_label("Language 2").select_option("de")
    page.get_by_role("combobox", name="Time zone").fill("Nairobi")
    page.get_by_label("Switch off shortcuts of a single key").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Your profile is saved.")).to_be_visible()
    check_page(page)
    alice.refresh_from_db()
    assert (alice.contribution_languages, alice.time_zone) == (["en", "de"], "Africa/Nairobi")
    assert alice.single_keys_off
    page.goto("/me/data/")
    check_page(page)
    with page.expect_download() as waiting:
        page.get_by_test_id("own-data").click()
    assert waiting.value.suggested_filename.endswith(".zip")


def test_practice_of_a_visitor(open_page: OpenPage, device: Device) -> None:
    page = open_page()
    page.goto("/")
    page.get_by_test_id("try-review").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a review")
    check_page(page)
    if device.script:
        page.wait_for_load_state()
        page.keyboard.press("y")
        expect(page.locator("[data-question=spam] input:checked")).to_have_count(0)  # nobody could switch it off
    page.locator("[data-question=spam]").get_by_test_id("no").check()
    page.get_by_test_id("practice-send").click()
    expect(page.get_by_test_id("outcome").first).to_be_visible()
    check_page(page)
    page.get_by_test_id("practice-next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a review")
    assert not Review.everything.exists()
