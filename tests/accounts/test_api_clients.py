"""API clients and their keys."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from oasst.accounts import api_clients, tokens
from oasst.accounts.models import ApiClient, ApiKey, Secret, User
from oasst.core.errors import Conflict, Invalid, NotAllowed
from oasst.core.models import AuditEntry
from tests.factories import new_person

pytestmark = pytest.mark.django_db
WEEK = timedelta(weeks=1)


class TestKeys:
    def test_only_a_hash_is_kept(self) -> None:
        client, key = api_clients.create_api_client(name="bot", trusted=True)
        stored = ApiKey.objects.get(api_client=client)
        assert stored.digest == Secret.digest_of(key) != key
        assert key.startswith(stored.prefix) and len(stored.prefix) == 8
        assert client.trusted

    def test_a_key_of_ones_own(self) -> None:
        _, key = api_clients.create_api_client(name="bot", key="1234")
        assert key == "1234"
        assert len(ApiKey.objects.get().prefix) <= 1

    def test_two_may_be_valid_at_once(self) -> None:
        client, first = api_clients.create_api_client(name="bot")
        _, second = api_clients.create_api_key(client, name="next")
        assert first != second
        assert client.keys.count() == 2

    def test_a_key_belongs_to_one_program(self) -> None:
        api_clients.create_api_client(name="bot", key="shared-key")
        with pytest.raises(Conflict):
            api_clients.create_api_client(name="other", key="shared-key")
        assert [client.name for client in ApiClient.objects.all()] == ["bot"]

    @pytest.mark.parametrize("key", ["", "has blank", "ключ", "x" * 201, "a\nb"])
    def test_keys_that_are_none(self, key: str) -> None:
        with pytest.raises(Invalid):
            api_clients.create_api_client(name="bot", key=key)
        assert not ApiClient.objects.exists()

    def test_tokens(self, alice: User) -> None:
        token, secret = tokens.new_token(alice, "laptop")
        assert token.digest == Secret.digest_of(secret)
        assert secret not in str(token)


@pytest.fixture
def ida() -> User:
    return new_person("Ida", role="admin")


@pytest.fixture
def bot() -> ApiClient:
    return api_clients.create_api_client(name="bot", frontend_type="bot")[0]


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


class TestMaking:
    def test_a_person_gives_a_name_of_its_own_an_address_and_a_reason(self, ida: User, bot: ApiClient) -> None:
        refused: list[tuple[dict[str, str], str]] = [
            ({"name": " BOT "}, "name_taken"),
            ({"name": "forum", "admin_email": "nobody"}, "email"),
            ({"name": " "}, "blank"),
            ({"name": "forum", "reason": " "}, "reason"),
            ({"name": "forum", "frontend_type": "x" * 257}, "too_long"),
        ]
        for given, code in refused:
            with pytest.raises((Invalid, Conflict)) as caught:
                api_clients.create_api_client(**{"reason": "For the forum.", **given}, actor=ida)  # type: ignore[arg-type]
            assert caught.value.code == code
        assert list(ApiClient.objects.all()) == [bot] and acts() == ["api_client.create"]
        client, key = api_clients.create_api_client(
            name="forum", admin_email="ada@example.org", trusted=True, actor=ida, reason="For the forum."
        )
        assert client.keys.get().digest == Secret.digest_of(key)
        assert AuditEntry.objects.latest("pk").actor == ida

    def test_commands_and_the_root_token_may_repeat_a_name(self, bot: ApiClient) -> None:
        api_clients.create_api_client(name="bot")
        assert ApiClient.objects.filter(name="bot").count() == 2


class TestChanging:
    def test_what_is_different(self, ida: User, bot: ApiClient) -> None:
        given = {"name": "Bot of the forum", "frontend_type": "bot", "admin_email": "ada@example.org"}
        changed = api_clients.change_api_client(bot, **given, actor=ida, reason="It moved.")
        assert changed == ["name", "admin_email"]
        words = AuditEntry.objects.latest("pk").text
        assert '"name": "bot"' in words.before and "Bot of the forum" in words.after and "It moved." in words.reason
        assert "a…@example.org" in words.after and "ada@" not in words.after
        assert api_clients.change_api_client(bot, **given, actor=ida, reason="Again.") == []
        assert acts() == ["api_client.create", "api_client.change"]

    def test_refused(self, ida: User, mo: User, bot: ApiClient) -> None:
        api_clients.create_api_client(name="forum")
        person_own = ApiClient.objects.create(name="own", person=mo)
        with pytest.raises(Conflict, match="Another API client has this name"):
            api_clients.change_api_client(bot, name="Forum", actor=ida, reason="x")
        with pytest.raises(Invalid):
            api_clients.change_api_client(bot, admin_email="@", actor=ida, reason="x")
        with pytest.raises(NotAllowed):
            api_clients.change_api_client(bot, name="mine", actor=mo, reason="x")
        with pytest.raises(NotAllowed):
            api_clients.change_api_client(person_own, name="theirs", actor=ida, reason="x")
        bot.refresh_from_db()
        assert (bot.name, bot.admin_email) == ("bot", "") and "api_client.change" not in acts()


class TestTrustAndSwitch:
    def test_they_are_recorded_and_refused_twice(self, ida: User, bot: ApiClient) -> None:
        api_clients.set_trust(bot, trusted=True, actor=ida, reason="Ours.")
        api_clients.switch_api_client(bot, on=False, actor=ida, reason="It floods.")
        for again in (
            lambda: api_clients.set_trust(bot, trusted=True, actor=ida, reason="Ours."),
            lambda: api_clients.switch_api_client(bot, on=False, actor=ida, reason="It floods."),
        ):
            with pytest.raises(Conflict) as caught:
                again()
            assert caught.value.code == "already_so"
        bot.refresh_from_db()
        assert bot.trusted and not bot.enabled
        assert acts() == ["api_client.create", "api_client.trust", "api_client.switch"]

    def test_strangers(self, mo: User, alice: User, bot: ApiClient) -> None:
        for person in (mo, alice):
            with pytest.raises(NotAllowed):
                api_clients.set_trust(bot, trusted=True, actor=person, reason="Mine.")
            with pytest.raises(NotAllowed):
                api_clients.switch_api_client(bot, on=False, actor=person, reason="Mine.")
            with pytest.raises(NotAllowed):
                api_clients.rotate_keys(bot, ends_after=WEEK, actor=person, reason="Mine.")
            with pytest.raises(NotAllowed):
                api_clients.create_api_key(bot, actor=person)
        bot.refresh_from_db()
        assert bot.enabled and not bot.trusted and bot.keys.count() == 1

    def test_the_api_refuses_a_client_that_is_off_at_once(self, ida: User) -> None:
        bot, key = api_clients.create_api_client(name="forum")
        http = Client(headers={"X-API-Key": key})
        assert http.get("/api/v1/messages/").status_code == 200
        api_clients.switch_api_client(bot, on=False, actor=ida, reason="It floods.")
        answer = http.get("/api/v1/messages/")
        assert answer.status_code == 403
        assert (answer.json()["error_code"], "switched off" in answer.json()["message"]) == (2, True)
        api_clients.switch_api_client(bot, on=True, actor=ida, reason="It is mended.")
        assert http.get("/api/v1/messages/").status_code == 200

    def test_trust_is_felt_by_the_next_request(self, ida: User) -> None:
        bot, key = api_clients.create_api_client(name="forum")
        http = Client(headers={"X-API-Key": key})
        assert http.get("/api/v1/stats/").status_code == 403
        api_clients.set_trust(bot, trusted=True, actor=ida, reason="Ours.")
        assert http.get("/api/v1/stats/").status_code == 200
        api_clients.set_trust(bot, trusted=False, actor=ida, reason="Not ours.")
        assert http.get("/api/v1/stats/").status_code == 403


class TestRotation:
    def test_the_key_before_ends_after_a_week(self, ida: User, bot: ApiClient) -> None:
        old = bot.keys.get()
        key, secret = api_clients.rotate_keys(bot, ends_after=WEEK, known=[old.pk], actor=ida, reason="Yearly.")
        old.refresh_from_db()
        assert old.expires_at is not None
        assert abs(old.expires_at - timezone.now() - WEEK) < timedelta(minutes=1)
        assert key.expires_at is None and key.digest == Secret.digest_of(secret)
        entry = AuditEntry.objects.latest("pk")
        assert (entry.act, entry.actor, entry.target_id) == ("api_key.rotate", ida, str(bot.pk))
        assert str(old.pk) in entry.text.before and str(key.pk) in entry.text.after and secret not in entry.text.after

    def test_at_once(self, ida: User, bot: ApiClient) -> None:
        api_clients.create_api_key(bot)
        key, _ = api_clients.rotate_keys(bot, ends_after=timedelta(0), actor=ida, reason="Somebody saw it.")
        assert list(api_clients.valid_keys(bot)) == [key]

    def test_a_key_that_ends_sooner_keeps_its_end(self, ida: User, bot: ApiClient) -> None:
        soon = timezone.now() + timedelta(hours=1)
        bot.keys.update(expires_at=soon)
        api_clients.rotate_keys(bot, ends_after=WEEK, actor=ida, reason="Yearly.")
        assert bot.keys.order_by("created_at")[0].expires_at == soon

    def test_refused(self, ida: User, bot: ApiClient) -> None:
        seen = [bot.keys.get().pk]
        api_clients.create_api_key(bot)
        with pytest.raises(Conflict, match="changed meanwhile"):
            api_clients.rotate_keys(bot, ends_after=timedelta(0), known=seen, actor=ida, reason="Yearly.")
        with pytest.raises(Conflict, match="has 2 valid keys"):
            api_clients.rotate_keys(bot, ends_after=WEEK, actor=ida, reason="Yearly.")
        with pytest.raises(Invalid):
            api_clients.rotate_keys(bot, ends_after=timedelta(0), actor=ida, reason="")
        assert api_clients.valid_keys(bot).filter(expires_at=None).count() == 2

    def test_the_development_key_is_left_alone(self, ida: User) -> None:
        website, _ = api_clients.create_api_client(name="website", key="1234")
        api_clients.rotate_keys(website, ends_after=timedelta(0), known=[], actor=ida, reason="Yearly.")
        assert api_clients.valid_keys(website).count() == 2

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once_make_one_key(self, bot: ApiClient) -> None:
        """Who comes second has seen keys that are not the valid ones any more."""
        seen, results = [bot.keys.get().pk], list[str]()

        def rotate() -> None:
            try:
                api_clients.rotate_keys(bot, ends_after=timedelta(0), known=seen)
                results.append("done")
            except Conflict as error:
                results.append(error.code)
            finally:
                connections.close_all()

        both = [threading.Thread(target=rotate) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        assert sorted(results) == ["done", "keys_changed"]
        assert bot.keys.count() == 2 and api_clients.valid_keys(bot).count() == 1
