"""The Celery application.

`jobs.py` holds jobs that a commit starts, `schedules.py` jobs that the clock starts. Celery's default module name,
`tasks`, is not used because a task is human work here.
"""

import os
import sys
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")

app = Celery("oasst", task_cls="oasst.core.jobs:Job")
app.set_default()  # for every thread, even if something asked Celery for an app earlier
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")
app.autodiscover_tasks(related_name="schedules")


@signals.setup_logging.connect
def keep_our_logging(**_arguments: Any) -> None:
    """Celery leaves our logging alone as soon as this signal has a receiver."""


@signals.setup_logging.connect
def refuse_wrong_settings(**_arguments: Any) -> None:
    """Exit if a system check fails: Celery runs the checks but ignores errors. `up` checks before it starts us.

    This is the first signal in worker and clock. At the next ones they already connect to their servers.
    """
    if os.environ.get("CELERY_SKIP_CHECKS"):
        return
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check")
    except SystemCheckError as error:
        sys.exit(str(error))
