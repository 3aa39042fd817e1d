"""Users, API clients, the keys of both, bans, consents and sessions."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from oasst.accounts.groups import Duty, allows, groups_of
from oasst.accounts.names import NAME_ONCE, claim_name, free_name, friendly_name
from oasst.core.ids import uuid7
from oasst.core.text.lookalikes import SKELETON_LIMIT

if TYPE_CHECKING:
    from oasst.accounts.authentication.sessions import SessionStore


class Role(models.TextChoices):
    GENERAL = "general", "General"
    MODERATOR = "moderator", "Moderator"
    ADMIN = "admin", "Administrator"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str | None = None, password: str | None = None, **fields: Any) -> "User":
        """Return a new user. Raise IntegrityError for an address that is taken, and Invalid `name_taken`."""
        name = fields.pop("display_name", "")
        user = self.model(email=email.lower() if email else None, **fields)
        user.set_password(password)
        with transaction.atomic(using=self._db):
            if name:
                claim_name(user, name)
            user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        fields.setdefault("display_name", free_name(friendly_name()))
        return self.create_user(email, password, **{**fields, "role": Role.ADMIN})

    def get_by_natural_key(self, username: str | None) -> "User":
        # Not `iexact`, which also finds i by ı and so would allow more attempts to guess a password.
        return self.get(email=username.lower() if username else None)


DAILY_GOAL = 5  # until somebody chooses another; about a quarter of an hour of checking


class User(AbstractBaseUser):
    """A user. `email` is empty for users whom only an API client knows."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(null=True, blank=True, unique=True)
    display_name = models.CharField(max_length=256)
    # Only `accounts.names` writes these columns, together with the name. They have database defaults, because during a
    # rollout the previous release adds users without knowing them.
    name_skeleton = models.CharField(max_length=SKELETON_LIMIT, blank=True, default="", db_default="", editable=False)
    owns_name = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Nobody may choose one that looks like it."
    )
    # Without a database constraint, because its deferred checks would prevent a bulk load from dropping and recreating
    # constraints of the table.
    name_from = models.ForeignKey(
        "ApiClient",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    """The API client that gave the name; empty for a name that the user chose on the site."""
    # A copy, so that pages with many names need no join. Empty if the name can be shown alone.
    program_beside = models.CharField(max_length=256, blank=True, default="", db_default="", editable=False)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.GENERAL)
    # What administrators give besides the role; `groups` makes permissions of both.
    duties = ArrayField(models.CharField(max_length=16, choices=Duty.choices), default=list, db_default=[], blank=True)
    moderated_languages = ArrayField(
        models.CharField(max_length=32),
        default=list,
        db_default=[],
        blank=True,
        help_text="In which languages a moderator decides; empty means all.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    time_zone = models.CharField(max_length=64, default="UTC")
    interface_language = models.CharField(max_length=32, default="en")
    contribution_languages = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    # Chosen under "Work in"; empty means the first contribution language.
    work_language = models.CharField(max_length=32, blank=True, default="", db_default="", editable=False)

    # For speech input and for whoever hits keys by accident (WCAG 2.1.4); js/keys.js obeys it.
    single_keys_off = models.BooleanField(default=False, db_default=False, editable=False)

    enabled = models.BooleanField(default=True, help_text="Off means banned.")
    ban_reason = models.CharField(max_length=500, blank=True)
    banned_at = models.DateTimeField(null=True, blank=True)
    banned_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the ban ends by itself; empty if it does not."
    )
    # A copy, to check without a query: when the newest warning that this person has not confirmed was written.
    warned_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A banned user stays active and may sign in: the suspended page says why and whom to ask.
    is_active = models.BooleanField(default=True, help_text="Off means that the account was closed.")
    deleted_at = models.DateTimeField(null=True, blank=True)
    notes = models.CharField(max_length=1024, blank=True, help_text="Seen by moderators only.")
    show_on_leaderboard = models.BooleanField(default=True)
    daily_goal = models.PositiveSmallIntegerField(
        default=DAILY_GOAL, db_default=DAILY_GOAL, help_text="Pieces of work a day; 0 means no goal."
    )

    streak_started_at = models.DateTimeField(null=True, blank=True)
    streak_days = models.PositiveIntegerField(null=True, blank=True)
    last_activity_at = models.DateTimeField(null=True, blank=True)

    # Browsers that signed in before this time are not known any more (`authentication.known_devices`).
    devices_known_since = models.DateTimeField(null=True, blank=True, editable=False)

    # The version of the terms that the user agreed to: a copy of the newest Consent, to check without a query.
    terms_version = models.CharField(max_length=32, blank=True)

    # Set during a request of an API client for this user, never stored: the client is responsible for their consent,
    # unless API_REQUIRES_TERMS is on.
    vouched_for = False

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        permissions = [
            ("moderate", "Decides about texts and people"),
            ("administer", "Decides about moderators, rights and gold messages"),
            ("operate", "Decides about schedules, settings and programs"),
        ]
        constraints = [
            # Together with `unique`: one account per address, whatever its case.
            models.CheckConstraint(
                condition=models.Q(email=None) | models.Q(email=Lower("email")), name="user_email_lower_case"
            ),
            # Only for names that users chose: names from API clients are never refused, and older names stay.
            models.UniqueConstraint(fields=["name_skeleton"], condition=models.Q(owns_name=True), name=NAME_ONCE),
        ]
        indexes = [
            # The API pages users by display name.
            models.Index(fields=["display_name", "id"], name="user_by_display_name"),
            # Users with look-alike names, and their API clients.
            models.Index(
                fields=["name_skeleton", "name_from"],
                condition=~models.Q(name_skeleton=""),
                name="user_by_name_skeleton",
            ),
        ]

    def __str__(self) -> str:
        name = self.display_name or self.email or str(self.id)
        return f"{name} (through {self.program_beside})" if self.program_beside else name

    @property
    def first_language(self) -> str:
        """Return the language that the user contributes in by default."""
        return self.contribution_languages[0] if self.contribution_languages else "en"

    @property
    def working_language(self) -> str:
        """Return the language that the user chose to work in, if it is still one of theirs; else their first."""
        is_own = self.work_language in self.contribution_languages
        return self.work_language if is_own else self.first_language

    @property
    def group_names(self) -> list[str]:
        """Return the names of the user's permission groups; none while they are banned or their account is closed."""
        return groups_of(self.role, self.duties) if self.enabled and self.is_active else []

    @property
    def is_staff(self) -> bool:
        """Return True for everybody who may enter the admin."""
        return self.enabled and bool(groups_of(self.role, self.duties))

    @property
    def is_moderator(self) -> bool:
        """Return True for moderators and administrators who are not banned. It needs only columns that pages read with
        each name.
        """
        return self.enabled and self.role in (Role.MODERATOR, Role.ADMIN)

    @property
    def is_superuser(self) -> bool:
        return self.enabled and self.role == Role.ADMIN

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Return True if one of the user's groups has this permission (`oasst.accounts.groups`).

        Nobody may add, change or delete rows in the admin. Its actions call services, which check the actor themselves.
        """
        return any(allows(group, perm) for group in self.group_names)

    def has_perms(self, perm_list: list[str], obj: Any = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        """Return True if any page of this app is for the user. The pages themselves decide again."""
        models_of_app = apps.get_app_config(app_label).get_models()
        return any(self.has_perm(f"{app_label}.view_{model._meta.model_name}") for model in models_of_app)

    def get_full_name(self) -> str:
        """Return the name for the admin."""
        return str(self)


class Ban(models.Model):
    """A ban and its end, with actor and reason. Rows are never deleted.

    Without an actor it was the operator, or an API client that the reason names.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="bans")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    at = models.DateTimeField(default=timezone.now, editable=False)
    until = models.DateTimeField(null=True, help_text="Empty if it does not end by itself.")
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    lift_reason = models.CharField(max_length=500, blank=True)
    mailed = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="The user was told of it by mail."
    )

    class Meta:
        indexes = [
            # Those that may end by themselves now.
            models.Index(
                fields=["until"], condition=models.Q(lifted_at=None, until__isnull=False), name="ban_by_its_end"
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class SecondPersonProposal(models.Model):
    """A decision about a user that one member of staff proposes and another one must confirm."""

    LIFETIME = timedelta(days=7)

    class Outcome(models.TextChoices):
        OPEN = "open"
        CONFIRMED = "confirmed"
        WITHDRAWN = "withdrawn"
        REFUSED = "refused"

    proposer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    at = models.DateTimeField(default=timezone.now, editable=False)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.OPEN)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    refuse_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.reason

    @property
    def expires_at(self) -> datetime:
        return self.at + self.LIFETIME


class BanProposal(SecondPersonProposal):
    """A proposal to ban an administrator or to lift the ban, which another administrator must confirm."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="ban_proposals")
    lifts = models.BooleanField(default=False, help_text="Ends a ban instead of setting one.")


class PurgeProposal(SecondPersonProposal):
    """A proposal to purge a user, which another moderator or administrator must confirm."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="purge_proposals")


class MergeProposal(SecondPersonProposal):
    """A proposal to merge accounts of one person, which another moderator or administrator must confirm."""

    MOST_SOURCES = 3

    destination = models.ForeignKey(User, on_delete=models.CASCADE, related_name="merge_proposals")
    # Without foreign keys: merging moves what points to an account, but this has to go on naming the same ones.
    sources = ArrayField(models.UUIDField(), size=MOST_SOURCES, help_text="The accounts that are closed.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(sources__len__gte=1), name="merge_proposal_has_sources"),
        ]


class AccountWarning(models.Model):
    """What a moderator asks a user to do otherwise. The user is shown it until they confirm that they read it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="warnings")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    # What it is about: no foreign key, because messages are in a higher layer.
    about = models.CharField(max_length=200, blank=True, help_text="In words, such as the start of a text.")
    subject_id = models.UUIDField(null=True, help_text="The message that it is about, if there is one.")
    at = models.DateTimeField(default=timezone.now, editable=False)
    confirmed_at = models.DateTimeField(null=True, help_text="When the user confirmed that they read it.")
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    withdraw_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None, withdrawn_by=None)
                | models.Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False),
                name="warning_withdrawn_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class Appeal(models.Model):
    """What a user says against a suspension or another decision, and the answer of a moderator. Closing the account
    deletes it.

    Without `entry` it is about all bans that are in force, and the end of these is its end. With it, it is about the
    decision that this entry of the audit log records.
    """

    TEXT_LIMIT = 2000

    class Status(models.TextChoices):
        OPEN = "open", _("Waits for an answer")
        GRANTED = "granted", _("Granted")
        REFUSED = "refused", _("Refused")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="appeals")
    entry = models.ForeignKey("core.AuditEntry", on_delete=models.PROTECT, null=True, related_name="appeals")
    text = models.TextField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Empty if the operator or an API client ended the ban.
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    mailed = models.BooleanField(default=False, editable=False, help_text="The user was told the answer by mail.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(status="open", entry=None), name="appeal_open_once"
            ),
            models.UniqueConstraint(
                fields=["entry"], condition=models.Q(status="open"), name="appeal_open_once_for_each_decision"
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="appeal_decided_whole",
            ),
        ]
        indexes = [
            # The moderators' queue, oldest first.
            models.Index(fields=["created_at"], condition=models.Q(status="open"), name="appeal_queue"),
        ]

    def __str__(self) -> str:
        return f"appeal, {self.created_at:%Y-%m-%d %H:%M}"


class SuspendedIdentity(models.Model):
    """A keyed hash of an address or name of a suspended user (`suspensions`). Lifting the ban deletes it, but closing
    the account does not.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="suspended_identities")
    reason = models.CharField(max_length=500, blank=True)
    suspended_at = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="When it ends by itself; empty if it does not.")

    def __str__(self) -> str:
        return f"{self.digest[:8]}…"


class ApiClient(models.Model):
    """A program that acts for users: a bot, another site, an importer."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=256)
    admin_email = models.EmailField(blank=True)
    frontend_type = models.CharField(max_length=256, blank=True)
    enabled = models.BooleanField(default=True)
    trusted = models.BooleanField(default=False)
    # Set for the API client of a user's own tokens: it acts only for this user, and has no key.
    person = models.OneToOneField(
        User, on_delete=models.CASCADE, null=True, blank=True, editable=False, related_name="own_program"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Identity(models.Model):
    """A user as an API client names them. A user may have several, at several clients."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    api_client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="identities")
    auth_method = models.CharField(max_length=128)
    username = models.CharField(max_length=128)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["api_client", "auth_method", "username"], name="identity_once"),
        ]
        indexes = [
            # The API pages users by this name.
            models.Index(fields=["username", "user"], name="identity_by_username"),
        ]

    def __str__(self) -> str:
        return f"{self.auth_method}:{self.username}"


class Secret(models.Model):
    """A key, stored as its SHA-256. The secret itself is shown only once.

    A plain hash is enough, because 256 random bits cannot be guessed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=8, help_text="The first letters, to tell keys apart.")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @staticmethod
    def new_secret() -> str:
        return secrets.token_urlsafe(32)


class ApiKey(Secret):
    """A key of an API client. Two may be valid at once, for a change without downtime."""

    api_client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="keys")


class Token(Secret):
    """A user's own key, for API clients that act only as this user."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")


class SignInLink(Secret):
    """A link that signs in one user, once. A new link replaces the previous one."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="sign_in_link")


class MailedSignIn(Secret):
    """The link of a mail with a sign-in code. It signs in whoever owns the address, once; the account may be new."""

    NEXT_LIMIT = 2000

    email = models.EmailField()
    asked_from = models.CharField(
        max_length=100, blank=True, help_text="The browser that asked for the mail, in words."
    )
    next = models.CharField(max_length=NEXT_LIMIT, blank=True, help_text="The page to continue with.")

    class Meta:
        indexes = [
            # For removing those that are over.
            models.Index(fields=["expires_at"], name="mailed_sign_in_by_expiry"),
        ]


class ProgramSession(models.Model):
    """A program in which a user is signed in. Its access tokens name this row and end with it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="program_sessions")
    provider = models.CharField(max_length=32, help_text="Where the person proved who they are.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.provider} {self.created_at:%Y-%m-%d}"


class RefreshToken(Secret):
    """Valid for one new pair of tokens. A used one (`last_used_at`) stays until it expires, to detect a second use."""

    session = models.ForeignKey(ProgramSession, on_delete=models.CASCADE, related_name="refresh_tokens")


class Consent(models.Model):
    """What a user agreed to, and when. Rows may be withdrawn once, but are never deleted."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="consents")
    document = models.CharField(max_length=32)
    version = models.CharField(max_length=32)
    accepted_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "document", "version"],
                condition=models.Q(withdrawn_at=None),
                name="consent_in_force_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.version}"


class Acknowledgement(models.Model):
    """The name under which a user wants to be thanked in public. It exists while they want that.

    The `Consent` to it (`acknowledgements.DOCUMENT`) says since when, also after it was withdrawn.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="acknowledgement")
    name = models.CharField(max_length=100)
    since = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # The public list is in alphabetical order.
            models.Index(Lower("name"), "user", name="acknowledgement_by_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Session(AbstractBaseSession):
    """A session with its user, so that all sessions of a user can be ended."""

    # No foreign key, because a cached session may be written back after its user is deleted.
    account = models.UUIDField(null=True, db_index=True)

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        from oasst.accounts.authentication.sessions import SessionStore

        return SessionStore

    @classmethod
    def end_all_of(cls, user: User, *, but: str | None = None) -> None:
        """Sign the user out of every browser except the one with the session key `but`."""
        store = cls.get_session_store_class()
        for key in cls.objects.filter(account=user.pk).values_list("session_key", flat=True):
            if key != but:
                store(key).delete()
        user.devices_known_since = timezone.now()
        User.objects.filter(pk=user.pk).update(devices_known_since=user.devices_known_since)


class SiteSettings(models.Model):
    """What administrators set for the whole site while it runs. A row is never changed: the newest one is in force, and
    the others are the history. Without a row the defaults are in force.

    Only `site_settings.changing` adds rows, and `site_settings.reading` says what is in force.
    """

    announcement = models.CharField(
        _("announcement"), max_length=500, blank=True, help_text=_("People see it above every page; empty means none.")
    )
    announcement_url = models.CharField(
        _("its link"), max_length=500, blank=True, help_text=_("A page of this site (/data/), or an https address.")
    )
    announcement_until = models.DateTimeField(_("shown until"), null=True, blank=True)
    maintenance = models.BooleanField(
        _("maintenance"), default=False, help_text=_("Only the team can use the site; the API refuses everybody.")
    )
    maintenance_message = models.CharField(
        _("what people read meanwhile"), max_length=500, blank=True, help_text=_("Empty means a general sentence.")
    )
    maintenance_until = models.DateTimeField(
        _("expected end"), null=True, blank=True, help_text=_("Shown to people; it ends nothing by itself.")
    )
    ended = models.BooleanField(
        _("the project has ended"),
        default=False,
        help_text=_("No tasks any more: start page, dashboard and tasks lead to a closing page."),
    )
    ended_message = models.TextField(
        _("what the closing page says"), max_length=2000, blank=True, help_text=_("Empty means a general text.")
    )
    sign_up = models.BooleanField(
        _("new accounts"), default=True, help_text=_("Off: only people with an account can sign in.")
    )
    email_codes = models.BooleanField(
        _("sign-in by mailed code"), default=True, help_text=_("Off: passwords, other services and links remain.")
    )
    chat = models.BooleanField(
        _("chat"), default=True, help_text=_("Off: nobody can chat, neither on the site nor by the API.")
    )
    chat_drafts = models.BooleanField(
        _("several answers to a question"),
        default=True,
        db_default=True,
        help_text=_("Off: the chat answers each question once, which takes less of the machine."),
    )
    sign_in_proof = models.BooleanField(
        _("proof of work before mailed codes"),
        default=True,
        db_default=True,
        help_text=_("Off: many codes asked for from one address cost no computation; their limits remain."),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True, help_text=_("For the history."))
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    # Empty if the operator did it by a command.
    changed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("by")
    )

    class Meta:
        verbose_name = verbose_name_plural = _("site settings")

    def __str__(self) -> str:
        return str(_("Site settings"))
