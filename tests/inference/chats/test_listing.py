"""The list of a user's chats: pages, sorting, filters, search, and the cost of a page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inference.chats import changes, deletion
from inference.chats.listing import SORTS, ChatFilter, page_by_cursor, page_by_number
from inference.models import Chat, ChatMessage, Role
from inference.policy import ChatPolicy
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.ids import uuid7
from tests.inference.talking import ask
from tests.simulation.scale.plans import explained

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = ChatFilter(hidden=None)


def new_chats(user: User, number: int, said: str = "Nothing much") -> list[Chat]:
    """Chats of one message each, a minute apart; the last one is the newest."""
    chats = Chat.objects.bulk_create(
        Chat(user=user, title=f"Chat {n:03}", created_at=NOON, modified_at=NOON + timedelta(minutes=n))
        for n in range(number)
    )
    ChatMessage.objects.bulk_create(ChatMessage(chat=one, role=Role.PROMPTER, content=said) for one in chats)
    return chats


def titles(page: Any) -> list[str]:
    return [one.title for one in page.chats]


def walk(user: User, wanted: ChatFilter, size: int) -> list[list[UUID]]:
    """Return all pages forwards, and check for each that going back gives the page before."""
    pages, page = [], page_by_cursor(user, wanted, size=size)
    while True:
        pages.append([one.pk for one in page.chats])
        if page.next is None:
            return pages
        here, page = page, page_by_cursor(user, wanted, size=size, after=page.next)
        back = page_by_cursor(user, wanted, size=size, before=page.prev)
        assert [one.pk for one in back.chats] == [one.pk for one in here.chats]


class TestByCursor:
    def test_it_works(self, alice: User, bob: User) -> None:
        new_chats(alice, 5)
        new_chats(bob, 2)
        first = page_by_cursor(alice, ChatFilter(), size=2)
        assert titles(first) == ["Chat 004", "Chat 003"] and first.prev is None and first.next
        second = page_by_cursor(alice, ChatFilter(), size=2, after=first.next)
        assert titles(second) == ["Chat 002", "Chat 001"] and second.prev and second.next
        last = page_by_cursor(alice, ChatFilter(), size=2, after=second.next)
        assert titles(last) == ["Chat 000"] and last.next is None

    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("descending", [True, False])
    def test_every_chat_is_on_one_page_also_where_values_are_equal(
        self, alice: User, sort: str, descending: bool
    ) -> None:
        new_chats(alice, 4)
        Chat.objects.bulk_create(Chat(user=alice, title="Same $ title", modified_at=NOON) for _ in range(5))
        pages = walk(alice, ChatFilter(sort=sort, descending=descending), 2)
        seen = [pk for page in pages for pk in page]
        assert len(seen) == len(set(seen)) == 9
        values = [getattr(Chat.objects.get(pk=pk), sort) for pk in seen]
        assert values == sorted(values, reverse=descending)

    def test_behind_the_last_one_the_cursor_leads_back(self, alice: User) -> None:
        new_chats(alice, 2)
        page = page_by_cursor(alice, ChatFilter(), size=1)
        last = page_by_cursor(alice, ChatFilter(), size=1, after=page.next)
        Chat.objects.filter(pk=last.chats[0].pk).delete()
        empty = page_by_cursor(alice, ChatFilter(), size=1, after=page.next)
        assert (empty.chats, empty.next) == ([], None) and empty.prev
        assert titles(page_by_cursor(alice, ChatFilter(), size=1, before=empty.prev)) == ["Chat 001"]

    @pytest.mark.parametrize("cursor", ["x", "%00", "Zm9v", "bW9kaWZpZWRfYXR8eA", "ä", "!" * 5000])
    def test_a_cursor_that_is_none(self, alice: User, cursor: str) -> None:
        with pytest.raises(Invalid) as refused:
            page_by_cursor(alice, ChatFilter(), size=2, after=cursor)
        assert refused.value.code == "bad_cursor"

    def test_a_cursor_of_another_sort_and_two_at_once(self, alice: User) -> None:
        new_chats(alice, 3)
        after = page_by_cursor(alice, ChatFilter(), size=1).next
        with pytest.raises(Invalid) as refused:
            page_by_cursor(alice, ChatFilter(sort="title"), size=1, after=after)
        assert refused.value.code == "bad_cursor"
        with pytest.raises(Invalid) as refused:
            page_by_cursor(alice, ChatFilter(), size=1, after=after, before=after)
        assert refused.value.code == "two_cursors"


class TestByNumber:
    def test_it_works(self, alice: User) -> None:
        new_chats(alice, 5)
        page = page_by_number(alice, ChatFilter(sort="title", descending=False), size=2, number=2)
        assert titles(page) == ["Chat 002", "Chat 003"]
        assert (page.number, page.pages, page.total) == (2, 3, 5)

    def test_beyond_the_ends(self, alice: User) -> None:
        assert page_by_number(alice, ChatFilter(), size=2, number=7).pages == 1
        new_chats(alice, 3)
        assert titles(page_by_number(alice, ChatFilter(), size=2, number=99)) == ["Chat 000"]
        assert titles(page_by_number(alice, ChatFilter(), size=2, number=-1)) == ["Chat 002", "Chat 001"]
        assert len(page_by_number(alice, ChatFilter(), size=-5).chats) == 1


class TestWhichOnes:
    def found(self, user: User, **wanted: Any) -> set[str]:
        return set(titles(page_by_cursor(user, ChatFilter(**wanted), size=50)))

    def test_hidden_and_deleted(self, alice: User) -> None:
        hidden, deleted, _ = new_chats(alice, 3)
        changes.change_chat(user=alice, chat_id=hidden.pk, values={"hidden": True}, policy=ChatPolicy())
        deletion.delete_chat(user=alice, chat_id=deleted.pk)
        assert self.found(alice) == {"Chat 002"}
        assert self.found(alice, hidden=True) == {"Chat 000"}
        assert self.found(alice, hidden=None) == {"Chat 000", "Chat 002"}

    def test_dates_and_model(self, alice: User, bob: User) -> None:
        new_chats(alice, 3)
        since, until = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
        assert self.found(alice, since=since, until=until) == {"Chat 001"}
        ask(alice, "A question")
        ask(bob, "Another")
        assert self.found(alice, model="tiny") == {"A question"}
        assert self.found(alice, model="other") == set()

    @pytest.mark.parametrize(
        ("search", "is_found"),
        [
            ("sourdough", True),
            ("  SOURDOUGH ", True),
            ("bread flour", True),  # in any order, not beside one another
            ("flour -bread", False),
            ("ourdou", True),  # a piece of a word
            ("酵母", True),  # a language without spaces
            ("how to bake", True),  # the title
            ("rye", False),
            ("100%", True),
            ("1_0%", False),
            ("' OR 1=1 --", False),
            ('"unclosed & ( | !', False),
        ],
    )
    def test_words(self, alice: User, bob: User, search: str, is_found: bool) -> None:
        (one,) = new_chats(alice, 1, "Sourdough: flour, water and salt make bread, 100% 天然酵母")
        changes.rename(user=alice, chat_id=one.pk, title="How to bake", policy=ChatPolicy())
        new_chats(bob, 1, "Sourdough: flour, water and salt make bread, 100% 天然酵母")
        new_chats(alice, 1)
        assert self.found(alice, search=search) == ({"How to bake"} if is_found else set())

    def test_what_can_not_be_looked_for(self, alice: User) -> None:
        for search, code in [("x" * 201, "too_long"), ("\0", "control_characters")]:
            with pytest.raises(Invalid) as refused:
                page_by_cursor(alice, ChatFilter(search=search), size=5)
            assert (refused.value.code, refused.value.field) == (code, "search")
        with pytest.raises(Invalid) as refused:
            page_by_cursor(alice, ChatFilter(sort="user"), size=5)
        assert refused.value.code == "bad_sort"


class TestCost:
    def test_a_page_is_one_statement_or_two(self, alice: User) -> None:
        new_chats(alice, 30)
        for wanted in (ChatFilter(), ChatFilter(search="much", model="tiny", since=NOON, sort="title")):
            with CaptureQueriesContext(connection) as asked:
                page_by_cursor(alice, wanted, size=20)
            assert len(asked) == 1
            with CaptureQueriesContext(connection) as asked:
                page_by_number(alice, wanted, size=20)
            assert len(asked) == 2

    def test_nothing_is_read_from_end_to_end(self, alice: User, bob: User, people: Any) -> None:
        """Among 20,000 messages of others; a rare word, a common one, a short one, and no search at all."""
        new_chats(alice, 40, "Something about sourdough")
        for number in range(20):
            fill(people(f"Person {number}"), 100, 10)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE inference_chat, inference_chatmessage")
        for search in ("sourdough", "dolor", "or", ""):
            with explained() as plans:
                page_by_cursor(alice, ChatFilter(search=search), size=20)
                page_by_number(alice, ChatFilter(search=search), size=20)
            assert plans.scanned_whole == []
            assert plans.rows < 2_000, (search, plans.rows)


def fill(user: User, chats: int, messages: int) -> None:
    made = Chat.objects.bulk_create(Chat(pk=uuid7(), user=user, title="Lorem") for _ in range(chats))
    ChatMessage.objects.bulk_create(
        ChatMessage(chat=one, role=Role.PROMPTER, content=f"Lorem ipsum dolor sit amet {one.pk} {number}")
        for one in made
        for number in range(messages)
    )
