"""Changing keys: two are valid at once, and no client can lock itself out."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from oasst.accounts.models import ApiKey
from tests.factories import new_person
from tests.wire.conftest import Wire, code_of

pytestmark = pytest.mark.django_db


def opens(key: str) -> bool:
    return Client(headers={"X-API-Key": key}).get("/api/v1/keys").status_code == 200


def in_days(days: int) -> str:
    return (timezone.now() + timedelta(days=days)).isoformat()


class TestRotation:
    def test_it_works(self, bot: Wire) -> None:
        made = bot.post("keys", {"name": "next"})
        assert made.status_code == 201
        fresh = made.json()
        assert fresh["key"].startswith(fresh["prefix"]) and fresh["name"] == "next" and not fresh["is_this_one"]
        assert opens(bot.key) and opens(fresh["key"])
        old, new = bot.get("keys").json()
        assert old["is_this_one"] and old["last_used_date"] and new["id"] == fresh["id"]
        assert fresh["key"] not in str(bot.get("keys").json())
        assert bot.delete(f"keys/{old['id']}").status_code == 204
        assert not opens(bot.key) and opens(fresh["key"])

    def test_a_key_may_run_on_for_a_while(self, bot: Wire) -> None:
        old = bot.get("keys").json()[0]
        bot.post("keys")
        shown = bot.put(f"keys/{old['id']}", expires_date=in_days(7)).json()
        assert shown["expires_date"] and opens(bot.key)
        ApiKey.objects.filter(pk=old["id"]).update(expires_at=timezone.now())
        assert not opens(bot.key)

    def test_not_three(self, bot: Wire) -> None:
        bot.post("keys")
        assert code_of(bot.post("keys")) == (409, 0)
        assert bot.client.keys.count() == 2

    def test_one_that_does_not_expire_is_left(self, bot: Wire) -> None:
        old = bot.get("keys").json()[0]
        for refused in (bot.delete(f"keys/{old['id']}"), bot.put(f"keys/{old['id']}", expires_date=in_days(1))):
            assert code_of(refused) == (409, 0)
        bot.post("keys", {"expires_date": in_days(1)})
        assert code_of(bot.delete(f"keys/{old['id']}")) == (409, 0)
        assert opens(bot.key)

    def test_the_past_and_the_ended(self, bot: Wire) -> None:
        fresh = bot.post("keys").json()
        for wrong in (in_days(-1), "9999-12-31T23:59:59Z"):  # east of Greenwich no page could show the second
            assert code_of(bot.put(f"keys/{fresh['id']}", expires_date=wrong)) == (400, 0)
        assert bot.delete(f"keys/{fresh['id']}").status_code == 204
        assert code_of(bot.delete(f"keys/{fresh['id']}")) == (410, 0)

    def test_each_program_has_its_own(self, bot: Wire, other: Wire) -> None:
        key = bot.get("keys").json()[0]["id"]
        bot.post("keys")
        assert code_of(other.delete(f"keys/{key}")) == (404, 0)
        assert key not in str(other.get("keys").json())
        assert opens(bot.key)

    def test_a_key_is_not_given_twice(self, bot: Wire) -> None:
        response = bot.call("post", "keys", headers={"Idempotency-Key": "again"})
        assert code_of(response) == (400, 0)
        assert bot.client.keys.count() == 1


class TestOperators:
    def test_the_admin_makes_and_revokes(self, bot: Wire) -> None:
        browser = Client()
        browser.force_login(new_person("Ada", role="admin"))

        def act(model: str, action: str, row: Any) -> str:
            data = {"action": action, "reason": "Because.", "_selected_action": [str(row.pk)]}
            return browser.post(f"/admin/accounts/{model}/", data, follow=True).text

        page = act("apiclient", "new_key", bot.client)
        old, fresh = bot.client.keys.order_by("pk")
        assert f"told only now: {fresh.prefix}" in page
        act("apikey", "end_in_a_week", old)
        old.refresh_from_db()
        assert old.expires_at is not None and opens(bot.key)
        act("apikey", "revoke", old)
        assert not opens(bot.key)
        assert "does not expire" in act("apikey", "revoke", fresh)
        fresh.refresh_from_db()
        assert fresh.expires_at is None

    def test_a_moderator_does_not(self, bot: Wire, mo: Any) -> None:
        browser = Client()
        browser.force_login(mo)
        data = {"action": "new_key", "reason": "Because.", "_selected_action": [str(bot.client.pk)]}
        assert browser.post("/admin/accounts/apiclient/", data).status_code == 403
        assert bot.client.keys.count() == 1

    def test_the_command(self, bot: Wire) -> None:
        output = StringIO()
        call_command("create_api_client", another_for=bot.client.pk, stdout=output)
        assert opens(output.getvalue().splitlines()[-1])
        with pytest.raises(CommandError):
            call_command("create_api_client")
