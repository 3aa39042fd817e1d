"""The settings of this process that change what people see, with secrets masked. Variables set them, not the site."""

import json
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from oasst.core.redaction import MASKED

SHOWN = (
    *("PUBLIC_URL", "DEBUG", "RATE_LIMITS", "REQUIRE_MFA", "API_REQUIRES_TERMS", "SENDS_MAIL"),
    *("OASST_CHAT_MODEL", "OASST_ENGINE", "OASST_SCORING", "OASST_EMBEDDINGS", "OASST_TOXICITY_MODEL", "TREE_POLICY"),
)
SECRET = (
    *("SECRET_KEY", "ROOT_TOKENS", "OFFICIAL_WEB_API_KEY", "AUTH_SECRET", "METRICS_TOKEN", "ENGINE_KEY"),
    *("TOXICITY_KEY", "HUGGING_FACE_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"),
)


def process_settings() -> list[tuple[str, str]]:
    """Return (name, value) of each; of a secret only whether it is set."""
    known = [(name, _shown(getattr(settings, name))) for name in SHOWN]
    servers = [("DATABASE_URL", MASKED), ("REDIS_URL", MASKED)]
    return [*known, *servers, *((name, MASKED if getattr(settings, name) else _("not set")) for name in SECRET)]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _("on") if value else _("off")
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else _("not set")
    return str(value) or _("not set")
