"""Users in the API: creating, finding, listing, changing, deleting, and their messages."""

from typing import Any
from uuid import uuid4

import pytest

from oasst.accounts.account_bans import ban
from oasst.accounts.models import Consent, Identity, User
from tasks.lottery import draw
from tests.concurrency.together import at_once
from tests.factories import decide, new_reply
from tests.wire.conftest import Wire, code_of, person, problems
from trees.lifecycle.policy import TreePolicy
from trees.models import Message

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo", "discord")


def names(users: Any) -> list[str]:
    return [user["id"] for user in users]


class TestUpsert:
    def test_every_member(self, bot: Wire) -> None:
        found = bot.post("frontend_users/", ADA).json()
        user = User.objects.get()
        assert found == {
            "id": "ada",
            "display_name": "Ada",
            "auth_method": "local",
            "user_id": str(user.pk),
            "enabled": True,
            "deleted": False,
            "notes": "",
            "created_date": found["created_date"],
            "show_on_leaderboard": True,
            "streak_days": None,
            "streak_last_day_date": found["streak_last_day_date"],
            "last_activity_date": None,
            "tos_acceptance_date": None,
        }
        assert bot.post("frontend_users/", ADA).json() == found
        assert user.email is None and not user.has_usable_password()

    def test_terms_from_every_client(self, bot: Wire) -> None:
        date = bot.post("frontend_users/", {**ADA, "tos_acceptance": True}).json()["tos_acceptance_date"]
        assert date and bot.get("frontend_users/local/ada").json()["tos_acceptance_date"] == date
        assert bot.post("frontend_users/", {**ADA, "tos_acceptance": False}).json()["tos_acceptance_date"] == date
        assert bot.post("frontend_users/", {**ADA, "tos_acceptance": None, "notes": None}).status_code == 200
        assert Consent.objects.count() == 1

    def test_it_lifts_no_ban_and_shows_nobody(self, site: Wire, mo: User) -> None:
        site.post("frontend_users/", {**ADA, "show_on_leaderboard": False})
        ban(User.objects.get(display_name="Ada"), actor=mo, reason="Spam")
        found = site.post("frontend_users/", ADA).json()
        assert (found["enabled"], found["show_on_leaderboard"]) == (False, False)
        assert code_of(site.post("frontend_users/", {**ADA, "enabled": True})) == (403, 2)
        assert User.objects.get(display_name="Ada").enabled is False

    def test_more_than_the_name_is_for_trusted_clients(self, bot: Wire, site: Wire) -> None:
        for more in ({"notes": "x"}, {"show_on_leaderboard": False}, {"enabled": False}):
            assert code_of(bot.post("frontend_users/", {**ADA, **more})) == (403, 2)
        assert not Identity.objects.exists()
        assert bot.post("frontend_users/", {**ADA, "notes": "", "show_on_leaderboard": True}).status_code == 200
        assert site.post("frontend_users/", {**ADA, "notes": "kind"}).json()["notes"] == "kind"

    def test_refusals(self, bot: Wire) -> None:
        assert code_of(bot.post("frontend_users/", {**ADA, "id": ""})) == (400, 2012)
        assert problems(bot.post("frontend_users/", {**ADA, "id": "x" * 129})) == {
            ("body", "id", "value_error.any_str.max_length")
        }
        assert problems(bot.post("frontend_users/", {**ADA, "display_name": "x" * 257})) == {
            ("body", "display_name", "value_error.any_str.max_length")
        }
        assert not User.objects.exists()

    def test_programs_stay_off_the_boards(self, bot: Wire) -> None:
        found = bot.post("frontend_users/", person("Importer", "system")).json()
        assert found["show_on_leaderboard"] is False and found["tos_acceptance_date"]

    def test_who_signs_in_here_keeps_their_name(self, bot: Wire, alice: User) -> None:
        Identity.objects.create(user=alice, api_client=bot.client, auth_method="local", username="ada")
        assert bot.post("frontend_users/", ADA).json()["display_name"] == "Alice"


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_person() -> None:
    bot = Wire("bot", trusted=False)
    answers = at_once([lambda: Wire.post(bot, "frontend_users/", ADA).status_code for _ in range(4)])
    assert answers == [200] * 4
    assert User.objects.count() == Identity.objects.count() == 1


class TestOne:
    def test_by_name(self, bot: Wire, other: Wire, site: Wire) -> None:
        user = bot.post("frontend_users/", {**ADA, "id": "Ada Lovelace"}).json()
        assert bot.get("frontend_users/local/Ada Lovelace").json() == user
        assert code_of(bot.get("frontend_users/discord/Ada Lovelace")) == (404, 4002)
        assert code_of(bot.get("frontend_users/nonsense/x")) == (404, 4002)
        assert code_of(other.get("frontend_users/local/Ada Lovelace")) == (404, 4002)
        assert code_of(site.get("frontend_users/local/Ada Lovelace")) == (404, 4002)
        assert code_of(other.get("frontend_users/local/Ada Lovelace", api_client_id=bot.client.pk)) == (403, 2)
        assert site.get("frontend_users/local/Ada Lovelace", api_client_id=bot.client.pk).json() == user

    def test_by_id(self, bot: Wire, other: Wire, site: Wire, alice: User) -> None:
        user = bot.post("frontend_users/", ADA).json()
        path = f"users/{user['user_id']}"
        assert bot.get(path).json() == site.get(path).json() == user
        assert code_of(other.get(path)) == (404, 4002)
        assert code_of(other.get(path, api_client_id=bot.client.pk)) == (403, 2)
        assert code_of(site.get(path, api_client_id=site.client.pk)) == (404, 4002)
        assert code_of(site.get(f"users/{uuid4()}")) == (404, 4002)
        here = site.get(f"users/{alice.pk}").json()
        assert (here["id"], here["auth_method"]) == (str(alice.pk), "local")
        assert here["tos_acceptance_date"]
        assert code_of(bot.get(f"users/{alice.pk}")) == (404, 4002)


class TestLists:
    @pytest.fixture
    def four(self, bot: Wire, site: Wire) -> None:
        for name in ("cy", "Bo", "dan"):
            bot.post("frontend_users/", {"id": name, "display_name": f"X {name}", "auth_method": "local"})
        site.post("frontend_users/", {"id": "ada", "display_name": "Z%", "auth_method": "google"})

    def test_by_username(self, bot: Wire, site: Wire, four: None) -> None:
        assert names(site.get("users/by_username").json()) == ["Bo", "ada", "cy", "dan"]
        assert names(site.get("frontend_users/", desc=True).json()) == ["Bo", "ada", "cy", "dan"]
        assert names(bot.get("users/by_username", desc=True).json()) == ["dan", "cy", "Bo"]
        assert names(site.get("users/by_username", auth_method="google").json()) == ["ada"]
        assert names(site.get("users/by_username", api_client_id=bot.client.pk, max_count=2).json()) == ["Bo", "cy"]
        assert names(site.get("users/by_username", search_text="a").json()) == ["ada", "dan"]
        assert names(site.get("users/by_username", search_text="A").json()) == []
        assert code_of(bot.get("users/by_username", api_client_id=site.client.pk)) == (403, 2)

    def test_from_a_name_on(self, site: Wire, four: None) -> None:
        assert names(site.get("users/by_username", gte_username="ada", lte_username="cy").json()) == ["ada", "cy"]
        user = site.get("users/by_username", gte_username="ada").json()[0]
        found = site.get("users/by_username", gte_username="ada", gt_id=user["user_id"]).json()
        assert names(found) == ["cy", "dan"]
        found = site.get("users/by_username", lte_username="ada", lt_id=user["user_id"]).json()
        assert names(found) == ["Bo"]
        assert code_of(site.get("users/by_username", gt_id=user["user_id"])) == (400, 0)

    def test_by_display_name(self, site: Wire, four: None) -> None:
        assert names(site.get("users/by_display_name").json()) == ["Bo", "cy", "dan", "ada"]
        assert names(site.get("users/by_display_name", search_text="%").json()) == ["ada"]
        assert names(site.get("users/by_display_name", gte_display_name="X d").json()) == ["dan", "ada"]

    @pytest.mark.parametrize("key", ["username", "display_name"])
    def test_pages(self, site: Wire, four: None, key: str) -> None:
        whole = names(site.get(f"users/by_{key}").json())
        page = site.get("users/cursor", sort_key=key, max_count=3).json()
        assert (names(page["items"]), page["prev"], page["order"], page["sort_key"]) == (whole[:3], None, "asc", key)
        assert page["next"].startswith(page["items"][-1]["user_id"] + "$")
        rest = site.get("users/cursor", sort_key=key, max_count=3, after=page["next"]).json()
        assert (names(rest["items"]), rest["next"]) == (whole[3:], None)
        back = site.get("users/cursor", sort_key=key, max_count=3, before=rest["prev"]).json()
        assert names(back["items"]) == whole[:3]
        assert names(site.get("users/cursor", sort_key=key, after="$weird$").json()["items"]) == whole

    def test_refusals(self, site: Wire) -> None:
        assert code_of(site.get("users/cursor", sort_key="email")) == (400, 100)
        assert problems(site.get("users/cursor", sort_key="x" * 33)) == {
            ("query", "sort_key", "value_error.any_str.max_length")
        }
        assert site.get("users/cursor", after="zzz").json()["prev"] == "zzz"


class TestChanges:
    def test_only_what_is_named(self, site: Wire, bot: Wire) -> None:
        user = bot.post("frontend_users/", ADA).json()
        path = f"users/{user['user_id']}"
        assert code_of(bot.put(path, enabled=False)) == (403, 2)
        assert site.put(path, enabled=False, notes="spams & more").status_code == 204
        found = site.get(path).json()
        assert (found["enabled"], found["notes"], found["display_name"]) == (False, "spams & more", "Ada")
        assert bot.get(path).json()["notes"] == ""
        site.put(path, enabled=True, notes="", show_on_leaderboard=False, display_name="A.")
        found = site.get(path).json()
        assert (found["enabled"], found["notes"], found["show_on_leaderboard"]) == (True, "", False)
        assert found["display_name"] == "A." and found["tos_acceptance_date"] is None

    def test_agreeing_for_ones_own(self, site: Wire, bot: Wire) -> None:
        bots, own = (wire.post("frontend_users/", ADA).json()["user_id"] for wire in (bot, site))
        assert code_of(site.put(f"users/{bots}", tos_acceptance=True, enabled=False)) == (403, 2)
        assert site.get(f"users/{bots}").json()["enabled"]
        assert site.put(f"users/{own}", tos_acceptance=True).status_code == 204
        found = site.get(f"users/{own}").json()
        assert found["tos_acceptance_date"]
        site.put(f"users/{own}", tos_acceptance=False)
        assert site.get(f"users/{own}").json() == found

    def test_refusals(self, site: Wire, mo: User) -> None:
        assert code_of(site.put(f"users/{uuid4()}", enabled=False)) == (404, 4002)
        assert code_of(site.delete(f"users/{uuid4()}")) == (404, 4002)
        assert code_of(site.put(f"users/{mo.pk}", enabled=False)) == (403, 2)
        assert code_of(site.delete(f"users/{mo.pk}")) == (403, 2)
        assert code_of(site.post(f"admin/purge_user/{mo.pk}", preview=False)) == (403, 2)
        mo.refresh_from_db()
        assert mo.enabled and mo.deleted_at is None
        assert problems(site.put(f"users/{mo.pk}", notes="x" * 1025)) == {
            ("query", "notes", "value_error.any_str.max_length")
        }

    def test_erasing(self, site: Wire, bot: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        user_id = bot.get("frontend_users/local/ada").json()["user_id"]
        assert code_of(bot.delete(f"users/{user_id}")) == (403, 2)
        for _ in range(2):
            assert site.delete(f"users/{user_id}").status_code == 204
        found = site.get(f"users/{user_id}").json()
        assert (found["deleted"], found["enabled"], found["show_on_leaderboard"]) == (True, True, False)
        assert (found["id"], found["display_name"]) == (f"deleted_{user_id}", "Deleted User")
        assert code_of(bot.get("frontend_users/local/ada")) == (404, 4002)
        assert bot.post("frontend_users/", ADA).json()["user_id"] != user_id
        assert bot.get(f"messages/{prompt.pk}").json()["user_id"] == user_id


class TestWritten:
    @pytest.fixture
    def prompts(self, bot: Wire) -> list[Message]:
        return [bot.write(ADA, f"How do plants drink, {number}?", f"m{number}") for number in range(3)]

    def ids(self, messages: list[Message]) -> list[str]:
        return [str(message.pk) for message in messages]

    def test_lists(self, bot: Wire, site: Wire, other: Wire, prompts: list[Message]) -> None:
        user_id = prompts[0].author_id
        for path in (f"users/{user_id}/messages", "frontend_users/local/ada/messages"):
            found = bot.get(path).json()
            assert [message["id"] for message in found] == self.ids(prompts[::-1])
            assert len(bot.get(path, desc=False, max_count=2, only_roots=True).json()) == 2
        assert bot.get("frontend_users/local/ada/messages").json()[0]["user_is_author"] is True
        assert other.get(f"users/{user_id}/messages").json() == []
        assert len(site.get(f"users/{user_id}/messages").json()) == 3
        assert site.get(f"users/{user_id}/messages", api_client_id=site.client.pk).json() == []
        assert code_of(other.get(f"users/{user_id}/messages", api_client_id=bot.client.pk)) == (403, 2)
        assert bot.get(f"users/{uuid4()}/messages").json() == []
        assert code_of(bot.get("frontend_users/local/nobody/messages")) == (404, 4002)

    def test_pages(self, bot: Wire, site: Wire, other: Wire, prompts: list[Message]) -> None:
        user_id = prompts[0].author_id
        for path in (f"users/{user_id}/messages/cursor", "frontend_users/local/ada/messages/cursor"):
            page = bot.get(path, max_count=2).json()
            assert [message["id"] for message in page["items"]] == self.ids(prompts[:2])
            rest = bot.get(path, max_count=2, after=page["next"]).json()
            assert [message["id"] for message in rest["items"]] == self.ids(prompts[2:])
            assert len(site.get(path).json()["items"]) == 3
            assert other.get(path).json()["items"] == []
        empty = {"prev": None, "next": None, "sort_key": "created_date", "items": [], "order": "asc"}
        assert bot.get("frontend_users/local/nobody/messages/cursor").json() == empty

    def test_deleting_all(self, site: Wire, bot: Wire, prompts: list[Message], bob: User) -> None:
        decide(prompts[0])
        draw("en", TreePolicy())
        new_reply(Message.objects.get(pk=prompts[0].pk), bob)
        path = f"users/{prompts[0].author_id}/messages"
        assert code_of(bot.delete(path)) == (403, 2)
        assert site.delete(path).status_code == 204
        assert not Message.objects.filter(deleted=False).exists()
        assert site.delete(path).status_code == 204
        assert site.delete(f"users/{uuid4()}/messages").status_code == 204

    def test_deleting_by_name_is_for_own_messages(self, site: Wire, prompts: list[Message]) -> None:
        assert site.delete("frontend_users/local/ada/messages").status_code == 204
        assert Message.objects.filter(deleted=False).count() == 3
        site.write(ADA, "Mine?", "s1")
        assert site.delete("frontend_users/local/ada/messages").status_code == 204
        assert Message.objects.filter(deleted=False).count() == 3
