"""The Celery application.

`jobs.py` holds what a commit sets off, `schedules.py` what the clock sets off; `tasks` already means human
work here, so Celery's own default module name is not used.
"""

import os
import sys
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")

app = Celery("oasst", task_cls="oasst.core.jobs:Job")
app.set_default()  # for every thread, whatever looked for an app before
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")
app.autodiscover_tasks(related_name="schedules")


@signals.setup_logging.connect
def keep_our_logging(**_arguments: Any) -> None:
    """That somebody listens is enough: Celery then leaves the logging alone that the settings set up."""


@signals.setup_logging.connect
def refuse_wrong_settings(**_arguments: Any) -> None:
    """Celery runs the checks and goes on whatever they say. `up` has checked before it starts us.

    This signal is the first of all, in worker and clock: the next ones come when they look for their servers already.
    """
    if os.environ.get("CELERY_SKIP_CHECKS"):
        return
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check")
    except SystemCheckError as error:
        sys.exit(str(error))
