"""Rate limits, with and without Redis."""

from typing import Any

import pytest
import redis
from django.conf import settings as django_settings

from oasst.core import metrics, ratelimit
from oasst.core.errors import Busy
from oasst.core.ratelimit import RateLimit, count_use

TWICE = RateLimit("test_twice", "2 per minute", "tests")


@pytest.fixture(autouse=True)
def _redis_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "_redis_away_until", 0.0)
    monkeypatch.setattr(ratelimit, "_quiet_until", 0.0)


class TestSpend:
    def test_it_works(self) -> None:
        count_use(TWICE, "alice")
        count_use(TWICE, "alice")
        with pytest.raises(Busy) as caught:
            count_use(TWICE, "alice")
        error = caught.value
        assert error.code == "rate_limited"
        assert 1 <= error.retry_after <= 60
        assert str(error.retry_after) in error.message

    def test_everybody_has_their_own(self) -> None:
        count_use(TWICE, "alice")
        count_use(TWICE, "alice")
        count_use(TWICE, "bob")
        count_use(TWICE, "alice", "elsewhere")

    def test_every_rule_has_its_own(self) -> None:
        count_use(TWICE, "alice")
        count_use(TWICE, "alice")
        count_use(RateLimit("test_other", "1 per minute", "tests"), "alice")

    def test_case_makes_no_other_person(self) -> None:
        count_use(TWICE, "alice@example.org")
        count_use(TWICE, "Alice@Example.org")
        with pytest.raises(Busy):
            count_use(TWICE, "ALICE@example.org")

    def test_all_rates_of_a_rule_count(self) -> None:
        rule = RateLimit("test_both", "5 per minute; 1 per day", "tests")
        count_use(rule, "alice")
        with pytest.raises(Busy) as caught:
            count_use(rule, "alice")
        assert caught.value.retry_after > 3600
        assert "hours" in caught.value.message

    def test_refused_attempts_are_not_counted(self, redis_server: redis.Redis) -> None:
        count_use(TWICE, "alice")
        count_use(TWICE, "alice")
        for _ in range(5):
            with pytest.raises(Busy):
                count_use(TWICE, "alice")
        (key,) = redis_server.keys("oasst-limits*")
        assert redis_server.llen(key) == 2

    def test_no_name_stands_in_redis(self, redis_server: redis.Redis) -> None:
        count_use(TWICE, "alice@example.org")
        assert not any(b"alice" in key for key in redis_server.keys("*"))

    def test_the_switch(self, settings: Any) -> None:
        settings.RATE_LIMITS = False
        for _ in range(5):
            count_use(TWICE, "alice")

    def test_the_table_can_be_read(self) -> None:
        rules = [value for value in vars(ratelimit).values() if isinstance(value, RateLimit)]
        assert len(rules) > 5
        assert len({rule.name for rule in rules}) == len(rules)
        assert all(ratelimit._rates(rule) for rule in rules)

    def test_without_redis_everybody_is_let_in(self, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        unchecked = metrics.rate_limits_unchecked.labels(TWICE.name)
        before = unchecked._value.get()
        with caplog.at_level("WARNING"):
            for _ in range(4):
                count_use(TWICE, "alice")
        assert unchecked._value.get() == before + 4
        assert caplog.text.count("rate_limits_unchecked") == 1
        assert django_settings.REDIS_URL == "redis://127.0.0.1:1/0"
