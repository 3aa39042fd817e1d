"""oasst: people build an assistant together. The Celery app is loaded here so that jobs find it."""

from oasst.celery import app as celery_app

__all__ = ["celery_app"]
