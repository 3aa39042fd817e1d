"""The Celery application.

`jobs.py` holds what a commit sets off, `schedules.py` what the clock sets off; `tasks` already means human
work here, so Celery's own default module name is not used.
"""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")

app = Celery("oasst", task_cls="oasst.core.jobs:Job")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")
app.autodiscover_tasks(related_name="schedules")


@signals.setup_logging.connect
def keep_our_logging(**_arguments: Any) -> None:
    """That somebody listens is enough: Celery then leaves the logging alone that the settings set up."""
