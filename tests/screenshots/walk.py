"""Walks the pages of the URL table in a browser, takes pictures, and notes what is wrong with each."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response

from tests.screenshots import demo
from tests.screenshots.demo import ROLES, Demo
from tests.security.pages import Address, addresses

HEIGHT = 900
MAX_SCRIPT = 100_000  # bytes a page
TOLD_IN_ADMIN = ("overflow", "script")
"""The admin is a package of others: these faults of it are listed and do not fail the command."""
AXE = Axe().axe_script
RUN_AXE = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)"


@dataclass(frozen=True)
class Stop:
    """A page of the walk."""

    name: str
    path: str
    role: str


@dataclass
class Shot:
    stop: Stop
    width: int
    theme: str
    file: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def serious(self) -> list[str]:
        told = TOLD_IN_ADMIN if self.stop.path.startswith("/admin/") else ()
        return [fault for fault in self.faults if not fault.startswith(told)]


def paths(place: Demo) -> Iterator[tuple[str, str]]:
    """Return (name, path) of every address; the path is empty if the demo has no value for one of its parameters."""
    for address in addresses():
        if not address.is_page:
            continue
        choices = [_values(address, parameter, place) for parameter in address.parameters]
        if not all(choices):
            yield address.name or address.template, ""
        for values in product(*choices):
            name = "-".join([address.name or address.template, *(value[-8:] for value in values if len(values) == 1)])
            path = address.filled(dict(zip(address.parameters, values, strict=True)))
            yield name, path + place.queries.get(address.name, "")


def _values(address: Address, parameter: str, place: Demo) -> list[str]:
    if address.name.startswith("admin:"):
        row = demo.row_of(address.name) if parameter in demo.ROW_PARAMETERS else None
        return [row] if row else []
    part = address.template.partition("/")[0]
    return place.values.get(f"{part}:{parameter}") or place.values.get(parameter, [])


def find_stops(contexts: dict[str, BrowserContext], place: Demo) -> tuple[list[Stop], list[str]]:
    """Return the pages, each for the first role that gets one, and the addresses that show no page to anybody.

    Redirects are no pages of their own, and neither are files, data and addresses that only take forms.
    """
    stops: dict[str, Stop] = {}
    none = []
    used: Counter[str] = Counter()
    for name, path in paths(place):
        role = next((role for role in ROLES if path and _is_page(contexts[role], path, role)), None)
        if not role:
            none.append(f"{name} {path or '(no value for its parameters)'}")
        elif path not in stops:  # two patterns may have one path
            name = re.sub(r"\W+", "-", name).strip("-")
            used[name] += 1
            stops[path] = Stop(name if used[name] == 1 else f"{name}-{used[name]}", path, role)
    return list(stops.values()), none


def _is_page(context: BrowserContext, path: str, role: str) -> bool:
    answer = context.request.get(path, max_redirects=0, fail_on_status_code=False)
    is_html = answer.headers.get("content-type", "").startswith("text/html")
    # Pieces of pages are HTML, too.
    # The page that says why one is suspended says it with this status.
    is_shown = answer.status == 403 and path == "/suspended/" if role == "suspended" else answer.status == 200
    return is_shown and is_html and answer.text().lstrip()[:9].lower() == "<!doctype"


def photograph(context: BrowserContext, stop: Stop, widths: list[int], theme: str, folder: Path) -> Iterator[Shot]:
    """Load the page once in this context, which has the theme, and take it at each width."""
    page = context.new_page()
    faults: list[str] = []
    scripts: dict[str, int] = {}
    if stop.role != "suspended":  # a status that is none of success is an error of the console
        page.on("console", lambda message: _note_error(message, faults))
    page.on("pageerror", lambda error: faults.append(f"console: {error}"))
    page.on("response", lambda response: _note_script(response, scripts))
    page.set_viewport_size({"width": widths[0], "height": HEIGHT})
    page.goto(stop.path, wait_until="load")
    if urlsplit(page.url).path != urlsplit(stop.path).path:
        faults.append(f"moved: to {page.url}")
    if (size := sum(scripts.values())) > MAX_SCRIPT:
        faults.append(f"script: {size} bytes")
    page.evaluate(AXE)
    for width in widths:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        shot = Shot(stop, width, theme, f"{stop.name}-{width}-{theme}.png", list(faults))
        shot.faults += _look(page)
        page.screenshot(path=folder / shot.file, full_page=True)
        yield shot
    page.close()


def _note_error(message: ConsoleMessage, faults: list[str]) -> None:
    if message.type == "error":
        faults.append(f"console: {message.text}")


def _note_script(response: Response, scripts: dict[str, int]) -> None:
    if response.request.resource_type == "script" and response.ok:
        scripts[response.url] = len(response.body())


def _look(page: Page) -> list[str]:
    faults = []
    over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if over > 0:
        faults.append(f"overflow: {over} px")
    for violation in page.evaluate(RUN_AXE):
        targets = [" ".join(map(str, node["target"])) for node in violation["nodes"][:3]]
        faults.append(f"axe: {violation['id']} at {', '.join(targets)}")
    return faults
