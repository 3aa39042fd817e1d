"""What `up` does if a site does not get ready."""

import pytest

from oasst.embedded.errors import ServiceError
from oasst.site.management.commands import up


class Servers:
    def revive(self) -> list[str]:
        raise ServiceError("PostgreSQL did not start.")


class Part:
    def __init__(self, ends: int) -> None:
        self.ends = ends
        self.program = up.Program("web", [])


class Parts:
    def __init__(self, ends: int) -> None:
        self.children = [Part(ends)]
        self.stopped = self.started = 0

    def stop(self) -> None:
        self.stopped += 1

    def start_waiting(self) -> None:
        self.started += 1


@pytest.fixture
def said() -> list[str]:
    return []


def watch(said: list[str], ends: int = 0) -> up.SiteWatcher:
    command = up.Command()
    command._say = said.append  # type: ignore[method-assign]
    one = up.SiteWatcher(command, Servers(), ["oasst is ready: https://example.org"])  # type: ignore[arg-type]
    one.supervisor = Parts(ends)  # type: ignore[assignment]
    return one


@pytest.mark.parametrize("status", ["ready", "degraded"])
def test_announces_once(said: list[str], monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    monkeypatch.setattr(up, "readiness", lambda: status)
    one = watch(said)
    for _ in range(2):
        one._next_look = 0
        one.look()
    assert sum("oasst is ready" in line for line in said) == 1
    assert one.supervisor.started == 1 and not one.failure  # type: ignore[attr-defined]
    assert "PostgreSQL did not start." in said, "a server that cannot be revived is told, and tried again"


def test_gives_up_on_a_part_that_keeps_ending(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "readiness", lambda: "no answer")
    one = watch(said, ends=up.MAX_START_FAILURES)
    one.look()
    assert one.failure.startswith("web does not start")
    assert one.supervisor.stopped == 1  # type: ignore[attr-defined]


def test_gives_up_after_a_while_and_says_what_was_missing(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "readiness", lambda: "2 migrations are not applied")
    one = watch(said)
    one.look()
    assert not one.failure
    one._next_look = one._give_up_at = 0
    one.look()
    assert "2 migrations are not applied" in one.failure
