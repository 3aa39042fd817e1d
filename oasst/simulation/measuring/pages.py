"""Measuring each page for the most active user, and some API responses, in this process and through every middleware,
plain and compressed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Count
from django.test import Client
from django.urls import reverse

from oasst.accounts.api_clients import create_api_client
from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.simulation.measuring.tasks import LANG
from oasst.simulation.measuring.timing import Timings
from tasks import assignment
from tasks.kinds import Kind
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.queries import KINDS, contributions_of


@dataclass
class Visits:
    """Times of each page, and its bytes, plain and compressed."""

    user: User
    timings: Timings = field(default_factory=Timings)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def table(self) -> Iterator[str]:
        yield from self.timings.table()
        yield f"\n{'':<30}{'bytes':>9}{'by gzip':>9}"
        for name, (plain, packed) in self.sizes.items():
            yield f"{name:<30}{plain:9}{packed:9}"


def measure_pages(*, policy: TreePolicy, times: int) -> Visits:
    """Visit each page `times` times, plain and compressed. Raise AssertionError for a status other than 200."""
    ids = Message.objects.values("author").annotate(number=Count("pk")).order_by("-number")
    user = User.objects.get(pk=ids.filter(author__contribution_languages=[LANG])[0]["author"])
    moderator = User.objects.exclude(pk=user.pk).order_by("pk")[0]
    moderator.role = "admin"
    moderator.save(update_fields=["role"])
    visits = Visits(user)
    for visitor, pages in ((user, [*_pages(user, policy)]), (moderator, [*_admin_pages()])):
        client = Client(headers={"host": "localhost"})
        client.force_login(visitor, backend="django.contrib.auth.backends.ModelBackend")
        _visit_all(visits, client, pages, times)
    _, key = create_api_client(name="bench", trusted=True)
    _visit_all(visits, Client(headers={"host": "localhost", "X-API-Key": key}), [*_api_paths()], times)
    connection.close()
    return visits


def _visit_all(visits: Visits, client: Client, pages: list[tuple[str, str]], times: int) -> None:
    for name, address in pages:
        visits.sizes[name] = _visit(client, address), _visit(client, address, packed=True)  # also fills caches
        for number in range(times):
            for packed in (False, True) if number % 2 else (True, False):
                with visits.timings.measure(f"{name}, gzip" if packed else name):
                    _visit(client, address, packed=packed)


def _visit(client: Client, address: str, *, packed: bool = False) -> int:
    """Return the number of bytes."""
    answer = client.get(address, headers={"Accept-Encoding": "gzip" if packed else "identity"})
    if answer.status_code != 200:
        raise AssertionError(f"{address} answers {answer.status_code}")
    return len(answer.content)


def _pages(user: User, policy: TreePolicy) -> Iterator[tuple[str, str]]:
    yield "dashboard", reverse("dashboard")
    contributions = reverse("contributions")
    yield "contributions", contributions
    for kind in KINDS:
        yield f"contributions, {kind}", f"{contributions}?kind={kind}"
    older = None
    for _ in range(20):
        older = contributions_of(user, older=older).older or older
    yield "contributions, page 20", f"{contributions}?{urlencode({'older': older})}"
    yield "a finished tree", reverse("tree", args=[_some_tree(State.READY_FOR_EXPORT)])
    yield "a growing tree", reverse("tree", args=[_some_tree(State.GROWING)])
    yield "nothing to do", reverse("task_nothing")
    for kind in Kind:
        try:
            task = assignment.request_task(user=user, lang=LANG, policy=policy, kind=kind)
        except DomainError:
            continue  # no work of this kind
        yield f"task, {kind}", reverse("task", args=[task.pk])


def _some_tree(state: State) -> object:
    return MessageTree.objects.filter(state=state.value).order_by("number").values_list("pk", flat=True)[0]


def _admin_pages() -> Iterator[tuple[str, str]]:
    yield "admin, queues", reverse("admin:index")
    for model in ("messagetree", "message", "report", "deletion"):
        yield f"admin, {model} list", reverse(f"admin:trees_{model}_changelist")
    tree = _some_tree(State.READY_FOR_EXPORT)
    yield "admin, messagetree search", reverse("admin:trees_messagetree_changelist") + "?q=violin"
    yield "admin, message search", reverse("admin:trees_message_changelist") + "?q=violin"
    yield "admin, a tree", reverse("admin:trees_messagetree_change", args=[tree])
    yield "admin, a message", reverse("admin:trees_message_change", args=[tree])
    yield "admin, people list", reverse("admin:accounts_user_changelist")


def _api_paths() -> Iterator[tuple[str, str]]:
    tree = _some_tree(State.READY_FOR_EXPORT)
    yield "api, a message", f"/api/v1/messages/{tree}"
    yield "api, a tree", f"/api/v1/messages/{tree}/tree"
    yield "api, 100 messages", "/api/v1/messages/?max_count=100"
    yield "api, description", "/api/v1/openapi.json"
