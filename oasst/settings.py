"""All settings of the site, read from the environment through `oasst.env`.

docs/operations.md documents the variables. `oasst.checks` reports wrong combinations.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.templatetags.static import static

from oasst import env
from oasst.core import server_urls
from oasst.embedded import postgres, redis

BASE_DIR = Path(__file__).resolve().parent.parent
OASST_HOME = Path(env.text("OASST_HOME") or BASE_DIR / "var").expanduser().resolve()

DEBUG = env.switch("DEBUG", False)
PORT = env.integer("PORT", 8000, minimum=1, maximum=65_535)
WEB_PROCESSES = env.integer("WEB_PROCESSES", 1, minimum=1)
WORKER_THREADS = env.integer("WORKER_THREADS", 2, minimum=1)
PUBLIC_URL = (env.text("PUBLIC_URL") or f"http://localhost:{PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)


# Made once and kept in OASST_HOME, readable only by its owner.
SECRET_KEY = env.text("SECRET_KEY") or env.kept_secret(OASST_HOME / "secret-key")
# Older keys, newest first: what they signed or hashed stays valid.
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
IS_LOCAL = server_urls.is_local(PUBLIC_URL)
# Number of our own proxies in front of the site: that many entries at the end of X-Forwarded-For are trusted.
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 0)
# With a TLS proxy in front, only the proxy may reach the port: anybody else could forge that header.
_is_behind_proxy = _public.scheme == "https" and TRUSTED_PROXIES > 0
BIND_ADDRESS = env.text("BIND_ADDRESS") or ("127.0.0.1" if IS_LOCAL or _is_behind_proxy else "0.0.0.0")
# Connections that one address may hold open in one web process; 0 means no limit. Not counted: connections from this
# machine, and any behind proxies, which limit their clients themselves (oasst.core.http.connection_limits).
CONNECTIONS_PER_ADDRESS = env.integer("CONNECTIONS_PER_ADDRESS", 200)
# Required to read /metrics. `up` keeps one in OASST_HOME; without a token nobody can read them.
KEPT_METRICS_TOKEN = OASST_HOME / "metrics-token"
METRICS_TOKEN = env.text("METRICS_TOKEN") or (
    KEPT_METRICS_TOKEN.read_text().strip() if KEPT_METRICS_TOKEN.exists() else ""
)
# The first password and key, until the first administrator signs in.
FIRST_RUN_FILE = OASST_HOME / "first-run.txt"
ALLOWED_HOSTS = sorted({_public.hostname or "localhost", "localhost", "127.0.0.1", "[::1]"})
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# Sites, with their subdomains, to which links in texts lead without a page in between.
DIRECT_LINK_DOMAINS = tuple(
    domain.lower()
    for domain in env.words("DIRECT_LINK_DOMAINS") or ["wikipedia.org", "wikimedia.org", "wiktionary.org"]
)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _public.scheme == "https" else None
SECURE_HSTS_SECONDS = 31_536_000 if _public.scheme == "https" else 0
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "oasst.core.http.error_views.csrf_failure"
SILENCED_SYSTEM_CHECKS = [
    # Email addresses are unique by a constraint on their lower case, which the check does not see.
    "auth.W004",
    # Subdomains and preload lists affect the whole domain, so its owner must decide.
    "security.W005",
    "security.W021",
    # The TLS proxy redirects. A redirect here would loop if the proxy does not set X-Forwarded-Proto.
    "security.W008",
]

INSTALLED_APPS = [
    "daphne",
    # Before the admin, whose templates it replaces. Its full AppConfig would replace our admin site.
    "unfold.apps.BasicAppConfig",
    "oasst.site.admin_config.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_celery_beat",
    "django_htmx",
    "django_prometheus",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "oasst.core",
    "oasst.accounts",
    "trees",
    "tasks",
    "leaderboard",
    "inference",
    "oasst.site",
    "oasst.simulation",
]


def _providers() -> dict[str, dict[str, Any]]:
    """Return the sign-in providers whose client id and secret are set."""
    credentials = {
        "google": (env.text("GOOGLE_CLIENT_ID"), env.text("GOOGLE_CLIENT_SECRET")),
        "discord": (env.text("DISCORD_CLIENT_ID"), env.text("DISCORD_CLIENT_SECRET")),
        "github": (env.text("GITHUB_CLIENT_ID"), env.text("GITHUB_CLIENT_SECRET")),
    }
    providers: dict[str, dict[str, Any]] = {}
    for name, (client_id, secret) in credentials.items():
        if bool(client_id) != bool(secret):
            raise env.BadVariable(f"{name.upper()}_CLIENT_ID and {name.upper()}_CLIENT_SECRET belong together")
        if client_id:
            # These providers verify email addresses, so a known address means the same user.
            providers[name] = {"APPS": [{"client_id": client_id, "secret": secret}], "EMAIL_AUTHENTICATION": True}
    if "github" in providers:
        providers["github"]["SCOPE"] = ["user:email"]
    return providers


SOCIALACCOUNT_PROVIDERS = _providers()
INSTALLED_APPS += [f"allauth.socialaccount.providers.{name}" for name in SOCIALACCOUNT_PROVIDERS]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "oasst.core.http.middleware.RequestLog",
    "oasst.core.http.middleware.ContentSecurityPolicy",
    "oasst.core.http.middleware.PermissionsPolicy",
    "oasst.core.http.middleware.PrivateCacheControl",
    "oasst.api.cors.ChatCors",
    "django.middleware.security.SecurityMiddleware",
    "oasst.core.http.compression.Compression",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "oasst.core.http.middleware.MissingSlash",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "oasst.accounts.authentication.known_devices.KnownDeviceCookie",
    "oasst.core.http.middleware.RefuseNullCharacters",
    "oasst.core.http.middleware.PagesForEmptyErrors",
    "oasst.core.http.middleware.LoginRedirects",
    "oasst.accounts.site_settings.middleware.SiteModes",
    "oasst.accounts.time_zones.UserTimeZone",
    "oasst.accounts.access_middleware.AccessMiddleware",
    "oasst.accounts.authentication.double_submit.DoubleSubmit",
    "oasst.core.http.middleware.ErrorPages",
    "oasst.core.http.middleware.ResponseMetrics",
]

ROOT_URLCONF = "oasst.urls"
MESSAGE_STORAGE = "oasst.core.http.message_storage.MessageStorage"
ASGI_APPLICATION = "oasst.asgi.application"
# The API accepts paths with and without the slash; our own middleware redirects pages.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "inference.context_processors.chat",
                "oasst.accounts.context_processors.mail",
                "oasst.site.context_processors.shell",
                "oasst.core.http.kept_forms.context",
            ],
        },
    },
]


# Locks are held for milliseconds. A request that waits this long gets "busy" (oasst.core.locks).
LOCK_TIMEOUT = "-c lock_timeout=10s"


def _database() -> dict[str, Any]:
    """Return DATABASE_URL as settings, else the embedded server. The sum of all pools must fit max_connections."""
    url = env.text("DATABASE_URL")
    server = server_urls.parse_database_url(url) if url else postgres.database_settings(OASST_HOME)
    options = server.pop("OPTIONS", {})
    return {
        "ENGINE": "django.db.backends.postgresql",
        **server,
        "CONN_MAX_AGE": 0,
        # Otherwise a server restart costs one failed request for each pooled connection.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # Under load, requests wait for a connection; after 20 seconds they get "busy".
            "pool": {"min_size": 1, "max_size": env.integer("DATABASE_POOL", 8, minimum=1), "timeout": 20},
            # So high that nothing is prepared automatically: only oasst.core.prepared does so.
            "prepare_threshold": 1_000_000_000,
            **options,
            "options": f"{LOCK_TIMEOUT} {options.get('options', '')}".strip(),
        },
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis = server_urls.parse_redis_url(env.text("REDIS_URL") or redis.url(OASST_HOME))
REDIS_URL = _redis.url
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            # Without Redis, pages get slower but still work.
            "IGNORE_EXCEPTIONS": True,
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 1,
            # The default, pickle, executes code from what it reads.
            "CLIENT_CLASS": "oasst.core.json_cache.JsonClient",
            "SERIALIZER": "oasst.core.json_cache.StrictJson",
        },
        "KEY_PREFIX": "oasst",
        # Version 1 held pickles: a process of an older release that still runs would fail on our values.
        "VERSION": 2,
    }
}
SESSION_ENGINE = "oasst.accounts.authentication.sessions"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "serializer_format": "msgpack"},
    }
}

CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = _redis.broker_url, _redis.broker_ssl
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# By default Celery redelivers the jobs of a killed worker only after an hour.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **_redis.broker_options,
    "visibility_timeout": 600,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_REDIRECT_STDOUTS = False
# Jobs that read outbox events (trees.outbox.publishing), by the name of their bookmark. Each commit with an event wakes
# them.
OUTBOX_READERS = {
    "tallied": "leaderboard.jobs.count_what_happened",
    "told": "trees.jobs.send_webhooks",
    "noticed": "oasst.site.notices.jobs.write_notices",
}
# The job that queues new texts for machines; each commit with one wakes it.
TEXT_READER = "trees.jobs.queue_unread_texts"
# Jobs that moved since the last release: its processes may still ask for the old name.
MOVED_JOBS = {
    "oasst.purge.go_on_with_purge": "oasst.site.purging.go_on_with_purge",
    "trees.notices.mail_about_withdrawal": "trees.moderation.notices.mail_about_withdrawal",
    "trees.notices.mail_author": "trees.moderation.notices.mail_author",
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/dashboard/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# People with one of these addresses become administrator or moderator at their next sign-in.
ADMIN_EMAILS = [email.lower() for email in env.words("ADMIN_EMAILS")]
MODERATOR_EMAILS = [email.lower() for email in env.words("MODERATOR_EMAILS")]
# The same by account at another service, as provider:id, for example discord:80351110224678912.
ADMIN_USERS = env.words("ADMIN_USERS")
MODERATOR_USERS = env.words("MODERATOR_USERS")

ACCOUNT_ADAPTER = "oasst.accounts.authentication.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "oasst.accounts.authentication.adapters.SocialAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS = 5
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = 3
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _public.scheme
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 10
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
# allauth's limits live in the cache and lock everybody out without Redis. Ours replace them
# (oasst.accounts.authentication.adapters).
ACCOUNT_RATE_LIMITS = False
# A mail about each change warns users about changes that they did not make.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True

# Who must use a second factor: nobody, or moderators and administrators.
# Whether a proof of work is needed before a code is mailed: never, when many are asked for from one address, or always.
SIGN_IN_PROOF = env.choice("SIGN_IN_PROOF", ("auto", "off", "always"), "auto")
REQUIRE_MFA = env.choice("REQUIRE_MFA", ("off", "staff"), "off")
MFA_ADAPTER = "oasst.accounts.authentication.second_factor.SecondFactorAdapter"
ACCOUNT_FORMS = {
    "login": "oasst.accounts.forms.SignInForm",
    "add_email": "oasst.accounts.forms.AddAddressForm",
    "reset_password": "oasst.accounts.forms.ForgotPasswordForm",
}
MFA_FORMS = {
    "authenticate": "oasst.accounts.authentication.second_factor_forms.SecondFactorForm",
    "reauthenticate": "oasst.accounts.authentication.second_factor_forms.SecondFactorAgainForm",
    "activate_totp": "oasst.accounts.authentication.second_factor_forms.SetUpAppForm",
    "authenticate_webauthn": "oasst.accounts.authentication.second_factor_forms.KeyForm",
    "reauthenticate_webauthn": "oasst.accounts.authentication.second_factor_forms.KeyAgainForm",
    "add_webauthn": "oasst.accounts.authentication.second_factor_forms.AddKeyForm",
    "edit_webauthn": "oasst.accounts.authentication.second_factor_forms.RenameKeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = f"oasst {_public.hostname}"
# Phone clocks may be off by some seconds, so the previous and the next code count too.
MFA_TOTP_TOLERANCE = 1
# Sign-in already requires one verified address; a second one may still be unverified.
MFA_ALLOW_UNVERIFIED_EMAIL = True

SENDS_MAIL = bool(env.text("EMAIL_URL"))
EMAIL_BACKEND = "oasst.accounts.mail.LogBackend"
if SENDS_MAIL:
    _smtp = server_urls.parse_email_url(env.text("EMAIL_URL"))
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT = _smtp["host"], _smtp["port"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _smtp["user"], _smtp["password"]
    EMAIL_USE_SSL, EMAIL_USE_TLS = _smtp["ssl"], _smtp["tls"]
    EMAIL_TIMEOUT = _smtp["timeout"]
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM") or f"oasst <noreply@{_public.hostname}>"
# Shown to suspended users and in the terms. If empty, the pages tell them to ask a moderator.
CONTACT_EMAIL = env.text("CONTACT_EMAIL")
# Who runs this installation, for the about page, and links of the footer; unset ones are left out.
OPERATOR_NAME = env.text("OPERATOR_NAME")
OPERATOR_URL = env.address("OPERATOR_URL")
SOURCE_URL = env.address("SOURCE_URL")
COMMUNITY_URL = env.address("COMMUNITY_URL")
# Where faults are reported; {request_id} in it is replaced. If empty, CONTACT_EMAIL.
REPORT_FAULT_URL = env.address("REPORT_FAULT_URL")
# A JSON file with the people of the team page (docs/operations.md). If empty, there is no team page in the menus.
TEAM_FILE = env.text("TEAM_FILE")

REST_FRAMEWORK = {
    # For plain views; operations get theirs from `policies` of their view.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oasst.api.authentication.RefuseOtherSites",
        "oasst.api.authentication.ApiKeyAuthentication",
        "oasst.api.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["oasst.api.permissions.HasKeyOrToken"],
    "DEFAULT_THROTTLE_CLASSES": ["oasst.api.throttling.ClientWrites"],
    "DEFAULT_PARSER_CLASSES": ["oasst.api.parsers.LenientJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["oasst.api.renderers.CompactJsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "oasst.api.renderers.FixedNegotiation",
    "EXCEPTION_HANDLER": "oasst.api.exceptions.handle",
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = OASST_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}


def _static(path: str) -> Any:
    """Return a function for the URL of a static file. Called per request, because settings load before the manifest."""
    return lambda request: static(path)


# oasst.site.admin_site decides what the admin contains; templates/unfold/layouts/skeleton.html is its document.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "oasst moderation",
    "SITE_HEADER": "oasst moderation",
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _static("img/favicon.svg")}],
    "STYLES": [
        _static(f"css/{name}.css") for name in ("variables", "diff", "person", "prose", "code", "first-steps", "admin")
    ],
    "SCRIPTS": [_static("js/count.js"), _static("js/admin.js")],
    "SHOW_BACK_BUTTON": True,
    "SIDEBAR": {"navigation": "oasst.site.admin_site.navigation"},
}

RATE_LIMITS = env.switch("RATE_LIMITS", True)
# Rates that replace those of oasst.core.ratelimit, by rule name.
LIMITS = env.rates("LIMITS")


def _root_tokens(text: str) -> list[str]:
    """Parse ROOT_TOKENS, a JSON list of strings in the format of Open-Assistant."""
    try:
        tokens = json.loads(text or "[]")
    except ValueError:
        tokens = None
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise env.BadVariable('ROOT_TOKENS must be a JSON list of strings, such as ["a-long-secret"]')
    return tokens


# API keys; unset means none. The well-known key 1234 has its own rules (oasst.accounts.development_key).
OFFICIAL_WEB_API_KEY = env.text("OFFICIAL_WEB_API_KEY")
ROOT_TOKENS = _root_tokens(env.text("ROOT_TOKENS"))
# Pages of these sites may read the data API from a browser; * means all.
CORS_ORIGINS = env.origins("CORS_ORIGINS")
# Pages of these sites may use /v1 and /inference, with a token of the user.
CHAT_CORS_ORIGINS = env.origins("CHAT_CORS_ORIGINS")
API_REQUIRES_TERMS = env.switch("API_REQUIRES_TERMS", False)
# The secret of a NextAuth site that shares sign-ins with this one.
AUTH_SECRET = env.text("AUTH_SECRET")
TOXICITY_URL = env.text("TOXICITY_URL")
TOXICITY_FORM = env.choice("TOXICITY_FORM", ("huggingface", "perspective"), "huggingface")
TOXICITY_KEY = env.text("TOXICITY_KEY")
HUGGING_FACE_API_KEY = env.text("HUGGING_FACE_API_KEY")
# Webhooks go to public addresses only; developers can allow this machine.
WEBHOOKS_TO_LOOPBACK = env.switch("WEBHOOKS_TO_LOOPBACK", False)
# The secret behind the pseudonyms of snapshots. If empty, the first snapshot makes one and keeps it in this file.
SNAPSHOT_SALT = env.text("SNAPSHOT_SALT")
KEPT_SNAPSHOT_SALT = OASST_HOME / "snapshot-salt"
# Where snapshot_create writes a snapshot, in a folder of its name.
SNAPSHOT_FOLDER = OASST_HOME / "snapshots"
# Where everybody downloads published snapshots from: that folder, or a bucket to which they are uploaded.
_bucket_url = env.text("SNAPSHOT_STORAGE_URL")
SNAPSHOT_BUCKET = server_urls.parse_bucket_url(_bucket_url) if _bucket_url else None
# If empty, boto3 looks for other credentials, for example those of the machine.
AWS_ACCESS_KEY_ID = env.text("AWS_ACCESS_KEY_ID")
AWS_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY")
# The token of snapshot_push.
HF_TOKEN = env.text("HF_TOKEN")
# Overrides of trees.lifecycle.policy.TreePolicy, by field name, until administrators set the rules (trees.policies).
TREE_POLICY = env.overrides("TREE_POLICY")

# Machines read every message: its language, how toxic it is, personal data in it (trees.enrichment).
OASST_SCORING = env.switch("OASST_SCORING", True)
# The model that finds texts of similar meaning: a known name, owner/name on the Hugging Face Hub, or a folder. "none"
# turns it off; texts of similar wording are found all the same.
OASST_EMBEDDINGS = env.text("OASST_EMBEDDINGS") or "all-minilm-l6-v2"
# A folder with a classifier, for texts that TOXICITY_URL has no scores for.
OASST_TOXICITY_MODEL = env.text("OASST_TOXICITY_MODEL")

# A known name, owner/name on the Hugging Face Hub, or a folder. "none" turns chat off.
OASST_CHAT_MODEL = env.text("OASST_CHAT_MODEL") or "smollm2-135m-instruct"
# The model runs in the web process (inline), in `./manage.py run_engine`, or on an OpenAI-compatible server.
OASST_ENGINE = env.choice("OASST_ENGINE", ("inline", "worker", "remote"), "inline")
# The web process that holds this lock runs the inline engine; the others wait for it.
ENGINE_LOCK = OASST_HOME / "engine.lock"
ENGINE_URL = env.text("ENGINE_URL")
ENGINE_KEY = env.text("ENGINE_KEY")
# Of the server whose model compares answers in evaluations, see inference/evaluating/settings.py.
JUDGE_KEY = env.text("JUDGE_KEY")
# How many models one process keeps in memory at once. The default stays; the others give place to one another.
ENGINE_MODELS = env.integer("ENGINE_MODELS", 2, minimum=2)
ENGINE_DTYPE = env.choice("ENGINE_DTYPE", ("float32", "bfloat16", "float16"), "float32")
ENGINE_THREADS = env.integer("ENGINE_THREADS", 1, minimum=1)
ENGINE_SLOTS = env.integer("ENGINE_SLOTS", 16, minimum=1)
ENGINE_CACHE_TOKENS = env.integer("ENGINE_CACHE_TOKENS", 8192, minimum=256)
ENGINE_CONTEXT = env.integer("ENGINE_CONTEXT", 2048, minimum=128)
# Whether `up` runs `./manage.py run_trainer`, which trains what administrators ask for with `./manage.py train`.
OASST_TRAINING = env.switch("OASST_TRAINING", False)
TRAINING_THREADS = env.integer("TRAINING_THREADS", 1, minimum=1)
# A training ends before its checkpoints leave less than that on the disk.
TRAINING_LEAST_FREE_MB = env.integer("TRAINING_LEAST_FREE_MB", 1000)
# Overrides of inference.policy.ChatPolicy, by field name.
CHAT_POLICY: dict[str, Any] = {
    "answers_at_once": env.integer("CHAT_ANSWERS_AT_ONCE", 8, minimum=1),
    # Engines, and every user who waits in the queue, read the whole queue.
    "queue_limit": env.integer("CHAT_QUEUE", 200, minimum=2, maximum=2_000),
    "queue_seconds": env.integer("CHAT_QUEUE_SECONDS", 300, minimum=1, maximum=86_400),
    "answer_seconds": env.integer("CHAT_ANSWER_SECONDS", 300, minimum=1, maximum=86_400),
    "message_length": env.integer("CHAT_MESSAGE_LENGTH", 20_000, minimum=1),
}

LOGGING_CONFIG = "oasst.core.logs.configure"
LOGGING = {
    "level": env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    "style": env.choice("LOG_FORMAT", ("auto", "json", "human"), "auto"),
}
