"""Health checks and metrics: /healthz, /readyz and /metrics.

/healthz uses no other server, so a slow database does not get a live process killed. /readyz fails only if users could
not work. Without Redis (the site is slower), the clock (nothing is cleaned up) or an engine (chats wait) it says
"degraded".
"""

import hmac
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from psycopg_pool import PoolTimeout

from inference.turns import streams
from inference.turns.status import chat_metrics
from oasst.core.jobs import job_metrics
from oasst.core.models import JobRecord
from trees.enrichment.status import reading_metrics

logger = logging.getLogger(__name__)

# Migrations are never unapplied while the process runs, so one successful check is enough.
_migrations_applied = False

HEARTBEAT_JOB = "oasst.site.schedules.send_waiting_jobs"
CLOCK_TIMEOUT = timedelta(minutes=4)  # also after the start of a web server, whose worker starts later
_started = time.monotonic()


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    parts = {**check_services(), "clock": _try(_check_clock, "The records of jobs cannot be read.")}
    if not (parts["database"]["ok"] and parts["migrations"]["ok"]):
        status, code = "not ready", 503
    elif not all(part["ok"] for part in parts.values()):
        status, code = "degraded", 200
    else:
        status, code = "ready", 200
    return JsonResponse({"status": status, "parts": parts}, status=code)


def check_services() -> dict[str, dict[str, Any]]:
    """Return for each service whether it is ok, and else the problem as a sentence for people."""
    parts = {
        "database": _try(_check_database, "The database does not answer."),
        "migrations": _try(_check_migrations, "The migrations cannot be read."),
        "redis": _try(_check_redis, "Redis does not answer."),
    }
    if settings.OASST_CHAT_MODEL != "none":
        parts["chat"] = _try(_check_chat, "The state of the chat engines cannot be read.")
    return parts


def _try(check: Callable[[], str], sentence: str) -> dict[str, Any]:
    """Run a check. An exception is only logged, because it may contain addresses; the response has `sentence`."""
    try:
        problem = check()
    except Exception as error:
        logger.warning("%s %s", sentence, error)
        problem = sentence
    return {"ok": False, "problem": problem} if problem else {"ok": True}


def _check_database() -> str:
    with connection.cursor() as cursor:  # without a table: it checks only that the server answers
        cursor.execute("SELECT 1")
    return ""


def _check_migrations() -> str:
    global _migrations_applied
    if not _migrations_applied:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return f"{len(missing)} migrations are not applied: run `./manage.py migrate`."
        _migrations_applied = True
    return ""


def _check_redis() -> str:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
        client.ping()
    return ""


def _check_clock() -> str:
    """Check beat and the worker: beat sends HEARTBEAT_JOB every minute, and a worker runs it."""
    if time.monotonic() - _started < CLOCK_TIMEOUT.total_seconds():
        return ""
    record = JobRecord.objects.filter(job=HEARTBEAT_JOB).first()
    if record is None or timezone.now() - record.ended_at > CLOCK_TIMEOUT:
        return "No scheduled job was done for minutes: beat or the worker stands still."
    return ""


def _check_chat() -> str:
    return "" if streams.count_live_engines() else "No engine answers chats; questions wait."


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_read_metrics(request):
        return HttpResponse(
            "Metrics need `Authorization: Bearer` and METRICS_TOKEN; `up` keeps one in OASST_HOME/metrics-token.\n",
            status=403,
            content_type="text/plain",
        )
    response: HttpResponse = ExportToDjangoView(request)
    # From the database, so any process reports the jobs of all. If it fails, the other metrics are still sent.
    try:
        response.content += job_metrics().encode()
        if settings.OASST_SCORING:
            response.content += reading_metrics().encode()
        if settings.OASST_CHAT_MODEL != "none":
            response.content += chat_metrics().encode()
    except (DatabaseError, PoolTimeout):
        logger.warning("The records of jobs cannot be read.", exc_info=True)
    return response


def may_read_metrics(request: HttpRequest) -> bool:
    """Return True if the request has METRICS_TOKEN, always False if none is set. Its address proves nothing."""
    if not settings.METRICS_TOKEN:
        return False
    header = request.headers.get("Authorization", "")
    return hmac.compare_digest(header.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
