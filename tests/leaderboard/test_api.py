"""Scores on the wire, as existing API clients read them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leaderboard.api import answers
from leaderboard.models import Standing, TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts.api_clients import create_api_client
from oasst.accounts.models import Identity, User
from tests.factories import decide, new_people, new_prompt, review
from tests.leaderboard.test_boards import stand
from tests.leaderboard.test_tallies import POLICY, read_all
from trees.contributing import reactions

pytestmark = pytest.mark.django_db


class Wire:
    """An API client with its key."""

    def __init__(self, trusted: bool) -> None:
        self.client, self.key = create_api_client(name="a bot", trusted=trusted)

    def get(self, address: str, **headers: str) -> Any:
        return Client().get(f"/api/v1/{address}", headers={"X-API-Key": self.key, **headers})

    def post(self, address: str) -> Any:
        return Client().post(f"/api/v1/{address}", headers={"X-API-Key": self.key})

    def know(self, person: User, name: str) -> None:
        Identity.objects.create(user=person, api_client=self.client, auth_method="discord", username=name)


@pytest.fixture
def wire(db: None) -> Wire:
    return Wire(trusted=False)


@pytest.fixture
def trusted(db: None) -> Wire:
    return Wire(trusted=True)


class TestLeaderboard:
    def test_it_works(self, wire: Wire, alice: User, bob: User) -> None:
        wire.know(alice, "alice#1")
        stand(alice, 2)
        stand(bob, 3)
        body = wire.get("leaderboards/total", **{"X-OASST-USER": "discord:alice#1"}).json()
        assert body["time_frame"] == "total"
        assert [(row["rank"], row["display_name"], row["highlighted"]) for row in body["leaderboard"]] == [
            (1, "Bob", False),
            (2, "Alice", True),
        ]
        row = body["leaderboard"][1]
        assert (row["username"], row["auth_method"]) == ("alice#1", "discord")
        assert (row["leader_score"], row["level"], row["replies_assistant"], row["rankings_good"]) == (8, 2, 2, 0)
        assert row["base_date"] is None and datetime.fromisoformat(row["modified_date"])
        assert "email" not in str(body)

    def test_who_is_named_must_be_known(self, wire: Wire) -> None:
        answer = wire.get("leaderboards/day", **{"X-OASST-USER": "discord:nobody"})
        assert (answer.status_code, answer.json()["error_code"]) == (404, 4002)

    @pytest.mark.parametrize(
        "address", ["leaderboards/year", "leaderboards/day?max_count=0", "leaderboards/day?max_count=10001"]
    )
    def test_what_is_out_of_bounds(self, wire: Wire, address: str) -> None:
        assert wire.get(address).status_code == 422

    def test_the_day_says_when_it_began(self, wire: Wire, alice: User) -> None:
        new_prompt(alice)
        read_all()
        (row,) = wire.get("leaderboards/day").json()["leaderboard"]
        age = datetime.now().astimezone() - datetime.fromisoformat(row["base_date"])
        assert timedelta(hours=24) <= age <= timedelta(hours=25)

    def test_a_long_one_is_kept_for_seconds(
        self, wire: Wire, trusted: Wire, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Clients repeat requests. Each sees its own names and its own user highlighted."""
        monkeypatch.setattr(answers, "MIN_CACHED_ROWS", 1)

        def board(program: Wire, **headers: str) -> list[tuple[Any, ...]]:
            rows = program.get("leaderboards/total", **headers).json()["leaderboard"]
            return [(row["rank"], row["display_name"], row["username"], row["highlighted"]) for row in rows]

        wire.know(alice, "alice#1")
        stand(alice, 2)
        seen = wire.get("leaderboards/total")
        assert board(wire) == [(1, "Alice", "alice#1", False)]
        assert board(wire, **{"X-OASST-USER": "discord:alice#1"}) == [(1, "Alice", "alice#1", True)]
        assert wire.get("leaderboards/total").content == seen.content
        stand(bob, 3)
        assert len(board(wire)) == 1, "read a moment ago"
        assert len(board(trusted)) == 2, "another program has not asked yet"
        assert trusted.post("leaderboards/update").status_code == 204
        assert [row[1] for row in board(wire)] == ["Bob", "Alice"]

    def test_a_short_one_is_read_each_time(self, wire: Wire, alice: User, bob: User) -> None:
        stand(alice, 2)
        assert len(wire.get("leaderboards/total").json()["leaderboard"]) == 1
        stand(bob, 3)
        assert len(wire.get("leaderboards/total").json()["leaderboard"]) == 2

    def test_updating_is_for_trusted_clients(self, wire: Wire, trusted: Wire, alice: User) -> None:
        new_prompt(alice)
        refused = wire.post("leaderboards/update/day")
        assert (refused.status_code, refused.json()["error_code"]) == (403, 2)
        assert not Standing.objects.exists()
        assert trusted.post("leaderboards/update/day").status_code == 204
        assert trusted.post("leaderboards/update").status_code == 204
        assert Standing.objects.exists()


class TestUserStats:
    def test_every_frame(self, trusted: Wire, alice: User) -> None:
        new_prompt(alice)
        body = trusted.get(f"users/{alice.pk}/stats").json()
        assert set(body) == {"day", "week", "month", "total"}
        assert (body["day"]["prompts"], body["day"]["rank"], body["day"]["highlighted"]) == (1, 1, True)

    def test_only_the_frames_with_work(self, trusted: Wire, alice: User) -> None:
        stand(alice, 1)
        assert set(trusted.get(f"users/{alice.pk}/stats").json()) == {"total"}
        missing = trusted.get(f"users/{alice.pk}/stats/day")
        assert (missing.status_code, missing.json()["error_code"]) == (404, 4002)
        assert trusted.get(f"users/{alice.pk}/stats/total").json()["leader_score"] == 4

    def test_nothing_done_is_four_zeros_and_unknown_is_empty(self, trusted: Wire, alice: User) -> None:
        body = trusted.get(f"users/{alice.pk}/stats").json()
        assert [(one["leader_score"], one["level"], one["rank"]) for one in body.values()] == [(0, 0, None)] * 4
        assert trusted.get(f"users/{uuid4()}/stats").json() == {}

    def test_four_frames_cost_as_many_statements_as_one(self, trusted: Wire, alice: User) -> None:
        def statements(address: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                assert trusted.get(f"users/{alice.pk}/{address}").status_code == 200
            return len(captured)

        new_prompt(alice)
        read_all()
        statements("stats")  # ladders are made once a minute
        assert statements("stats") == statements("stats/day") <= 5, "the key of the program is one"

    def test_people_of_others_are_unknown(self, wire: Wire, alice: User) -> None:
        assert wire.get(f"users/{alice.pk}/stats").json() == {}
        wire.know(alice, "a")
        assert len(wire.get(f"users/{alice.pk}/stats").json()) == 4


class TestWindow:
    def test_one_more_row_than_asked_in_the_middle(self, trusted: Wire) -> None:
        people = [stand(person, 40 - number) for number, person in enumerate(new_people(20))]
        body = trusted.get(f"users/{people[9].pk}/stats/total/window").json()
        assert [row["rank"] for row in body["leaderboard"]] == [8, 9, 10, 11, 12, 13]
        assert [row["highlighted"] for row in body["leaderboard"]] == [False, False, True, False, False, False]
        top = trusted.get(f"users/{people[0].pk}/stats/total/window?window_size=2").json()
        assert [row["rank"] for row in top["leaderboard"]] == [1, 2]

    def test_people_with_the_same_score_stand_by_who_came_first(self, trusted: Wire) -> None:
        people = [stand(person, 3) for person in new_people(9)]
        body = trusted.get(f"users/{people[4].pk}/stats/total/window?window_size=4").json()
        assert [(row["rank"], row["user_id"]) for row in body["leaderboard"]] == [
            (number, str(people[number - 1].pk)) for number in (3, 4, 5, 6, 7)
        ]
        stored = Standing.objects.get(person=people[4]).updated_at
        assert datetime.fromisoformat(body["leaderboard"][2]["modified_date"]) == stored

    def test_whoever_is_not_on_it_has_none(self, trusted: Wire, alice: User) -> None:
        assert trusted.get(f"users/{alice.pk}/stats/day/window").json() is None
        stand(alice, 1)
        User.objects.filter(pk=alice.pk).update(show_on_leaderboard=False)
        assert trusted.get(f"users/{alice.pk}/stats/total/window").json() is None
        assert trusted.get(f"users/{uuid4()}/stats/day/window").status_code == 404
        assert trusted.get(f"users/{alice.pk}/stats/day/window?window_size=101").status_code == 422


class TestTrollboard:
    def test_it_works(self, trusted: Wire, wire: Wire, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="red_flag", on=True)
        review(prompt, bob, spam=1)
        decide(prompt, accept=False, policy=POLICY)
        read_all()
        (row,) = trusted.get("trollboards/day?enabled=true").json()["trollboard"]
        assert (row["rank"], row["troll_score"], row["red_flags"], row["spam_prompts"], row["spam"]) == (1, 4, 1, 1, 2)
        assert "lang_mismach" in row and row["toxicity"] is None
        assert trusted.get("trollboards/day?enabled=false").json()["trollboard"] == []
        assert wire.get("trollboards/day").status_code == 403

    def test_most_complaints_first_banned_or_not(self, trusted: Wire) -> None:
        first, second, third = new_people(3)
        User.objects.filter(pk=second.pk).update(enabled=False)
        for person, flags in ((third, 1), (second, 3), (first, 1)):
            TrollStanding.objects.create(frame=Frame.DAY.value, person=person, red_flags=flags)
        shown = {
            query: [row["user_id"] for row in trusted.get(f"trollboards/day{query}").json()["trollboard"]]
            for query in ("", "?enabled=true", "?enabled=false", "?max_count=2")
        }
        assert shown == {
            "": [str(second.pk), str(first.pk), str(third.pk)],
            "?enabled=true": [str(first.pk), str(third.pk)],
            "?enabled=false": [str(second.pk)],
            "?max_count=2": [str(second.pk), str(first.pk)],
        }


@pytest.mark.parametrize("address", ["leaderboards/day", "trollboards/day"])
def test_boards_cost_as_many_statements_with_ten_times_the_rows(trusted: Wire, address: str) -> None:
    def statements(people: int) -> int:
        for person in new_people(people):
            stand(person, 1, Frame.DAY)
            TrollStanding.objects.create(frame=Frame.DAY.value, person=person, red_flags=1)
        with CaptureQueriesContext(connection) as captured:
            assert trusted.get(address).status_code == 200
        return len(captured)

    statements(0)  # the first call of a key stores that it was used
    assert statements(2) == statements(20) == 3, "the key, the rows, the names"


class TestCachedStats:
    def test_not_available_then_there(self, wire: Wire, trusted: Wire, alice: User) -> None:
        assert wire.get("stats/cached").json() == {"stats_by_name": {}}
        missing = wire.get("stats/cached/users_accepted_tos")
        assert (missing.status_code, missing.json()["error_code"]) == (400, 6000)
        assert wire.get("stats/cached/nonsense").status_code == 422
        assert wire.post("stats/cached/update").status_code == 403
        decide(new_prompt(alice, lang="de"))
        assert trusted.post("stats/cached/update").status_code == 204
        found = wire.get("stats/cached").json()["stats_by_name"]
        assert found["human_messages_by_lang"]["stats"] == {"de": 1}
        assert found["human_messages_by_role"]["stats"] == {"prompter": 1}
        assert found["message_trees_states_by_lang"]["stats"] == [
            {"lang": "de", "state": "prompt_lottery_waiting", "count": 1}
        ]
        one = wire.get("stats/cached/message_trees_by_state").json()
        assert (one["name"], one["stats"]) == ("message_trees_by_state", {"prompt_lottery_waiting": 1})
        assert wire.get("stats/cached/users_accepted_tos").json()["stats"]["count"] == User.objects.count()


def test_without_a_key_nothing_is_told() -> None:
    assert Client().get("/api/v1/leaderboards/day").status_code == 403
