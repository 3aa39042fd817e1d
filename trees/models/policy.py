"""The rules of trees as administrators set them, and their application to running trees. Package: `trees.policies`."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class PolicyVersion(models.Model):
    """Rules of one language, or of all without a rule of their own.

    It begins as a draft: what it would change. Putting it in force numbers it and fixes its rules, once and for all.
    The highest number of a language is in force, and the others are the history.
    """

    lang = models.CharField(_("language"), max_length=32, blank=True, help_text=_("Empty: every language."))
    # By rule. None: as it is without this rule, that is in every language, or by default.
    changes = models.JSONField(default=dict, blank=True)
    was = models.JSONField(default=dict, blank=True, help_text=_("What the changed rules were when it was drafted."))
    rules = models.JSONField(default=dict, blank=True, help_text=_("The rules that differ, since it is in force."))
    number = models.PositiveIntegerField(null=True, editable=False, unique=True)
    created_at = models.DateTimeField(_("drafted"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("by"),
    )
    in_force_at = models.DateTimeField(_("in force since"), null=True, editable=False)
    put_in_force_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("put in force by"),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    discarded_at = models.DateTimeField(_("discarded"), null=True, editable=False)

    class Meta:
        verbose_name = _("version of the parameters")
        verbose_name_plural = _("versions of the parameters")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number=None, in_force_at=None, rules={})
                | models.Q(number__isnull=False, in_force_at__isnull=False, discarded_at=None),
                name="policy_version_in_force_whole",
            )
        ]
        indexes = [
            # The newest of each language.
            models.Index(
                fields=["lang", "-number"], condition=models.Q(number__isnull=False), name="policy_version_newest"
            )
        ]

    def __str__(self) -> str:
        if self.number:
            return gettext("version %(number)d") % {"number": self.number}
        return gettext("draft %(number)d") % {"number": self.pk}

    @property
    def is_draft(self) -> bool:
        return self.number is None and self.discarded_at is None


class PolicyRun(models.Model):
    """One walk over the running trees: what rules would do there (a preview), or their application.

    `trees.policies.runs` does one tree after the other and counts in the same transaction, so that a killed job goes
    on where it was.
    """

    class Kind(models.TextChoices):
        PREVIEW = "preview", _("Preview")
        APPLY = "apply", _("Application")

    class Stage(models.TextChoices):
        RUNNING = "running", _("Under way")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", _("Done")
        FAILED = "failed", _("Ended because too much failed")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    stage = models.CharField(_("state"), max_length=8, choices=Stage.choices, default=Stage.RUNNING)
    version = models.ForeignKey(PolicyVersion, on_delete=models.CASCADE, related_name="runs", verbose_name=_("version"))
    lang = models.CharField(
        _("language"), max_length=32, blank=True, help_text=_("Empty: the trees of every language.")
    )
    rules = models.JSONField(
        default=dict, help_text=_("Of a preview: the rules by language. Others take those in force.")
    )
    sample = ArrayField(
        models.PositiveBigIntegerField(),
        null=True,
        size=10_000,
        help_text=_("The numbers of the trees that a preview looks at."),
    )
    running_trees = models.PositiveIntegerField(_("running conversations"), help_text=_("When it began."))
    to_do = models.PositiveIntegerField(_("of them it looks at"))
    position = models.BigIntegerField(default=-1, help_text=_("The number of the last tree that is done."))
    last = models.BigIntegerField(help_text=_("The highest number of a tree when it began."))
    counts = models.JSONField(default=dict, help_text=_("By language: what changes, and how often."))
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("by"),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    started_at = models.DateTimeField(_("begun"), default=timezone.now, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        verbose_name = _("run over the conversations")
        verbose_name_plural = _("runs over the conversations")
        constraints = [
            # Two would only wait for each other's trees.
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(kind="apply", stage="running"),
                name="policy_run_one_application",
            ),
            models.UniqueConstraint(
                fields=["version"],
                condition=models.Q(kind="preview", stage="running"),
                name="policy_run_one_preview",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.version_id}"

    @property
    def is_under_way(self) -> bool:
        return self.stage == self.Stage.RUNNING

    @property
    def done(self) -> int:
        """How many trees it has looked at."""
        return sum(one.get("trees", 0) + one.get("failed", 0) for one in self.counts.values())
