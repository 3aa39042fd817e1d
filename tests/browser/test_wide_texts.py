"""The widest texts, on all pages that show users' texts: no page scrolls sideways, each block has its direction."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from inference.models import Chat, ChatMessage, ChatReport
from oasst.accounts.models import User
from tests.core.markdown.test_rendering import MIXED
from tests.security.roles import World, new_world
from tests.security.test_hostile_texts import filled_world
from tests.security.test_permissions import address_of
from trees.models import Message, Report, Withdrawal

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LONG = "Donaudampfschifffahrt" * 30
WORST = "\n\n".join(
    [
        f"# {LONG}",
        LONG,
        f"`{LONG}` **{LONG}** [{LONG}](https://example.org/{LONG}) https://example.org/{LONG}",
        f"- {LONG}\n- `{LONG}`\n  1. {LONG}",
        f"> {LONG}\n> > {LONG}",
        f"| {LONG} | {LONG} |\n|---|---|\n| {LONG} | `{LONG}` |",
        "| " + "column | " * 40 + "\n|" + "---|" * 40,
        f"```python\nx = '{LONG}'\n```\n\n    {LONG}",
        r"\[" + " + ".join(f"x_{{{number}}}" for number in range(60)) + r"\]",
        r"So \(" + " + ".join(f"x_{{{number}}}" for number in range(60)) + r"\) and \(\foo " + "y" * 200 + r"\) it is.",
        r"\(\hspace{999em}x\) $$\begin{align}" + "a" * 200 + r"&=b\end{align}$$",
        f"![{LONG}](https://example.org/cat.png)",
        "\u0648" * 200,
    ]
)
WIDTHS = (390, 800, 1440)


def fill(world: World) -> None:
    Message.objects.update(text=WORST)
    Report.objects.update(text=LONG)
    Withdrawal.objects.update(reason=LONG[:500])
    ChatMessage.objects.update(content=WORST)
    Chat.objects.update(title="W" * 100)
    ChatReport.objects.update(reason=LONG)
    for number, person in enumerate(User.objects.all()):
        User.objects.filter(pk=person.pk).update(display_name="W" * 38 + f"{number:02}")


def opened(browser: Browser, world: World, role: str, url: str, settings: Any) -> Page:
    context = browser.new_context(base_url=url)
    context.set_default_timeout(30_000)
    cookie = world.clients[role].cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}])
    return context.new_page()


def sideways(page: Page) -> dict[int, Any]:
    """Return the widths at which the page is wider than its window, with the elements that are too wide."""
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found[width] = (wide, page.evaluate(STICKS_OUT))
    return found


def axe(page: Page, width: int, options: dict[str, Any]) -> list[Any]:
    page.set_viewport_size({"width": width, "height": 900})
    found = Axe().run(page, options=options).response["violations"]
    return [(width, one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


BOXES = ["scrollable-region-focusable", "aria-allowed-role"]
STICKS_OUT = """() => [...document.body.querySelectorAll("*")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 8).map((one) => one.outerHTML.slice(0, 90))"""


def test_no_page_scrolls_sideways(browser: Browser, live_server: Any, settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    world = filled_world()
    fill(world)
    ids = world.ids
    faults = {}
    for role, paths in {
        "owner": (
            *(f"/messages/{ids['message_id']}/", f"/chat/{ids['chat_id']}/", f"/chat/{ids['chat_id']}/settings/"),
            *("/chat/", "/chat/all/", "/dashboard/", "/me/", "/me/contributions/", "/me/points/", "/leaderboard/"),
            f"/tasks/{ids['task_id']}/",
        ),
        "administrator": (
            *(
                address_of(world, f"trees.{name}", "change")
                for name in ("message", "messagetree", "report", "deletion", "withdrawal")
            ),
            *(address_of(world, f"trees.{name}", "changelist") for name in ("message", "report", "withdrawal")),
            address_of(world, "inference.chatreport", "change"),
            address_of(world, "accounts.user", "change"),
        ),
    }.items():
        page = opened(browser, world, role, live_server.url, settings)
        for path in paths:
            response = page.goto(path)
            assert response and response.status == 200, path
            if wide := sideways(page):
                faults[path] = wide
            rules = {} if role == "owner" else {"runOnly": BOXES}  # the admin theme's other problems are not ours
            if found := [*axe(page, 390, rules), *axe(page, 1440, rules)]:
                faults[path, "axe"] = found
        page.context.close()
    assert not faults, "\n".join(f"{where}: {what}" for where, what in faults.items())


def test_directions_bullets_and_formulas(browser: Browser, live_server: Any, settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    world = new_world()
    Message.objects.update(text=MIXED)
    page = opened(browser, world, "owner", live_server.url, settings)
    page.goto(f"/messages/{world.ids['message_id']}/")
    prose = page.locator(".prose").first

    def style(selector: str, name: str) -> list[str]:
        found = prose.locator(selector).evaluate_all(f"found => found.map((one) => getComputedStyle(one).{name})")
        return list(found)

    assert style("h1", "direction") == ["rtl"]
    assert style(":scope > p", "direction") == ["ltr", "rtl", "rtl"]
    assert style("li", "direction") == ["rtl", "ltr"]
    assert style("blockquote", "direction") == ["rtl"]
    assert style("th", "direction") == ["rtl", "ltr"]
    assert {*style("code", "direction"), *style("pre", "direction"), *style("math", "direction")} == {"ltr"}
    assert style("ul", "listStyleType") == ["disc"]
    bullets = prose.locator("li").evaluate_all("found => found.map((one) => getComputedStyle(one).display)")
    assert bullets == ["list-item", "list-item"]

    # It is typeset: a fraction is higher than a letter, and the rows of a matrix are below each other.
    heights = prose.locator("mfrac, mfrac mi").evaluate_all(
        "found => found.map((one) => one.getBoundingClientRect().height)"
    )
    assert heights[0] > 1.5 * heights[1]
    tops = prose.locator("mtr").evaluate_all("found => found.map((one) => one.getBoundingClientRect().top)")
    assert tops[0] < tops[1]
    assert prose.locator("annotation").first.is_hidden()

    # Copying gives the source.
    copied = page.evaluate(
        """() => new Promise((done) => {
            document.addEventListener("copy", (event) => done(event.clipboardData.getData("text/plain")));
            const block = document.querySelector(".prose .formula--block");
            getSelection().setBaseAndExtent(block.previousElementSibling, 0, block, block.childNodes.length);
            document.execCommand("copy");
        })"""
    )
    assert r"\(\frac{a}{b}\)" in copied
    assert r"$$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$$" in copied
