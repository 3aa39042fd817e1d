"""Rate limits of API clients, and pages of other sites."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from oasst.accounts.models import Identity, User
from oasst.core import ratelimit
from oasst.core.ratelimit import RateLimit
from oasst.site import purging
from tests.factories import growing_tree, new_prompt
from tests.wire.conftest import Wire, code_of, person
from trees.models import Message, Purge
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
ADA = person("Ada")
ELSEWHERE = "https://stats.example.org"


def tighten(monkeypatch: pytest.MonkeyPatch, name: str, rates: str) -> None:
    rule: RateLimit = getattr(ratelimit, name)
    monkeypatch.setattr(ratelimit, name, RateLimit(rule.name, rates, rule.subject))


class TestLimits:
    def test_a_program_brings_so_many_new_people(self, bot: Wire, site: Wire, monkeypatch: Any) -> None:
        tighten(monkeypatch, "NEW_PEOPLE_OF_CLIENT", "2 per hour")
        for name in ("Ada", "Bo"):
            assert bot.post("frontend_users/", person(name)).status_code == 200
        prompt = growing_tree(User.objects.create(display_name="Somebody"))
        known = User.objects.count()
        for refused in (
            bot.post("frontend_users/", person("Cy")),
            bot.ask(person("Cy")),
            bot.post("tasks/availability", person("Cy")),
            bot.post(f"messages/{prompt.pk}/emoji", {"user": person("Cy"), "emoji": "+1"}),
            bot.post("text_labels/", {"user": person("Cy"), "message_id": str(prompt.pk), "text": "", "labels": {}}),
            bot.interact(person("Cy"), "text_labels", message_id=str(prompt.pk), text="", labels={}),
        ):
            assert code_of(refused) == (429, 429)
            assert int(refused["Retry-After"]) > 3000
        assert User.objects.count() == known
        assert not Identity.objects.filter(username="cy").exists()
        assert bot.ask(ADA).status_code != 429
        assert site.post("frontend_users/", person("Cy")).status_code == 200  # trusted clients have no limit

    def test_wrong_keys_are_counted_by_address(self, bot: Wire, monkeypatch: Any) -> None:
        tighten(monkeypatch, "WRONG_KEYS_FROM_ADDRESS", "2 per hour")
        guesser = Client(headers={"X-API-Key": "guess"})
        for _ in range(2):
            assert guesser.get("/api/v1/users/cursor").status_code == 403
        refused: Any = guesser.get("/api/v1/users/cursor")
        assert code_of(refused) == (429, 429) and int(refused["Retry-After"]) > 0
        # A valid key from the same address works, and a request without one is told so.
        assert bot.get("users/cursor").status_code == 200
        assert Client().get("/api/v1/users/cursor").status_code == 403
        elsewhere: Any = {"REMOTE_ADDR": "203.0.113.9"}
        assert guesser.get("/api/v1/users/cursor", **elsewhere).status_code == 403

    def test_tasks_are_counted_by_address(self, bot: Wire, other: Wire, site: Wire, monkeypatch: Any) -> None:
        tighten(monkeypatch, "TASK_REQUESTS_FROM_ADDRESS", "2 per hour")
        bot.ask(ADA)
        other.ask(ADA)
        refused = bot.ask(ADA)
        assert code_of(refused) == (429, 429) and int(refused["Retry-After"]) > 0
        assert site.ask(ADA).status_code != 429


def varies_by(response: Any) -> set[str]:
    return set(filter(None, response.get("Vary", "").split(", ")))


class TestPagesOfOtherSites:
    def ask(self, wire: Wire, method: str, path: str, **headers: str) -> Any:
        send = getattr(Client(headers={"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site", **headers}), method)
        return send(f"/api/v1/{path}")

    def test_unless_allowed_nothing_is_opened(self, bot: Wire) -> None:
        refused = self.ask(bot, "get", "users/cursor", **{"X-API-Key": bot.key})
        assert code_of(refused) == (403, 2) and "Access-Control-Allow-Origin" not in refused
        asked = self.ask(bot, "options", "users/cursor", **{"Access-Control-Request-Method": "GET"})
        assert asked.status_code == 405 and "Access-Control-Allow-Origin" not in asked

    @pytest.mark.parametrize("origins", [[ELSEWHERE], ["*"]])
    def test_allowed_ones_read(self, bot: Wire, settings: Any, origins: list[str]) -> None:
        settings.CORS_ORIGINS = origins
        asked = self.ask(bot, "options", "users/cursor", **{"Access-Control-Request-Method": "GET"})
        assert asked.status_code == 204
        assert "X-API-Key" in asked["Access-Control-Allow-Headers"]
        for path, status in (("users/cursor", 200), ("openapi.json", 200), ("messages/x", 422)):
            found = self.ask(bot, "get", path, **{"X-API-Key": bot.key})
            assert found.status_code == status
            assert found["Access-Control-Allow-Origin"] == ELSEWHERE
            assert "Access-Control-Allow-Credentials" not in found

    def test_what_a_cache_has_to_know(self, bot: Wire, settings: Any) -> None:
        """A cached response for an API client must not be used for a page, or the other way round."""
        settings.CORS_ORIGINS = [ELSEWHERE]
        unlike = {ELSEWHERE: True, "https://others.example.org": False, "": False}
        for origin, is_shown in unlike.items():
            given = {"X-API-Key": bot.key, "Accept-Encoding": "gzip", "Origin": origin}
            for path in ("openapi.json", "users/cursor", "messages/x"):
                found = Client(headers={name: value for name, value in given.items() if value}).get(f"/api/v1/{path}")
                assert "Origin" in varies_by(found), (origin, path)
                assert ("Access-Control-Allow-Origin" in found) == is_shown
            packed = Client(headers=given).get("/api/v1/openapi.json")
            assert varies_by(packed) >= {"Accept-Encoding", "Origin"} and packed["Content-Encoding"] == "gzip"
            again = Client(headers={**given, "If-None-Match": packed["ETag"]}).get("/api/v1/openapi.json")
            assert again.status_code == 304 and varies_by(again) == varies_by(packed)
        assert "Origin" not in varies_by(Client().get("/terms/"))

    def test_nor_where_no_page_may(self, bot: Wire) -> None:
        assert "Origin" not in varies_by(self.ask(bot, "get", "openapi.json"))

    def test_and_never_write(self, bot: Wire, settings: Any) -> None:
        settings.CORS_ORIGINS = [ELSEWHERE]
        asked = self.ask(bot, "options", "tasks/", **{"Access-Control-Request-Method": "POST"})
        assert asked.status_code == 405
        refused = self.ask(bot, "post", "frontend_users/", **{"X-API-Key": bot.key})
        assert code_of(refused) == (403, 2)
        assert not Identity.objects.exists()

    def test_no_page_no_answer_for_pages(self, bot: Wire, settings: Any) -> None:
        settings.CORS_ORIGINS = ["*"]
        asked = Client().options("/api/v1/users/cursor", headers={"Access-Control-Request-Method": "GET"})
        assert asked.status_code == 405 and "Access-Control-Allow-Origin" not in asked

    def test_others_do_not(self, bot: Wire, settings: Any) -> None:
        settings.CORS_ORIGINS = ["https://friends.example.org"]
        refused = self.ask(bot, "get", "users/cursor", **{"X-API-Key": bot.key})
        assert code_of(refused) == (403, 2) and "Access-Control-Allow-Origin" not in refused


class TestEdits:
    def test_a_banned_editor_changes_nothing(self, site: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        ada = site.post("frontend_users/", ADA).json()["user_id"]
        site.put(f"users/{ada}", enabled=False)
        refused = site.post(f"messages/{prompt.pk}/edit", {"user": ADA, "new_content": "Other words"})
        assert code_of(refused) == (503, 4001)
        assert Message.objects.get(pk=prompt.pk).text == prompt.text

    def test_nobody_puts_words_into_the_mouth_of_who_was_purged(self, site: Wire, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        begun = purging.start_purge(user=alice, actor=mo, reason="Spam.")
        purging.continue_purge(purge_id=begun.pk, policy=current_policy())
        for text in (prompt.text, ""):
            refused = site.post(f"messages/{prompt.pk}/edit", {"user": ADA, "new_content": "Other words"})
            assert code_of(refused) == (409, 0)
            assert Message.objects.get(pk=prompt.pk).text == text
            Message.objects.update(created_at=timezone.now() - timedelta(days=32))
            Purge.objects.update(finished_at=timezone.now() - timedelta(days=31))
            purging.process_due_purges(policy=current_policy())
