"""`scripts/screenshots`: starts a demo installation, walks all its pages, and reports what is wrong with them."""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

START_SECONDS = 300
ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    options = _options()
    folder = options.to.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _site(options.chat) as url:
        _set_up_django()
        shots, none = _walk(url, options, folder)
    from tests.screenshots import sheet

    index = sheet.write(folder, shots, none)
    faulty = [shot for shot in shots if shot.serious]
    for shot in faulty:
        for fault in shot.serious:
            sys.stdout.write(f"{shot.stop.path} ({shot.stop.role}) {shot.width} px {shot.theme}: {fault}\n")
    sys.stdout.write(f"{len(shots)} pictures, {len(faulty)} with faults: {index}\n")
    return 1 if faulty or not (shots or options.pictures) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "var" / "screenshots", help="folder (var/screenshots)")
    parser.add_argument("--only", default="", help="a regular expression for paths, such as ^/leaderboard")
    parser.add_argument("--widths", type=int, nargs="+", default=[390, 800, 1440], metavar="PX")
    parser.add_argument("--themes", nargs="+", default=["light", "dark"], choices=["light", "dark"])
    parser.add_argument("--samples", action="store_true", help="also each page of the style guide")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="write the pictures of README.md to this folder"
    )
    parser.add_argument("--chat", default="tiny", help="the chat model: tiny, none or a name (tiny)")
    return parser.parse_args()


@contextmanager
def _site(chat_model: str) -> Iterator[str]:
    """Run a new installation on a free port in a folder of its own; stop it and remove the folder at the end."""
    home = Path(tempfile.mkdtemp(prefix="oasst-screenshots-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "OASST_HOME": str(home / "home"),
        "PORT": str(port),
        "OASST_CHAT_MODEL": chat_model,
        "OASST_EMBEDDINGS": "none",
        "RATE_LIMITS": "off",
    }
    url = f"http://localhost:{port}"
    with (home / "up.log").open("w") as log:
        site = subprocess.Popen([sys.executable, "manage.py", "up"], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(site, url, home / "up.log")
            yield url
        finally:
            site.terminate()
            site.wait()
            _remove(home)


def _remove(home: Path) -> None:
    """Remove the installation. As root, its servers keep their data elsewhere and link to it."""
    data = (home / "home" / "services").resolve()
    if data.is_relative_to("/var/lib/oasst"):
        shutil.rmtree(data, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _wait(site: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and site.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"The site did not start; it said:\n{log.read_text()[-3000:]}")


def _set_up_django() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "oasst.settings"
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright has an event loop in this thread
    import django

    django.setup()


def _walk(url: str, options: argparse.Namespace, folder: Path) -> tuple[list[Any], list[str]]:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM, FLAGS
    from tests.screenshots import demo, pictures, walk

    place = demo.fill()
    if options.samples:
        place.values["page"] = demo.styleguide_pages()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        contexts = {role: browser.new_context(base_url=url) for role in demo.ROLES}
        for role, email in place.emails.items():
            _sign_in(contexts[role].new_page(), email)
        if options.chat != "none":
            place.values["chat_id"] = demo.begin_chat(contexts["contributor"].new_page())
            place.values["battle_id"] = demo.begin_battle(contexts["contributor"].new_page())
        stops, none = walk.find_stops(contexts, place)
        states: dict[str, Any] = {role: context.storage_state() for role, context in contexts.items()}
        themed = {
            (role, theme): browser.new_context(
                base_url=url, storage_state=states[role], color_scheme=theme, reduced_motion="reduce"
            )
            for role, theme in product(demo.ROLES, ("light", "dark"))
        }
        if options.pictures:
            size = pictures.take(themed, place, options.pictures)
            sys.stdout.write(f"{size} bytes in {options.pictures}\n")
            if size > pictures.MOST_BYTES:
                raise SystemExit(f"These are more than {pictures.MOST_BYTES} bytes.")
        shots: list[Any] = []
        chosen = [stop for stop in stops if re.search(options.only, stop.path)]
        sys.stderr.write(f"{len(chosen)} of {len(stops)} pages\n")
        for theme, role in product(options.themes, demo.ROLES):
            if role in place.emails:  # some pages ask for a sign-in of the last minutes
                _sign_in(themed[role, theme].new_page(), place.emails[role])
            for stop in chosen:
                if stop.role == role:
                    shots += walk.photograph(themed[role, theme], stop, options.widths, theme, folder)
        browser.close()
    shots.sort(key=lambda shot: (chosen.index(shot.stop), shot.theme != options.themes[0], shot.width))
    return shots, none


def _sign_in(page: Any, email: str) -> None:
    from oasst.accounts.authentication import sign_in_links
    from oasst.accounts.models import User

    page.goto(sign_in_links.make_link(User.objects.get(email=email), minutes=5))
    page.get_by_test_id("use-link").click()
    page.wait_for_url(re.compile(r"/terms/accept/|/dashboard/|/admin/|/suspended/"))
    if "/terms/accept/" in page.url:
        page.get_by_test_id("accept-terms").click()
        page.wait_for_url(re.compile("/welcome/|/dashboard/|/admin/"))
    page.close()


if __name__ == "__main__":
    sys.exit(main())
