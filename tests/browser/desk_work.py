"""The desk in a browser: items of every kind, and a moderator who settles them by keys alone."""

from collections.abc import Iterator
from itertools import cycle
from time import perf_counter

from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from inference.models import Chat, ChatMessage, ChatReport
from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts import appeals
from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import MessageTree
from trees.moderation import bans

MANY = TreePolicy(max_active_trees=1000)
KEYS = {
    "message": cycle((("1", "k"), ("4", "d"), ("5", "w", "h"), ("k", "2"), ("d", "4"), ("9", "s"))),
    "tree": cycle((("1", "k"), ("k", "1"))),
    "person": cycle((("1", "k"),)),
    "appeal": cycle((("2", "g"), ("7", "f"))),
    "chat": cycle((("1", "k"), ("3", "d"))),
}
"""Kind of item → what a moderator presses."""
NEXT = """([before]) => {
    const id = document.querySelector('[data-decide] [name=subject_id]')?.value ?? '';
    return document.readyState === 'complete' && id !== before && document.activeElement?.matches('[data-focus]');
}"""


def make_items(number: int) -> None:
    """Let this many items wait, of all kinds in turn: half of them reported messages."""
    makers = cycle((_reported, _answer, _reported, _flagged, _reported, _troll, _reported, _failed, _reported, _appeal))
    for index, make in zip(range(number), makers, strict=False):
        make(index)


def _reported(index: int) -> None:
    if index % 4:
        message = new_prompt(new_person("Author"), f"Buy my flour number {index}, which is the best one.")
    else:
        prompt = growing_tree(new_person("Asker"), MANY)
        message = new_reply(prompt, new_person("Author"), f"Just look up number {index}.")
    for _ in range(1 + index % 3):
        reactions.report(message_id=message.pk, reporter=new_person("Reporter"), category="spam", text="Again!")


def _flagged(index: int) -> None:
    message = new_prompt(new_person("Author"), f"Somewhat odd text number {index}.")
    reactions.set_reaction(message_id=message.pk, user=new_person("Flagger"), emoji="red_flag", on=True)


def _answer(index: int) -> None:
    chat = Chat.objects.create(user=(person := new_person("Chatter")))
    asked = ChatMessage.objects.create(chat=chat, role="prompter", content="How do I sharpen a knife?")
    answer = ChatMessage.objects.create(chat=chat, parent=asked, role="assistant", content=f"Throw it {index} times.")
    ChatReport.objects.create(message=answer, user=person, kind="offensive", reason="That is dangerous.")


def _troll(index: int) -> None:
    TrollStanding.objects.create(frame=Frame.WEEK.value, person=new_person("Troll"), red_flags=9)


def _failed(index: int) -> None:
    prompt = growing_tree(new_person("Author"), MANY)
    MessageTree.objects.filter(pk=prompt.tree_id).update(state="scoring_failed")


def _appeal(index: int) -> None:
    bans.ban(person := new_person("Person"), actor=new_person("Max", "moderator"), reason="Rude.")
    person.refresh_from_db()
    appeals.appeal(person, "I did not know that.")


def open_desk(browser: Browser, base_url: str, moderator: User, **options: object) -> Page:
    """Open the desk in a new profile."""
    client = Client()
    client.force_login(moderator)
    context = browser.new_context(base_url=base_url, **options)  # type: ignore[arg-type]
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": base_url}])
    page = context.new_page()
    page.goto("/admin/desk/")
    return page


def item_of(page: Page) -> tuple[str, str]:
    """Return kind and id of the item on the page; empty if there is none."""
    form = page.locator("[data-decide]")
    if not form.count():
        return "", ""
    kind = form.locator("[name=subject_kind]").input_value()
    if kind == "person" and form.locator("[value=grant]").count():
        kind = "appeal"
    return kind, form.locator("[name=subject_id]").input_value()


def start(page: Page) -> None:
    """Take the first item, by Enter."""
    expect(page.locator("[data-focus]")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_function(NEXT, arg=[""])


def settle(page: Page) -> float:
    """Decide about the item on the page by its keys. Return how long it took until the next one was there."""
    kind, key = item_of(page)
    keys = next(KEYS[kind])
    began = perf_counter()
    for one in keys:
        page.keyboard.press(one)
    page.wait_for_function(NEXT, arg=[key])
    return perf_counter() - began


def settle_all(page: Page) -> Iterator[tuple[str, float]]:
    """Settle items until none is left; yield the kind of each with the seconds that it took."""
    while (kind := item_of(page)[0]) != "":
        yield kind, settle(page)
