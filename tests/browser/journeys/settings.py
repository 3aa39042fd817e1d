"""Settings of the web server of the journeys. EMAIL_URL of the environment leads to the mail catcher."""

from oasst.settings import EMAIL_BACKEND as EMAIL_BACKEND
from tests.crash.settings import *  # noqa: F403

TREE_POLICY = {"check_share": 0}  # every review is one of the message that the journey made
