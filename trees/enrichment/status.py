"""Figures about machine reading for /metrics."""

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from inference.scoring.remote import BREAKER
from trees.models import MessageReading, Revision

_STATES = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


def reading_metrics() -> str:
    """Return the metrics in the text format of Prometheus, with three statements on small indexes."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"oasst_{name}", text, labels, registry=registry)

    unread = gauge("texts_unread", "New texts that are not queued for machines yet.")
    unread.set(Revision.objects.filter(unread=True).count())
    waiting = gauge("readings_waiting", "Texts that wait to be read by a machine, also after failures.", "kind")
    overdue = gauge("readings_overdue_seconds", "How long the text that waits longest has been due.", "kind")
    rows = MessageReading.objects.filter(due_at__isnull=False).values_list("kind")
    for kind, number, oldest in rows.annotate(Count("pk"), Min("due_at")):
        waiting.labels(kind).set(number)
        overdue.labels(kind).set(max((timezone.now() - oldest).total_seconds(), 0))
    given_up = gauge("readings_given_up", "Texts without a result that no machine will try again.", "kind")
    for kind, number in (
        MessageReading.objects.filter(MessageReading.GIVEN_UP).values_list("kind").annotate(Count("pk"))
    ):
        given_up.labels(kind).set(number)
    breaker = gauge("breaker_open", "1 while a failing server is not asked, 0.5 until a probe succeeds.", "server")
    breaker.labels(BREAKER.name).set(_STATES[BREAKER.state()])
    return generate_latest(registry).decode()
