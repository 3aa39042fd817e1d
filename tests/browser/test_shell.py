"""The frame of every page in a browser: one row of header, the menu of the phone, offline, maintenance."""

import re
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from leaderboard import shown_points
from oasst.accounts.models import User
from oasst.accounts.site_settings import changing
from tests.browser.conftest import NewVisitor
from tests.browser.driver import sign_in, take_any_task
from tests.inference.conftest import chat_on  # noqa: F401
from trees.models import Message

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = (320, 390, 768, 800, 1040, 1199, 1200, 1359, 1360, 1440, 1920)
WORDS = "Why is the sky blue at noon and red in the evening?"


def check_header(page: Page) -> None:
    """One row at every width, nothing beside the page, and the name of the page in sight."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        header = page.locator(".site-header")
        boxes = header.locator("a, summary, button, select").evaluate_all(
            "all => all.filter(one => one.checkVisibility() && !one.closest('.menu__list'))"
            ".map(one => one.getBoundingClientRect())"
            ".map(box => [box.left, box.right, (box.top + box.bottom) / 2])"
        )
        middles = [middle for _, _, middle in boxes]
        assert max(middles) - min(middles) < 3, f"one row at {width}: {boxes}"
        boxes.sort()
        assert all(this[1] <= following[0] + 1 for this, following in pairwise(boxes)), f"apart at {width}: {boxes}"
        assert page.evaluate("document.querySelector('.site-header__row').scrollWidth <= innerWidth"), width
        expect(header.get_by_text("Leaderboard", exact=True).locator("visible=true")).to_have_count(1)


def check_with_axe(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_header_and_menu(visitor: NewVisitor, keep: Any, chat_on: None) -> None:  # noqa: F811
    page = visitor()
    sign_in(page, "ada@example.org")
    User.objects.update(contribution_languages=["en", "pt-BR"], display_name="Maximiliane von Hohenfels-Langenburg")
    shown_points.keep(User.objects.get().pk, 12_345)
    changing.change(actor=None, announcement="We move on Sunday.", announcement_url="/about/")
    page.goto("/leaderboard/")
    check_header(page)
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.reload()  # colors that are still changing are neither of the old theme nor of the new one
        check_with_axe(page)
    page.set_viewport_size({"width": 390, "height": 844})
    menu = page.get_by_test_id("site-menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Dashboard")).to_be_visible()
    check_with_axe(page)
    keep(page, "menu-phone")
    page.keyboard.press("Tab")
    expect(menu.get_by_role("link", name="Dashboard")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()
    expect(menu.get_by_role("link", name="Dashboard")).to_be_hidden()
    page.get_by_test_id("announcement").get_by_role("button", name="Dismiss").click()
    expect(page.get_by_test_id("announcement")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("announcement")).to_have_count(0)


def test_the_menu_works_without_script(visitor: NewVisitor) -> None:
    page = visitor(script=False, viewport={"width": 390, "height": 844})
    page.goto("/about/")
    page.get_by_test_id("site-menu").locator("summary").click()
    page.get_by_test_id("site-menu").get_by_role("link", name="Statistics").click()
    page.wait_for_url(re.compile("/statistics/"))


def test_offline_the_page_stays_and_goes_on_when_asked(visitor: NewVisitor, keep: Any) -> None:
    page = visitor()
    page.goto("/about/")
    page.context.set_offline(True)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Statistics").click()
    notice = page.get_by_test_id("offline")
    expect(notice).to_contain_text("You are offline")
    expect(page.get_by_role("heading", level=1)).to_have_text("About this site")
    check_with_axe(page)
    keep(page, "offline")
    notice.get_by_role("button", name="Try again").click()
    expect(notice).to_be_visible()
    page.context.set_offline(False)
    expect(notice).to_contain_text("You are online again.")
    notice.get_by_role("button", name="Try again").click()
    page.wait_for_url(re.compile("/statistics/"))


def test_maintenance_in_the_middle_of_an_answer_loses_nothing(visitor: NewVisitor) -> None:
    page = visitor()
    sign_in(page, "ada@example.org")
    assert take_any_task(page)
    page.get_by_test_id("reply").fill(WORDS)
    changing.change(actor=None, maintenance=True)
    page.get_by_test_id("submit-stop").click()
    expect(page.locator(".keep-bar")).to_contain_text("The site is being looked after. It is sent as soon as")
    assert not Message.objects.exists()
    changing.change(actor=None, maintenance=False)
    expect(page.get_by_role("heading", level=1)).to_contain_text("What needs doing")
    assert Message.objects.get().text == WORDS


WATCH_THE_THEME = """
new MutationObserver(() => { window.themedAt ??= performance.now(); })
  .observe(document, { attributes: true, attributeFilter: ["data-theme"], subtree: true });
"""


def test_the_chosen_theme_is_there_before_the_first_paint(visitor: NewVisitor) -> None:
    page = visitor()  # the system is light
    page.goto("/about/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("[data-theme-toggle]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.add_init_script(WATCH_THE_THEME)
    page.goto("/statistics/")
    page.screenshot()  # so that it was painted
    painted = page.evaluate("performance.getEntriesByName('first-paint')[0].startTime")
    assert page.evaluate("window.themedAt") <= painted
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    for script in page.locator("head script").all():
        assert script.get_attribute("defer") is None and script.get_attribute("async") is None
