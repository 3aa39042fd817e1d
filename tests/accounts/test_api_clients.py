"""API clients and their keys."""

import pytest

from oasst.accounts import api_clients, tokens
from oasst.accounts.models import ApiClient, ApiKey, Secret, User
from oasst.core.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db


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
