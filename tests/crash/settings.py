"""Settings of server processes that a test starts and kills: the database of the test run, one broker for all."""

import os

from oasst.core.server_urls import parse_redis_url
from oasst.settings_test import *  # noqa: F403
from oasst.settings_test import DATABASES, OASST_HOME, REDIS_URL

# Set by the test that starts the process.
if name := os.environ.get("OASST_CRASH_DATABASE"):
    DATABASES["default"]["NAME"] = name
    # Tests that run in parallel have their own sites.
    ENGINE_LOCK = OASST_HOME / f"engine-{name}.lock"
_redis = parse_redis_url(REDIS_URL)
CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = _redis.broker_url, _redis.broker_ssl
# Trees that finish soon, so that the crowd meets every state while processes are killed.
TREE_POLICY = {"goal_tree_size": 6, "max_tree_depth": 2}
RATE_LIMITS = False
# Browsers use these servers too, and no test collects static files.
WHITENOISE_USE_FINDERS = True
# Mails as files, one for each.
if folder := os.environ.get("OASST_CRASH_MAILS"):
    SENDS_MAIL, EMAIL_BACKEND = True, "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = folder
