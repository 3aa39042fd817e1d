"""Score pages: what users see without JavaScript, and costs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leaderboard import cached_statistics, statistics_page
from leaderboard.models import CachedStatistic, TrollStanding
from leaderboard.points import KINDS
from oasst.accounts.models import User
from oasst.core.jobs import PartialFailure
from tasks import lottery
from tests.factories import decide, growing_tree, new_people, new_prompt, rank, review, work_until_state
from tests.leaderboard.test_boards import stand
from tests.leaderboard.test_tallies import POLICY, read_all
from trees.contributing import reactions, reviewers, reviews
from trees.lifecycle.states import State
from trees.models import Message
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


class TestLeaderboard:
    def test_own_work_is_there_at_once(self, as_alice: Client, alice: User, bob: User) -> None:
        assert "Nobody yet" in text_of(as_alice, "/leaderboard/")
        review(new_prompt(bob), alice)
        read_all()
        page = text_of(as_alice, "/leaderboard/")
        assert "Alice" in page and ">you<" in page and "2 open" in page

    def test_choices_are_links(self, as_alice: Client, alice: User) -> None:
        alice.contribution_languages = ["de"]
        alice.save()
        page = text_of(as_alice, "/leaderboard/?frame=total&by=quality&lang=de")
        assert 'aria-current="true">Quality' in page and '<option value="de" selected>' in page
        assert "frame=week&amp;by=quality&amp;lang=de" in page

    @pytest.mark.parametrize("query", ["frame=year", "by=luck", "page=0", "page=x", "page=6"])
    def test_what_is_no_board_says_so(self, as_alice: Client, query: str) -> None:
        assert as_alice.get(f"/leaderboard/?{query}").status_code == 400

    def test_a_board_for_each_language(self, as_alice: Client, alice: User, bob: User) -> None:
        growing_tree(bob, POLICY, lang="de")
        read_all()
        cached_statistics.refresh(["human_messages_by_lang"])
        page = text_of(as_alice, "/leaderboard/?frame=week&by=writing")
        assert '<option value="de">' in page and 'name="frame" value="week"' in page
        german, english = (text_of(as_alice, f"/leaderboard/?by=quality&lang={lang}") for lang in ("de", "en"))
        assert "Bob" in german and '<option value="de" selected>' in german
        assert "Nobody yet" in english

    def test_quality_stands_beside_quantity(self, as_alice: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(bob)
        review(prompt, alice)
        decide(prompt)
        read_all()
        page = text_of(as_alice, "/leaderboard/")
        columns = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', page)[:7]
        assert columns == ["Rank", "Name", "Points", "Quality", "Texts", "Reviews", "Rankings"]
        assert "1 agreed" in page
        page = text_of(as_alice, "/leaderboard/?by=quality")
        assert '>Quality</th> <th scope="col" class="num wide">Points</th>' in page
        assert "1 accepted" in page, "a prompt alone is no point yet"

    def test_the_formula_and_how_often_it_is_counted(self, as_alice: Client) -> None:
        page = text_of(as_alice, "/leaderboard/")
        for kind in KINDS.values():
            if kind.points or kind.quality:
                row = f'{kind.label}</th><td class="num">{kind.points}</td><td class="num">{kind.quality}</td>'
                assert row in page, kind.name
        assert "Others see it within seconds" in page and "begin at the full hour" in page

    def test_own_place_is_named_first(self, as_alice: Client, alice: User) -> None:
        for number, person in enumerate(new_people(30)):
            stand(person, 100 - number)
        assert "You are not on this board yet" in text_of(as_alice, "/leaderboard/?frame=total")
        stand(alice, 1)
        page = text_of(as_alice, "/leaderboard/?frame=total")
        assert 'Your place: <strong class="tabular">31</strong> · Points: <strong class="tabular">4</strong>' in page

    def test_whoever_opts_out_vanishes_and_comes_back(self, as_alice: Client, alice: User, bob: User) -> None:
        stand(alice, 3)
        profile = {"display_name": "Alice", "time_zone": "UTC", "interface_language": "en"}
        as_alice.post("/me/", profile)
        page = text_of(as_alice, "/leaderboard/?frame=total")
        assert "You are not shown on boards" in page and ">you<" not in page
        as_alice.post("/me/", {**profile, "show_on_leaderboard": "on"})
        assert ">you<" in text_of(as_alice, "/leaderboard/?frame=total")

    def test_names_are_text(self, as_alice: Client, bob: User) -> None:
        bob.display_name = "<b>Bob</b>"
        bob.save()
        stand(bob, 1)
        assert "&lt;b&gt;Bob" in text_of(as_alice, "/leaderboard/?frame=total")

    def test_the_page_costs_four_statements_and_who_asks(self, as_alice: Client, alice: User) -> None:
        for number, person in enumerate(new_people(30)):
            stand(person, 100 - number)
        stand(alice, 1)
        as_alice.get("/leaderboard/?frame=total")
        with CaptureQueriesContext(connection) as captured:
            as_alice.get("/leaderboard/?frame=total")
        boards = [one["sql"] for one in captured if "session" not in one["sql"]]
        assert len(boards) <= 4 + 1, "and the person"


class TestPoints:
    def test_each_point_opens_to_its_reason(self, as_alice: Client, alice: User, bob: User) -> None:
        prompt = growing_tree(bob, POLICY)
        work_until_state(prompt.pk, State.RANKING, POLICY)
        other = new_prompt(bob)
        review(other, alice)
        page = text_of(as_alice, "/me/points/")
        assert "Full review" in page and "Not decided yet" in page and "+2" in page
        decide(other)
        read_all()
        page = text_of(as_alice, "/me/points/")
        assert "Review in line with the outcome" in page and "Decided" in page

    def test_what_was_deleted_says_so(self, as_alice: Client, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=POLICY)
        page = text_of(as_alice, "/me/points/")
        assert "Deleted" in page and "Nothing of it counts any more" in page

    def test_a_removed_text_is_not_shown(self, as_alice: Client, alice: User, bob: User, mo: User) -> None:
        """Neither to users who judged it, nor to its author (decision 57)."""
        theirs, mine = new_prompt(bob, text="Bob lives at 5 Elm Street"), new_prompt(alice, text="What I wrote myself")
        review(theirs, alice)
        for prompt in (theirs, mine):
            moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=POLICY)
        page = text_of(as_alice, "/me/points/")
        assert "Elm Street" not in page and "What I wrote myself" not in page
        assert page.count("(removed)") == 2

    def test_work_of_two_kinds_on_one_message_is_told_once(self, as_alice: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(bob, policy=POLICY)
        review(prompt, alice, policy=POLICY)
        decide(prompt, policy=POLICY)
        lottery.draw("en", POLICY)
        work_until_state(prompt.pk, State.RANKING, POLICY)
        for _ in range(20):
            new_prompt(alice)
        rank(prompt, alice, policy=POLICY)
        pages = [as_alice.get("/me/points/")]
        while address := pages[-1].context["older_url"]:
            pages.append(as_alice.get(address))
        shown = [reason.message_id for page in pages for reason in page.context["reasons"]]
        assert len(pages) == 2 and len(shown) == len(set(shown)) == 21

    def test_older_work_is_a_page_further(self, as_alice: Client, alice: User, bob: User) -> None:
        for _ in range(23):
            new_prompt(alice)
        first = as_alice.get("/me/points/")
        older = first.context["older_url"]
        assert len(first.context["reasons"]) == 20 and older
        assert len(as_alice.get(older).context["reasons"]) == 3
        assert as_alice.get("/me/points/?older=yesterday").status_code == 400

    def test_the_cost_is_the_same_for_a_full_page(self, as_alice: Client, alice: User) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                as_alice.get("/me/points/")
            return len(captured)

        new_prompt(alice)
        statements()
        few = statements()
        for _ in range(25):
            new_prompt(alice)
        assert statements() == few <= 12

    def test_streak_badges_and_reviewing(self, as_alice: Client, alice: User, bob: User) -> None:
        now = timezone.now()
        User.objects.filter(pk=alice.pk).update(
            streak_started_at=now - timedelta(days=6), last_activity_at=now, streak_days=7
        )
        prompt = new_prompt(bob)
        review(prompt, alice)
        decide(prompt)
        reviewers.learn()
        page = text_of(as_alice, "/me/points/")
        assert "Today counts already" in page
        assert "1 of 1" in page
        assert "medal--earned" in page

    def test_a_kind_reminder(self, as_alice: Client, alice: User) -> None:
        yesterday = timezone.now() - timedelta(days=1)
        User.objects.filter(pk=alice.pk).update(
            streak_started_at=yesterday - timedelta(days=2), last_activity_at=yesterday, streak_days=3
        )
        assert "One task today makes it one more" in text_of(as_alice, "/me/points/")


class TestStatistics:
    def test_nothing_was_counted_yet(self, client: Client) -> None:
        assert "Not counted yet" in text_of(client, "/statistics/")
        assert client.get("/statistics/messages.csv").status_code == 400

    def test_charts_with_tables_beside_them(self, client: Client, alice: User) -> None:
        prompt = growing_tree(alice, POLICY, lang="de")
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        read_all()
        cached_statistics.refresh()
        page = text_of(client, "/statistics/")
        assert page.count("<svg viewBox") >= 6
        assert page.count("<table>") >= 8
        assert "Deutsch" in page or "German" in page
        assert "style=" not in page.replace('stylesheet"', "")

    def test_four_figures_come_first(self, client: Client, alice: User) -> None:
        prompt = growing_tree(alice, POLICY, lang="de")
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        read_all()
        cached_statistics.refresh()
        page = text_of(client, "/statistics/")
        figures = re.findall(r'<dd class="tabular">([\d,]+)</dd><dt>([^<]+)</dt>', page)
        messages = Message.objects.filter(review_result=True).count()
        assert figures[:3] == [
            (str(messages), "accepted messages"), ("1", "finished conversation"), ("1", "language")
        ]  # fmt: skip
        assert figures[3][1] == "contributors"

    def test_growth_is_drawn_told_and_a_table(self, client: Client, alice: User) -> None:
        old, new = new_prompt(alice), new_prompt(alice)
        for prompt in (old, new):
            decide(prompt)
        Message.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=400))
        cached_statistics.refresh()
        page = text_of(client, "/statistics/")
        assert page.count("<polygon") == 2
        assert re.search(r'aria-label="Growth\. 1 accepted messages by the week of [^"]+, 2 now\."', page)
        rows = client.get("/statistics/growth.csv").text.splitlines()
        assert rows[0] == "Week of,User,Assistant" and len(rows) == 27
        assert [row.split(",")[1] for row in (rows[1], rows[-1])] == ["1", "2"]

    def test_labels_have_names_in_words(self, client: Client, alice: User, bob: User) -> None:
        labels = {"spam": 0, "lang_mismatch": 0, "quality": 0.5}
        with transaction.atomic():
            reviews.record_labels(message=new_prompt(alice), author=bob, labels=labels, policy=POLICY)
        cached_statistics.refresh()
        page = text_of(client, "/statistics/")
        for words in ("Junk", "Another language", "Overall quality"):
            assert f'<th scope="row">{words}</th>' in page
        assert "lang_mismatch" not in page and "lang mismatch" not in page

    def test_the_rest_is_folded_and_each_table_can_be_had(self, client: Client, alice: User) -> None:
        prompt = growing_tree(alice, POLICY)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        read_all()
        cached_statistics.refresh()
        page = text_of(client, "/statistics/").partition('id="research-title"')[2]
        assert page.count('<details class="disclosure research">') == len(statistics_page.SECTIONS)
        for name in statistics_page.BY_NAME:
            assert client.get(f"/statistics/{name}.csv").status_code == 200

    def test_csv_is_the_same_table(self, client: Client, alice: User) -> None:
        decide(new_prompt(alice, lang="de"))
        cached_statistics.refresh(["messages"])
        answer = client.get("/statistics/messages.csv")
        assert answer["Content-Disposition"] == 'attachment; filename="messages.csv"'
        assert answer.content.decode().splitlines() == ["Language,User,Assistant", "de,1,0"]
        assert client.get("/statistics/nonsense.csv").status_code == 404

    def test_redis_first_then_the_table(self, client: Client, alice: User) -> None:
        cached_statistics.refresh()

        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                client.get("/statistics/")
            return len(captured)

        cached_statistics.read_all(cached_statistics.PAGE_STATISTICS)
        assert statements() == 0
        before = client.get("/statistics/").content
        cache.clear()
        assert statements() == 1
        assert client.get("/statistics/").content == before
        assert statements() == 0

    def test_who_waited_for_another_does_not_compute_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        computed: list[int] = []
        monkeypatch.setitem(
            cached_statistics.STATISTICS, "messages", lambda: computed.append(1) or {"columns": [], "rows": []}
        )
        began = timezone.now()
        assert cached_statistics.refresh(["messages"]) == 1
        assert cached_statistics._refresh("messages", began) is False
        assert computed == [1]

    def test_a_statistic_that_fails_leaves_the_old_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cached_statistics.refresh(["messages"])
        old = CachedStatistic.objects.get(name="messages").updated_at

        def crash() -> Any:
            raise ZeroDivisionError

        monkeypatch.setitem(cached_statistics.STATISTICS, "messages", crash)
        with pytest.raises(PartialFailure, match="ZeroDivisionError"):
            cached_statistics.refresh(["messages", "trees"])
        assert CachedStatistic.objects.filter(name="trees").exists(), "it does not hold up the others"
        assert CachedStatistic.objects.get(name="messages").updated_at == old


class TestComplaints:
    def test_moderators_see_whose_texts_are_complained_about(
        self, client: Client, alice: User, bob: User, mo: User
    ) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="red_flag", on=True)
        read_all()
        client.force_login(mo)
        page = client.get("/admin/leaderboard/trollstanding/")
        assert page.status_code == 200
        assert page.content.decode().count(f"/admin/accounts/user/{alice.pk}/change/") == 1, "one row, of all time"
        row = TrollStanding.objects.get(person=alice, frame="day")
        assert client.get("/admin/leaderboard/trollstanding/?frame__exact=day").status_code == 200
        assert client.get(f"/admin/leaderboard/trollstanding/{row.pk}/change/").status_code == 200
        client.force_login(bob)
        assert client.get("/admin/leaderboard/trollstanding/").status_code == 403
