"""Searches among vectors, and settings of PostgreSQL for them."""

from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from pgvector.django import CosineDistance

from trees.models import MessageEmbedding


def nearest(model: str, vector: Any, where: Q, limit: int) -> list[tuple[UUID, UUID, float]]:
    """Return message, revision and distance of the nearest vectors that meet the condition, nearest first.

    The condition names `is_prompt`, since prompts and replies have an index each, and no other table.
    """
    rows = MessageEmbedding.objects.filter(where, model=model).annotate(distance=CosineDistance("vector", vector))
    with transaction.atomic(), connection.cursor() as cursor:
        # Go on searching the index until enough rows meet the condition. Without it, a search takes the 40 nearest of
        # all languages, and drops those of other languages.
        cursor.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        return list(rows.order_by("distance").values_list("message_id", "revision_id", "distance")[:limit])


def limit_time(seconds: float) -> None:
    """In this transaction, cancel statements that take longer: QueryCanceled, an OperationalError, is raised."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{round(seconds * 1000)}ms"])
