"""Hostile texts in every field that is shown, on every page that shows it: none of them runs.

The texts are written into the database past all validation, as an imported file, an earlier version or a bug might. New
text fields of models are filled automatically. Active content of a page is compared with the same page before.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db import models
from django.test import Client

from inference.chats import changes, chat_settings, feedback
from inference.models import Turn
from inference.policy import ChatPolicy
from leaderboard import cached_statistics, statistics_page
from oasst.accounts import account_bans, account_changes, api_clients, registration, tokens
from oasst.accounts.models import ApiClient, User
from oasst.core.audit.recording import record
from oasst.core.errors import DomainError, Invalid
from oasst.core.markdown.rendering import MARKDOWN_LIMIT
from oasst.core.models import AuditEntry, AuditLink, AuditText
from oasst.site import purging
from tasks import assignment
from tasks.kinds import Kind
from tasks.models import Task
from tests.factories import growing_tree, new_person
from tests.inference.talking import ask, new_chat, set_instructions
from tests.security.permissions import PAGES as ADMIN_PAGES
from tests.security.permissions import rows as lines
from tests.security.roles import World, new_world, path_of
from tests.security.test_permissions import MODEL_PAGES, address_of
from tests.security.test_roles import PAGES, below, pages, rows
from trees.contributing import reactions, reviews
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Skip, Snapshot
from trees.moderation import acts, moderator_actions

MARK = "zzmark"
TEXTS = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror="{MARK}()">',
    f"' onmouseover='{MARK}()' x='",
    f'" autofocus onfocus={MARK}() x="',
    f"</script><script>{MARK}()</script>",
    f"</textarea></title></style></template><svg onload={MARK}()>",
    f"<iframe srcdoc='<script>{MARK}()</script>'></iframe>",
    f"<style>*{{background:url(//{MARK}.example)}}</style>",
    f"[a](javascript:{MARK}()) [b](JaVa\tScRiPt:{MARK}())",
    f"[c](data:text/html;base64,{MARK}) ![d](javascript:{MARK}())",
    f'<a href="&#106;avascript:{MARK}()">e</a> <javascript:{MARK}()>',
    f"[f]: javascript:{MARK}() 'g'\n[f] ![h](https://{MARK}.example/i.png)",
    f"\\(\\text{{<img src=x onerror={MARK}()>}}\\) \\(\\href{{javascript:{MARK}()}}{{x}}\\) $$</math><b {MARK}>$$",
    f"<!-- {MARK} --> <!--> <![CDATA[<script>{MARK}()</script>]]>",
    f"{{{{ {MARK} }}}} {{% load {MARK} %}} ${{{MARK}()}} #{{{MARK}}}",
    f'" x-data="{MARK}()" x-init="{MARK}()" @click="{MARK}()" :href="{MARK}',
    f'" hx-get="//{MARK}.example" hx-trigger="load" hx-on::load="{MARK}()',
    f"\\u003cscript\\u003e{MARK}()\\u003c/script\\u003e \\x3c/script>",
    f"=cmd|' /C {MARK}'!A0\n@SUM(1)\n+1\n-1",
    f"\u202e{MARK}\u202d \u2066{MARK}\u2069 \u200b\u200d\u2060{MARK}",
    f"{MARK}" + "\u0301" * 200,
    f"```html\n<script>{MARK}()</script>\n``` `{MARK}` ~~{MARK}~~ | a | b |\n|---|---|\n| <b onclick={MARK}()> | x |",
    f"\x1b[31m{MARK}\x1b]0;{MARK}\x07 \r\nBcc: {MARK}@example.org",
)
NESTED = (
    ">" * 100_000 + MARK,
    "[" * 100_000 + MARK,
    "*_" * 50_000 + MARK,
    "- " * 50_000 + MARK,
    "<a><b>" * 16_000 + MARK,
    "\n".join("`" * n for n in range(400)),
)
# Columns without users' text: positions, digests, names of kinds that the code compares.
NO_WORDS = {
    *("password", "email", "time_zone", "interface_language", "terms_version", "prefix", "digest", "salt", "old_salt"),
    *("fingerprint", "scope", "key", "lang", "document", "version", "session_key", "session_data", "emoji", "event"),
    *("asked_kind", "answer_digest", "kind", "finish_reason", "error_code", "consent", "provider", "owner"),
    *("source_sha256", "salt_digest"),
}
OURS = {"trees", "tasks", "leaderboard", "inference", "accounts", "core"}
PASSES = 3


def fields() -> Iterator[tuple[type[models.Model], Any]]:
    for model in apps.get_models():
        for field in model._meta.fields:
            words = isinstance(field, models.CharField | models.TextField) and not field.choices
            words = words and not field.primary_key and (model, field.name) != (Snapshot, "name")  # safe by its rule
            if model._meta.app_label in OURS and words and field.name not in NO_WORDS:
                yield model, field


def fill(turn: int) -> None:
    """Fill each short field with another of the texts each time, long ones with all of them, in another order."""
    assert sum(map(len, TEXTS)) < MARKDOWN_LIMIT / 2, "longer ones are not read as Markdown at all"
    for number, (model, field) in enumerate(fields()):
        first = (number + turn * (len(TEXTS) // PASSES)) % len(TEXTS)
        ordered = (*TEXTS[first:], *TEXTS[:first])
        text = "\n\n".join(ordered) if (field.max_length or 9999) > 1000 else ordered[0]
        if model in (AuditEntry, AuditText, AuditLink):  # no row of the log is ever changed
            continue
        if model in (AuditEntry, AuditText, AuditLink):  # no row of the log is ever changed
            continue
        for place, row in enumerate(model._base_manager.all()):
            alone = field.unique or field.name == "name_skeleton"  # one owner each, by a constraint
            value = f"{place}{text}" if alone else text
            model._base_manager.filter(pk=row.pk).update(**{field.name: value[: field.max_length]})


def record_them(world: World) -> None:
    """Record an act with these words, about a message and about a person."""
    for text in TEXTS:
        for target in (world.rows["trees.message"], world.rows["accounts.user"]):
            about = {"text": {"text": text}}
            record(acts.EDIT, target, actor=world.rows["accounts.user"], reason=text, before=about, after=about)


class Executable(HTMLParser):
    """Return the parts of a page that a browser runs, loads or sends somewhere, except plain links."""

    HANDLERS = re.compile(r"on|x-|@|:|hx-|data-hx-|style$|srcdoc$|formaction$|ping$|http-equiv$", re.IGNORECASE)
    ADDRESSES = ("href", "src", "action", "formaction", "poster", "data", "xlink:href", "srcset", "content")
    TAGS = {
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "base",
        "meta",
        "link",
        "frame",
        "svg",
        "img",
        # MathML elements that link, load or contain HTML. Formulas themselves are ours.
        "maction",
        "annotation-xml",
        "mglyph",
        "malignmark",
        "form",
    }

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: set[tuple[str, ...]] = set()
        self.scripts = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if MARK in tag:
            self.found.add(("tag", tag))
        if tag in self.TAGS:
            self.found.add(("tag", tag, *(f"{name}={value}" for name, value in attrs if name in self.ADDRESSES)))
        for name, value in attrs:
            if self.HANDLERS.match(name) or MARK in name:
                self.found.add((tag, name, value or ""))
            if name in self.ADDRESSES:
                scheme = re.match(r"[\x00-\x20]*([a-z\s]+):", value or "", re.IGNORECASE)
                if scheme and re.sub(r"\s", "", scheme[1]).lower() not in ("http", "https", "mailto"):
                    self.found.add((tag, name, value or ""))


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    return filled_world()


def filled_world() -> World:
    world = new_world()
    owner, moderator = User.objects.get(display_name="Owner"), User.objects.get(display_name="Mo")
    prompt = Message.objects.get(pk=world.ids["message_id"])
    reviews.record_skip(message=prompt, author=moderator, kind=Skip.Kind.REPLY)
    moderator_actions.edit_message(
        message_id=prompt.pk, actor=moderator, text="Why do we bake?", reason="Clearer.", policy=TREES
    )
    reactions.report(message_id=prompt.pk, reporter=moderator, category="spam", text="Odd.")
    account_bans.ban(world.rows["accounts.user"], actor=moderator, reason="Spam.")
    set_instructions(owner, world.ids["chat_id"], "Be brief.")
    return world


def shown(world: World) -> dict[str, str]:
    """Return each page that exists for its user, by URL: of the owner, of the suspended user, and of the admin."""
    found: dict[str, str] = {}
    for name, (get, _) in rows(PAGES).items():
        # The samples of the style guide are no user's texts, and their numbers change. Files are no pages.
        if get not in ("-", "none", "out") and not name.startswith(("styleguide", "snapshot_file")):
            client = world.clients["suspended" if name == "suspended" else "owner"]
            found |= fetched(client, path_of(pages()[name], world))
    found |= fetched(world.clients["administrator"], f"/messages/{world.ids['message_id']}/")
    for name, get, _ in lines(ADMIN_PAGES):
        if get not in ("-", "nobody") and name not in ("password_change", "jsi18n", "logout"):
            found |= fetched(world.clients["administrator"], path_of(below("admin/")[name], world))
    for model in admin.site._registry:
        for page in {*MODEL_PAGES} - {"add", "delete"}:
            found |= fetched(world.clients["administrator"], address_of(world, model._meta.label_lower, page))
    return found


def fetched(client: Client, path: str) -> dict[str, str]:
    response: Any = client.get(path)
    assert response.status_code < 500, path
    kind = response.headers.get("Content-Type", "")
    return {path: response.text} if response.status_code == 200 and kind.startswith("text/html") else {}


def test_nothing_of_them_runs_on_any_page(world: World) -> None:
    before = {path: Executable(html) for path, html in shown(world).items()}
    assert len(before) > 60
    record_them(world)
    marked: set[str] = set()
    for turn in range(PASSES):
        fill(turn)
        now = shown(world)
        assert set(now) == set(before), "a page is not shown any more"
        for path, html in now.items():
            after = Executable(html)
            assert after.found - before[path].found == set(), path
            assert after.scripts == before[path].scripts, path
            if MARK in html:
                marked.add(path)
    assert len(marked) > 20, sorted(marked)


def test_deep_nesting_is_shown_at_once_and_as_text(world: World) -> None:
    message, answer = world.ids["message_id"], world.ids["chat:message_id"]
    for text in NESTED:
        Message.objects.filter(pk=message).update(text=text)
        apps.get_model("inference.chatmessage").objects.filter(pk=answer).update(content=text)
        for path in (f"/messages/{message}/", f"/chat/{world.ids['chat_id']}/"):
            page = Executable(fetched(world.clients["owner"], path)[path])
            assert not any(MARK in part for one in page.found for part in one)


def test_tables_for_spreadsheets_hold_no_formulas(world: World) -> None:
    fill(0)
    cached_statistics.refresh(cached_statistics.PAGE_STATISTICS)
    for name in statistics_page.BY_NAME:
        for row in csv.reader(io.StringIO(statistics_page.as_csv(name))):
            for cell in row:
                assert not re.match(r"[=+@\t\r]|-\D", cell), (name, cell)


# --- Refused input ---

CONTROLS = ("a\x1b[31mred", "a\0b", "a\x07b", "\u202etxt.exe", "x" + "\u0301" * 60)


@dataclass
class Scene:
    person: User
    moderator: User
    message: Message

    def bot(self) -> ApiClient:
        return api_clients.create_api_client(name="bot", trusted=False)[0]

    def chat(self) -> UUID:
        return new_chat(self.person).pk

    def edit(self, text: str, reason: str) -> None:
        moderator_actions.edit_message(
            message_id=self.message.pk, actor=self.moderator, text=text, reason=reason, policy=TREES
        )

    def delete(self, reason: str) -> None:
        moderator_actions.delete_message(message_id=self.message.pk, actor=self.moderator, reason=reason, policy=TREES)

    def halt(self, reason: str) -> None:
        moderator_actions.halt(tree_id=self.message.tree_id, actor=self.moderator, reason=reason, policy=TREES)

    def report_answer(self, text: str) -> None:
        turn = Turn.objects.filter(user=self.person).first() or ask(self.person)
        feedback.report(user=self.person, message_id=turn.pk, kind="spam", reason=text)

    def skip(self, note: str) -> None:
        task = Task.objects.filter(user=self.person).first() or assignment.request_task(
            user=self.person, lang="en", kind=Kind.ASSISTANT_REPLY, policy=TREES
        )
        assignment.skip(task_id=task.pk, user=self.person, policy=TREES, note=note)

    def change(self, **values: str) -> None:
        account_changes.change_account(self.person, actor=self.moderator, reason="Because.", **values)

    def report(self, text: str) -> None:
        reactions.report(message_id=self.message.pk, reporter=self.person, category="spam", text=text)


CHATS, TREES = ChatPolicy(), TreePolicy()
DOORS: dict[str, Callable[[Scene, str], object]] = {
    "display name": lambda scene, text: registration.create_user(email="", display_name=text),
    "token": lambda scene, text: tokens.create_token(scene.person, name=text, days=None),
    "program": lambda _scene, text: api_clients.create_api_client(name=text, trusted=False),
    "key": lambda scene, text: api_clients.create_api_key(scene.bot(), name=text),
    "chat": lambda scene, text: changes.rename(user=scene.person, chat_id=scene.chat(), title=text, policy=CHATS),
    "question": lambda scene, text: ask(scene.person, text),
    "instructions": lambda scene, text: set_instructions(scene.person, scene.chat(), text),
    "preset": lambda scene, text: chat_settings.save_preset(user=scene.person, name=text, chosen={}),
    "report": lambda scene, text: scene.report(text),
    "edit": lambda scene, text: scene.edit(text, "Because."),
    "reason of an edit": lambda scene, text: scene.edit("Other words", text),
    "reason of a deletion": lambda scene, text: scene.delete(text),
    "reason of a halt": lambda scene, text: scene.halt(text),
    "reason of a purge": lambda scene, text: purging.start_purge(user=scene.person, actor=scene.moderator, reason=text),
    "name given by staff": lambda scene, text: scene.change(display_name=text),
    "notes about an account": lambda scene, text: scene.change(notes=text),
    "report of an answer": lambda scene, text: scene.report_answer(text),
    "note of a skip": lambda scene, text: scene.skip(text),
    "reason of a ban": lambda scene, text: account_bans.ban(scene.person, actor=scene.moderator, reason=text),
}
"""The ways by which users' text comes in."""


@pytest.mark.django_db
@pytest.mark.parametrize("door", DOORS)
def test_control_characters_are_refused_everywhere(mo: User, settings: Any, door: str) -> None:
    """A terminal, a log and a mail would obey them."""
    settings.OASST_CHAT_MODEL, settings.RATE_LIMITS = "tiny", False
    scene = Scene(new_person("Ann"), mo, growing_tree(new_person("Author")))
    for text in CONTROLS:
        with pytest.raises(DomainError) as refused:
            DOORS[door](scene, text)
        assert isinstance(refused.value, Invalid), text


@pytest.mark.django_db
def test_no_line_of_a_mail_is_anybodys_words(client: Client, mailoutbox: list[Any]) -> None:
    for address in ("a@example.org\r\nBcc: b@example.org", "a@example.org\nX: y", "a\x1b@example.org"):
        client.post("/accounts/login/code/", {"email": address})
        assert mailoutbox == []
    templates = Path(settings.BASE_DIR, "templates")
    for subject in templates.glob("*/email/*_subject.txt"):
        words = set(re.findall(r"{{\s*([^}\s|]+)", subject.read_text()))
        assert words <= {"code", "number"}, subject
