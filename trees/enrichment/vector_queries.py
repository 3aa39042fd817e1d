"""Searches among vectors, and the time that searches may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from pgvector.django import CosineDistance
from psycopg.errors import QueryCanceled

from oasst.core.errors import Busy
from trees.models import MessageEmbedding


def nearest(model: str, vector: Any, *conditions: Q, limit: int) -> list[tuple[UUID, UUID, float]]:
    """Return message, revision and distance of the `limit` nearest vectors that meet each condition. Two statements.

    Each condition names `is_prompt`, since prompts and replies have an index each, and no other table.
    """
    of_model = MessageEmbedding.objects.filter(model=model).annotate(distance=CosineDistance("vector", vector))
    columns = ("message_id", "revision_id", "distance")
    parts = [of_model.filter(where).order_by("distance").values_list(*columns)[:limit] for where in conditions]
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        # Go on searching the index until enough rows meet the condition. Without it, a search takes the 40 nearest of
        # all languages, and drops those of other languages.
        cursor.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        return list(parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0])


def limit_time(seconds: float) -> None:
    """In this transaction, cancel statements that take longer: QueryCanceled, an OperationalError, is raised."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{round(seconds * 1000)}ms"])


@contextmanager
def limited_search(seconds: float) -> Iterator[None]:
    """A transaction in which each statement may take so long. Raise Busy `search_too_long`."""
    try:
        with transaction.atomic():
            limit_time(seconds)
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise Busy(
                _("This search takes too long. Add a word, or choose a language or a shorter time."),
                code="search_too_long",
            ) from error
        raise
