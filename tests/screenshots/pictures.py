"""The pictures of README.md, small enough to be kept with the code."""

import base64
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from tests.screenshots.demo import Demo

QUALITY = 60  # of WebP, 0 to 100
MOST_BYTES = 600_000  # of all together
DESK, PHONE = (1280, 860), (390, 800)
SHOWN = (
    ("landing", "visitor", "light", DESK, "/"),
    ("review", "contributor", "light", DESK, "task"),
    ("conversation", "contributor", "light", DESK, "tree"),
    ("dashboard", "contributor", "light", DESK, "/dashboard/"),
    ("phone", "contributor", "dark", PHONE, "/dashboard/"),
)
"""Name of the file, role, theme, size, and the path or what it is a page of."""


def take(contexts: dict[tuple[str, str], BrowserContext], place: Demo, folder: Path) -> int:
    """Write the pictures; return the bytes of all. `contexts` are by role and theme."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"task": _review_of_an_answer(place), "tree": f"/messages/{place.values['finished_id'][0]}/"}
    total = 0
    for name, role, theme, (width, height), path in SHOWN:
        page = contexts[role, theme].new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.goto(paths.get(path, path), wait_until="load")
        picture = _webp(page)
        (folder / f"{name}.webp").write_bytes(picture)
        total += len(picture)
        page.close()
    return total


def _review_of_an_answer(place: Demo) -> str:
    from tasks.models import Task

    tasks = Task.objects.filter(pk__in=place.values["task_id"])
    return f"/tasks/{tasks.get(kind='label_assistant_reply').pk}/"


def _webp(page: Page) -> bytes:
    options = {"format": "webp", "quality": QUALITY, "optimizeForSpeed": False}
    found = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    return base64.b64decode(found["data"])
