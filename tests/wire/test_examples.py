"""The examples of docs/api.md run unchanged against a server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from oasst.accounts import api_clients
from tests.crash.processes import Site
from tests.factories import new_people, new_prompt
from trees.models import Message, Webhook
from trees.outbox.webhooks import EVENTS

TEXT: str = (settings.BASE_DIR / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.end()


@pytest.mark.slow
def test_every_block(site: Site) -> None:
    _, key = api_clients.create_api_client(name="docs", trusted=True)
    for author in new_people(3):
        new_prompt(author)
    environment = {**os.environ, "OASST_URL": f"{site.url}/api/v1", "OASST_KEY": key}

    def run(argv: list[str], language: str) -> str:
        # The blocks of a language depend on each other, so they form one program.
        program = "\n".join(code for name, code in BLOCKS if name == language)
        done = subprocess.run(argv, input=program, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr + site.web.said()
        return done.stdout

    assert {name for name, _ in BLOCKS} == {"sh", "python"}
    run(["bash", "-eu", "-o", "pipefail"], "sh")
    assert Message.objects.filter(frontend_message_id="text-1").exists()
    output = run([sys.executable, "-"], "python")
    assert "did label_initial_prompt" in output and "(this one)" in output
    assert not Webhook.objects.exists()


def test_every_event_is_named() -> None:
    for event in EVENTS.values():
        assert f"`{event}`" in TEXT


def test_it_is_linked() -> None:
    for name in ("README.md", "docs/wire.md"):
        assert "api.md" in (settings.BASE_DIR / name).read_text()
