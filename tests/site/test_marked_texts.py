"""Language and direction of users' texts on pages, and plurals."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from tasks import assignment
from tasks.kinds import Kind
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply, review
from tests.leaderboard.test_tallies import read_all as count
from tests.site.notices.test_writing import read_all as write_notices
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy

WORDS = "שלום"
LANG = "he"
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "use", "wbr"}


class Marks(HTMLParser):
    """Collects where WORDS stand without a language, or without a direction, of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.seen = 0
        self.missing: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if WORDS not in data or self.open[-1][0] == "title":
            return
        self.seen += 1
        inside = [attrs for tag, attrs in self.open if tag not in ("html", "body")]
        langs = [attrs["lang"] for attrs in inside if attrs.get("lang")]
        if not langs or langs[-1] != LANG or not any("dir" in attrs for attrs in inside):
            self.missing.append("/".join(f"{tag}.{attrs.get('class', '')}" for tag, attrs in self.open[-3:]))


def marks(client: Client, path: str) -> Marks:
    response = client.get(path)
    assert response.status_code == 200, path
    found = Marks()
    found.feed(response.text)
    return found


@pytest.mark.django_db
def test_each_text_names_its_language_and_direction(alice: User, bob: User) -> None:
    policy = TreePolicy()
    own = growing_tree(alice, lang=LANG)
    type(own).objects.filter(pk=own.pk).update(text=f"{WORDS} {WORDS}")
    decide(new_reply(own, bob, f"{WORDS} a reply that is long enough"))
    theirs = new_prompt(bob, f"{WORDS} of Bob", lang=LANG)
    review(theirs, alice)
    reactions.report(message_id=theirs.pk, reporter=alice, category="spam")
    write_notices()
    count()
    new_reply(own, new_person("Third"), f"{WORDS} another reply to judge")
    client = Client()
    client.force_login(alice)
    paths = [reverse(name) for name in ("contributions", "points", "notices", "reports")]
    paths += [reverse("tree", args=[own.pk]), f"{reverse('explore')}?kind=any&lang={LANG}"]
    found = {path: marks(client, path) for path in paths}
    # Last, because the page of a conversation is closed to whoever reviews in it.
    task = assignment.request_task(user=alice, lang=LANG, kind=Kind.LABEL_ASSISTANT_REPLY, policy=policy)
    path = reverse("task", args=[task.pk])
    found[path] = marks(client, path)
    assert {path: one.missing for path, one in found.items() if one.missing} == {}
    assert [path for path, one in found.items() if not one.seen] == []


def test_no_plural_is_made_by_hand() -> None:
    """Languages have up to six forms: `blocktranslate count` and `ngettext` know them, an appended s does not."""
    folder = Path(settings.BASE_DIR, "templates")
    desk = re.compile(r"(^|/)admin/|^unfold/")  # the pages of moderators are in English
    files = (path for path in folder.rglob("*") if path.is_file() and not desk.search(str(path.relative_to(folder))))
    assert [str(path) for path in files if "|pluralize" in path.read_text()] == []
