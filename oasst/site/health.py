"""Is the process alive, is the site ready, what does it count.

/healthz touches nothing, so a slow database never gets a live process killed. /readyz is red only when
people could not work: without Redis the site is slower, without the clock nothing is swept up, without an engine chats
wait; these say "degraded".
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

logger = logging.getLogger(__name__)

# Migrations only ever get applied while we run, so one green answer is enough.
_migrations_applied = False

SIGN_OF_LIFE = "oasst.site.schedules.send_waiting_jobs"
CLOCK_PATIENCE = timedelta(minutes=4)  # also how long a web server waits for a worker that starts after it
_started = time.monotonic()


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    parts = {
        "database": _try(_check_database, "The database does not answer."),
        "migrations": _try(_check_migrations, "The migrations can not be read."),
        "redis": _try(_check_redis, "Redis does not answer."),
        "clock": _try(_check_clock, "The records of jobs can not be read."),
    }
    if settings.OASST_CHAT_MODEL != "none":
        parts["chat"] = _try(_check_chat, "Whether an engine answers chats can not be told.")
    if not (parts["database"]["ok"] and parts["migrations"]["ok"]):
        status, code = "not ready", 503
    elif not all(part["ok"] for part in parts.values()):
        status, code = "degraded", 200
    else:
        status, code = "ready", 200
    return JsonResponse({"status": status, "parts": parts}, status=code)


def _try(check: Callable[[], str], sentence: str) -> dict[str, Any]:
    """The address and error of a server that is away are for the log, not for whoever asks."""
    try:
        problem = check()
    except Exception as error:
        logger.warning("%s %s", sentence, error)
        problem = sentence
    return {"ok": False, "problem": problem} if problem else {"ok": True}


def _check_database() -> str:
    with connection.cursor() as cursor:  # no table of the ORM: what is asked is whether the server answers
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
    """Beat sends a job every minute and a worker does it, so its record is a sign of life of both."""
    if time.monotonic() - _started < CLOCK_PATIENCE.total_seconds():
        return ""
    record = JobRecord.objects.filter(job=SIGN_OF_LIFE).first()
    if record is None or timezone.now() - record.ended_at > CLOCK_PATIENCE:
        return "No scheduled job was done for minutes: beat or the worker stands still."
    return ""


def _check_chat() -> str:
    return "" if streams.engines_alive() else "No engine answers chats; questions wait."


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
    # From the database, so any process tells about the jobs of all of them. Without it the rest is still worth telling.
    try:
        response.content += job_metrics().encode()
        if settings.OASST_CHAT_MODEL != "none":
            response.content += chat_metrics().encode()
    except (DatabaseError, PoolTimeout):
        logger.warning("The records of jobs can not be read.", exc_info=True)
    return response


def may_read_metrics(request: HttpRequest) -> bool:
    """Who knows METRICS_TOKEN; without one, nobody. Where a request comes from proves nothing."""
    if not settings.METRICS_TOKEN:
        return False
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
