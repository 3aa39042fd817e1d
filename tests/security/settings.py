"""Settings of the servers behind nginx: the database of the test run, everything else as in a fresh installation."""

from tests.crash.settings import *  # noqa: F403

RATE_LIMITS = True
SENDS_MAIL = False
