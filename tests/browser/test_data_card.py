"""The page of a snapshot, opened as a file: on a phone and a desk, in light and dark."""

from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.conftest import DESK, PHONE
from tests.trees.interchange.made_snapshot import figures_of, manifest_of, small_collection
from trees.interchange.data_card import card_files

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESK, "light")], ids=["phone", "desk"])
def test_everybody_can_read_it(
    browser: Browser, tmp_path: Path, viewport: Any, scheme: Literal["light", "dark"]
) -> None:
    records = small_collection()
    path = tmp_path / "card.html"
    path.write_bytes(card_files(manifest_of(records), figures_of(records))["card.html"])
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(path.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], "only tables scroll sideways"
    assert problems == []
    context.close()
