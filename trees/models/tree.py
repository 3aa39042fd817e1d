"""A message tree, its state and how it got there."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from trees.hot import InsertOnlyManager, TreeManager
from trees.lifecycle.states import TABLE, State

STATE_CHOICES = [(state.value, state.value) for state in State]


class MessageTree(models.Model):
    """One conversation with all its branches. Its id is the id of its first prompt."""

    id = models.UUIDField(primary_key=True, editable=False)
    # The order of arrival. Exports follow it, so that a file keeps its order through import and export.
    number = models.BigIntegerField(
        unique=True,
        editable=False,
        db_default=models.Func(models.Value("trees_messagetree_number"), function="nextval"),
    )
    state = models.CharField(max_length=32, choices=STATE_CHOICES)
    halted_from = models.CharField(max_length=32, choices=STATE_CHOICES, blank=True)
    lang = models.CharField(max_length=32)
    # Copied from the policy when the tree is made: a new policy does not change running trees.
    goal_tree_size = models.PositiveIntegerField()
    max_depth = models.PositiveIntegerField()
    max_children_count = models.PositiveIntegerField()
    origin = models.CharField(max_length=1024, blank=True, help_text="The file that it was imported from.")
    license = models.CharField(
        max_length=256,
        blank=True,
        default="",
        db_default="",
        help_text="The SPDX license of its imported messages, as import_trees --license said. Without one, snapshots "
        "leave them out.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    state_since = models.DateTimeField(default=timezone.now, editable=False)
    won_prompt_lottery_at = models.DateTimeField(null=True, blank=True)

    objects = TreeManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in State]), name="tree_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(halted_from="") | models.Q(state=State.HALTED_BY_MODERATOR.value),
                name="tree_halted_from_only_when_halted",
            ),
        ]
        indexes = [
            # Each request for work counts the trees of a language by state; finished trees, most of the table, are left
            # out.
            models.Index(
                fields=["lang", "state"],
                condition=models.Q(
                    state__in=[
                        State.INITIAL_PROMPT_REVIEW.value,
                        State.PROMPT_LOTTERY_WAITING.value,
                        State.GROWING.value,
                        State.RANKING.value,
                    ]
                ),
                name="tree_supply",
            ),
            # The backlog of a language is activated in the order of arrival.
            models.Index(
                fields=["lang", "number"],
                condition=models.Q(state=State.BACKLOG_RANKING.value),
                name="tree_backlog",
            ),
            # The front page and practice reviews draw from the finished trees of a language.
            models.Index(
                fields=["lang", "number"],
                condition=models.Q(state=State.READY_FOR_EXPORT.value),
                name="tree_finished",
            ),
            # Export and statistics read one state in the order of arrival.
            models.Index(fields=["state", "number"], name="tree_by_state"),
            # /explore/ lists the conversations of a state, also of one language, newest first.
            models.Index(fields=["state", "created_at", "id"], name="tree_explored"),
            models.Index(fields=["state", "lang", "created_at", "id"], name="tree_explored_lang"),
        ]

    def __str__(self) -> str:
        return f"tree {self.id}"

    @property
    def active(self) -> bool:
        """Return True if people or jobs still work on it."""
        return TABLE[State(self.state)].active


class TreeTransition(models.Model):
    """One step of a tree between states: the history that admin, statistics and the tree page show."""

    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="transitions")
    # Empty for the first one, when the tree was created in `to_state`.
    from_state = models.CharField(max_length=32, choices=STATE_CHOICES, blank=True)
    to_state = models.CharField(max_length=32, choices=STATE_CHOICES)
    reason = models.CharField(max_length=500)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now(), editable=False)

    objects = InsertOnlyManager()

    class Meta:
        indexes = [models.Index(fields=["to_state", "at"], name="transition_flow")]

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}"
