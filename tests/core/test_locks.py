"""Named locks and timeouts."""

import threading

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from psycopg_pool import ConnectionPool, PoolTimeout

from oasst.accounts.models import ApiClient
from oasst.core.errors import Busy, as_domain_error
from oasst.core.locks import advisory_lock, timeouts_as_busy


@pytest.mark.django_db(transaction=True)
class TestAdvisoryLock:
    def test_it_refuses_outside_a_transaction(self) -> None:
        with pytest.raises(TransactionManagementError):
            advisory_lock("a")

    def test_it_keeps_others_out_until_the_end(self) -> None:
        order: list[str] = []
        holding = threading.Event()

        def hold() -> None:
            with transaction.atomic():
                advisory_lock("person", 7)
                holding.set()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(0.2)")
                order.append("first")
            connection.close()

        thread = threading.Thread(target=hold)
        thread.start()
        assert holding.wait(10)
        with transaction.atomic():
            advisory_lock("person", 8)  # another name does not wait
            order.append("other")
            advisory_lock("person", 7)
            order.append("second")
        thread.join(10)
        assert order == ["other", "first", "second"]

    def test_parts_do_not_run_together(self) -> None:
        with transaction.atomic():
            advisory_lock("a", "bc")
            advisory_lock("ab", "c")
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
                assert cursor.fetchone() == (2,)


@pytest.mark.django_db(transaction=True)
class TestWaitsAreBusy:
    def test_a_row_that_somebody_holds(self) -> None:
        client = ApiClient.objects.create(name="held")
        holding, done = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                ApiClient.objects.select_for_update().get(pk=client.pk)
                holding.set()
                done.wait(10)
            connection.close()

        thread = threading.Thread(target=hold)
        thread.start()
        assert holding.wait(10)
        try:
            with pytest.raises(Busy) as caught, timeouts_as_busy(), transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '50ms'")
                ApiClient.objects.select_for_update().get(pk=client.pk)
        finally:
            done.set()
            thread.join(10)
        assert (caught.value.code, caught.value.retry_after) == ("locked", 1)

    def test_a_statement_that_took_too_long(self) -> None:
        with pytest.raises(Busy), timeouts_as_busy(), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '20ms'")
            cursor.execute("SELECT pg_sleep(5)")

    def test_nobody_waits_for_ever(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("10s",)

    def test_other_errors_stay_what_they_are(self) -> None:
        assert as_domain_error(OperationalError("the server is gone")) is None
        assert as_domain_error(ValueError()) is None
        with pytest.raises(ValueError), timeouts_as_busy():
            raise ValueError

    def test_an_exhausted_pool(self) -> None:
        where = connection.get_connection_params()
        arguments = {name: where[name] for name in ("host", "port", "user", "password", "dbname") if where.get(name)}
        one = ConnectionPool(kwargs=arguments, min_size=1, max_size=1, timeout=0.05, open=True)
        with one as pool, pool.connection(timeout=10), pytest.raises(PoolTimeout) as caught, pool.connection():
            pass
        busy = as_domain_error(caught.value)
        assert busy is not None and busy.code == "no_connection"
        wrapped = OperationalError()
        wrapped.__cause__ = caught.value
        assert as_domain_error(wrapped) is not None
        assert issubclass(PoolTimeout, psycopg.OperationalError)
