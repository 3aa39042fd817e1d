"""The pages of acts on many: from a list, a message or people to what came of it."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leaderboard.models import TrollStanding
from oasst.accounts.models import User
from oasst.site.bulk import running
from oasst.site.models import BulkAct, BulkRow
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from trees.models import Message, NearDuplicate

pytestmark = pytest.mark.django_db
NEW = "/admin/bulk/new/"


@pytest.fixture
def page(mo: User) -> Client:
    return signed_in(mo)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def chosen(client: Client, **values: object) -> BulkAct:
    response = client.post(NEW, {"act": "delete", **values})
    assert response.status_code == 302, response.text
    bulk = BulkAct.objects.order_by("-id")[0]
    assert response["Location"] == f"/admin/bulk/{bulk.pk}/"
    return bulk


def ids_of(bulk: BulkAct) -> set[object]:
    return set(bulk.rows.values_list("subject_id", flat=True))


def send(client: Client, bulk: BulkAct, do: str, reason: str = "") -> str:
    response = client.post(f"/admin/bulk/{bulk.pk}/", {"do": do, "reason": reason}, follow=True)
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())


class TestChoosing:
    def test_all_that_a_filtered_list_shows(self, page: Client, alice: User) -> None:
        wanted = {new_prompt(alice, lang="de").pk for _ in range(30)}
        new_prompt(alice)
        shown = page.get("/admin/trees/message/?lang=de&p=1").text
        assert 'name="filters" value="lang=de&amp;p=1"' in shown
        assert "with these filters" in page.get(NEW, {"filters": "lang=de&p=1"}).text
        bulk = chosen(page, filters="lang=de&p=1&sort=oldest&q=bread")
        assert ids_of(bulk) == wanted and bulk.chosen_by == "Messages. Search: bread; Language: German"
        assert "Language: German; Kind: First prompts" in page.get(NEW, {"filters": "lang=de&kind=prompt"}).text
        assert "lang=de" not in page.get(f"/admin/bulk/{bulk.pk}/").text

    def test_hiding_or_removing_prompts_says_that_their_conversations_stop(self, page: Client, alice: User) -> None:
        prompts = [growing_tree(alice) for _ in range(2)]
        new_reply(prompts[0], new_person("Answerer"))
        for act in ("hide", "delete"):
            bulk = chosen(page, act=act, filters="")
            shown = page.get(f"/admin/bulk/{bulk.pk}/").text
            assert "2 of these are the prompts of conversations, which stop" in shown
        bulk = chosen(page, act="keep", filters="")
        assert "Conversations that stop" not in page.get(f"/admin/bulk/{bulk.pk}/").text

    def test_what_is_like_a_message(self, page: Client, alice: User, bob: User) -> None:
        first, second = new_prompt(alice, "How is bread made?"), new_prompt(alice, "What is rain?")
        third = new_prompt(bob, "How is bread made?")
        fourth = new_prompt(bob, "How is bread made today?")
        yesterday = new_prompt(alice, "How did it go?")
        Message.objects.filter(pk=yesterday.pk).update(created_at=timezone.now() - timezone.timedelta(days=2))
        NearDuplicate.objects.create(first=third, second=fourth)
        like = {"like": first.pk}
        assert "Act on others like it" in page.get(reverse("admin:trees_message_change", args=[first.pk])).text
        assert 'value="author" checked' in page.get(NEW, like).text
        assert ids_of(chosen(page, **like, same="author")) == {first.pk, second.pk, yesterday.pk}
        assert ids_of(chosen(page, **like, same=["author", "day"])) == {first.pk, second.pk}
        assert ids_of(chosen(page, **like, same="text")) == {first.pk, third.pk}
        assert ids_of(chosen(page, like=fourth.pk, same="nearly")) == {third.pk, fourth.pk}

    def test_what_people_wrote_but_not_those_of_ones_rank(self, page: Client, alice: User, bob: User) -> None:
        other = new_person("Max", "moderator")
        mine, theirs = [new_prompt(person).pk for person in (alice, bob)], new_prompt(other)
        bulk = chosen(page, person=[alice.pk, bob.pk, other.pk])
        assert ids_of(bulk) == set(mine) and bulk.preview["left_out"] == {"rank_of_author": 1}
        assert "written by people of your rank" in page.get(f"/admin/bulk/{bulk.pk}/").text
        assert not Message.objects.get(pk=theirs.pk).deleted

    def test_the_board_of_complaints_leads_here(self, page: Client, alice: User, bob: User) -> None:
        facts = ("id", "frame", "person", "updated_at")
        zeros = {one.name: 0 for one in TrollStanding._meta.concrete_fields if one.name not in (*facts, "score")}
        rows = [TrollStanding.objects.create(frame="total", person=person, **zeros) for person in (alice, bob)]
        data = {"action": "act_on_many", "_selected_action": [row.pk for row in rows], "reason": ""}
        response = page.post(reverse("admin:leaderboard_trollstanding_changelist"), data, follow=True)
        assert 'value="suspend"' in response.text and "Alice" in response.text and "Bob" in response.text
        bulk = chosen(page, act="suspend", person=[alice.pk, bob.pk], days="3")
        assert "3 days" in page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "2 suspended" not in send(page, bulk, "start", "Spam.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert "2 suspended" in page.get(f"/admin/bulk/{bulk.pk}/").text

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            ({}, "Nothing is chosen"),
            ({"act": "dance", "filters": ""}, "Please choose what to do"),
            ({"filters": "password__startswith=a"}, "no such filters"),
            ({"filters": "until=9999-12-31"}, "no such filters"),
            ({"person": "x"}, "That is no id"),
            ({"act": "suspend", "filters": ""}, "to people only"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, page: Client, values: dict[str, str], says: str) -> None:
        response = page.post(NEW, {"act": "delete", **values})
        assert response.status_code == 422 and says in response.text and not BulkAct.objects.exists()
        assert "'unsafe-eval'" in response["Content-Security-Policy"], "else the menu of the page does not work"

    def test_it_is_for_moderators(self, alice: User) -> None:
        assert signed_in(alice).post(NEW, {"act": "delete", "filters": ""}).status_code == 403


class TestOne:
    def test_from_the_preview_to_the_undo(self, page: Client, alice: User) -> None:
        prompts = [new_prompt(alice, f"A prompt number {number}.") for number in range(3)]
        bulk = chosen(page, like=prompts[0].pk, same="author")
        before = page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "This would happen" in before and "A prompt number 2." in before and "Alice" in before
        assert "Please say why" in send(page, bulk, "start")
        assert "It is under way." in send(page, bulk, "start", "Spam.")
        assert "This was begun already." in send(page, bulk, "start", "Spam.")
        running.continue_bulk_act(bulk_id=bulk.pk, rows=1)
        shown = page.get(f"/admin/bulk/{bulk.pk}/").text
        assert 'max="3" value="1"' in shown and "data-refresh-every" in shown and "1 removed, 2 not done yet" in shown
        assert "Please say why" in send(page, bulk, "stop")
        assert "It is stopped." in send(page, bulk, "stop", "One moment.")
        assert "One moment." in page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "It goes on." in send(page, bulk, "go_on")
        running.continue_bulk_act(bulk_id=bulk.pk)
        shown = page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "3 removed" in shown and "data-refresh-every" not in shown
        assert "Please say why" in send(page, bulk, "undo")
        assert "It is being undone." in send(page, bulk, "undo", "A mistake.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert "3 undone" in page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "Remove, with everything below" in page.get("/admin/bulk/").text

    def test_refusals_are_told_with_their_reason(self, page: Client, alice: User) -> None:
        prompts = [new_prompt(alice) for _ in range(2)]
        bulk = chosen(page, like=prompts[0].pk, same="author")
        send(page, bulk, "start", "Spam.")
        BulkRow.objects.filter(subject_id=prompts[1].pk).update(status="refused", refusal="It is <odd>.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        shown = page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "1 removed, 1 refused" in shown and "It is &lt;odd&gt;." in shown

    def test_others_see_it_and_cannot_act(self, page: Client, alice: User) -> None:
        bulk = chosen(page, like=new_prompt(alice).pk, same="author")
        other = signed_in(new_person("Max", "moderator"))
        assert "Another moderator chose this" in other.get(f"/admin/bulk/{bulk.pk}/").text
        assert other.post(f"/admin/bulk/{bulk.pk}/", {"do": "start", "reason": "x"}).status_code == 403

    def test_an_administrator_stops_it_and_all_see_why(self, page: Client, alice: User) -> None:
        bulk = chosen(page, like=new_prompt(alice).pk, same="author")
        send(page, bulk, "start", "Spam.")
        ida, other = signed_in(new_person("Ida", "admin")), signed_in(new_person("Max", "moderator"))
        assert 'value="stop"' not in other.get(f"/admin/bulk/{bulk.pk}/").text
        assert other.post(f"/admin/bulk/{bulk.pk}/", {"do": "stop", "reason": "x"}).status_code == 403
        assert 'value="stop"' in ida.get(f"/admin/bulk/{bulk.pk}/").text
        assert "It is stopped." in send(ida, bulk, "stop", "This is no spam.")
        for reader in (page, other):
            shown = reader.get(f"/admin/bulk/{bulk.pk}/").text
            assert "Stopped by" in shown and "Ida" in shown and "This is no spam." in shown
            assert 'value="go_on"' not in shown
        assert "only an administrator lets it go on" in page.get(f"/admin/bulk/{bulk.pk}/").text
        assert "It goes on." in send(ida, bulk, "go_on")

    def test_it_costs_the_same_with_ten_times_the_rows(self, page: Client, alice: User) -> None:
        def cost(number: int) -> int:
            prompt, *_ = (new_prompt(alice, lang="de") for _ in range(number))
            bulk = chosen(page, like=prompt.pk, same="author")
            send(page, bulk, "start", "Spam.")
            running.continue_bulk_act(bulk_id=bulk.pk, rows=1)
            with CaptureQueriesContext(connection) as captured:
                page.get(f"/admin/bulk/{bulk.pk}/")
            return len(captured)

        few = cost(2)
        assert cost(20) <= few <= 12


class TestRights:
    def test_only_in_languages_that_one_moderates(self, mo: User, alice: User) -> None:
        mo.moderated_languages = ["de"]
        mo.save(update_fields=["moderated_languages"])
        page = signed_in(mo)
        german, english = new_prompt(alice, lang="de"), new_prompt(alice)
        assert ids_of(chosen(page, filters="")) == {german.pk}
        bulk = chosen(page, like=english.pk, same="author")
        assert ids_of(bulk) == {german.pk} and bulk.preview["left_out"] == {"language": 1}
        assert ids_of(chosen(page, person=alice.pk)) == {german.pk}
        refused = page.post(NEW, {"act": "move", "lang": "en", "person": alice.pk})
        assert refused.status_code == 422 and "You do not moderate English" in refused.text
        assert 'value="en"' not in page.get(NEW, {"person": alice.pk}).text

    def test_a_search_gives_all_that_it_finds(self, page: Client, alice: User) -> None:
        wanted = {new_prompt(alice, f"Cheap flour, offer {number}.").pk for number in range(60)}
        new_prompt(alice, "What is rain?")
        assert ids_of(chosen(page, filters="q=flour&p=2")) == wanted
