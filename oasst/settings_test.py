"""Settings for tests: their own home and Redis database, cheap password hashing, plain static files."""

import os
from pathlib import Path

# Before the settings read it, and only once: the workers of pytest-xdist inherit the environment.
if "OASST_TEST_HOME" not in os.environ:
    base = os.environ.get("OASST_HOME") or Path(__file__).resolve().parent.parent / "var"
    os.environ["OASST_TEST_HOME"] = str(Path(base).expanduser().resolve() / "tests")
os.environ["OASST_HOME"] = os.environ["OASST_TEST_HOME"]

from oasst.core.server_urls import parse_redis_url
from oasst.settings import *  # noqa: F403
from oasst.settings import CACHES, CHANNEL_LAYERS, DATABASES, REDIS_URL

# Tests that commit empty all tables afterwards, also those of the audit log, which forbids it otherwise.
_options = DATABASES["default"]["OPTIONS"]
_options["options"] = f"{_options.get('options', '')} -c oasst.may_truncate=on".strip()

# Each worker (gw0, gw1, …) empties its own Redis database after every test; database 0 is not touched.
_number = 1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
REDIS_URL = parse_redis_url(REDIS_URL, db=_number).url
CACHES["default"]["LOCATION"] = REDIS_URL
CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [REDIS_URL], "serializer_format": "msgpack"}
CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = "memory://", None
# To the test's outbox.
SENDS_MAIL = True
# Tests ask for many codes from one address.
SIGN_IN_PROOF = "off"
# Chat tests switch it on with a model of their own.
OASST_CHAT_MODEL = os.environ.get("OASST_CHAT_MODEL", "none")
OASST_EMBEDDINGS = "none"
TREE_POLICY = {}  # whatever the environment says

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
