"""What the file with a person's own data contains: one JSON file for each `Part`.

Never in it: secrets and hashes of secrets, texts and names of other people, and which reviews were checks.
tests/site/test_own_data.py compares the parts with all foreign keys to users.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import Case, QuerySet, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from inference.models import Battle, Chat, ChatMessage, ChatReport, DraftChoice, Preset, Vote
from leaderboard.models import Standing, Tally
from oasst.accounts import acts as account_acts
from oasst.accounts.models import (
    AccountWarning,
    Acknowledgement,
    Appeal,
    Ban,
    Consent,
    Identity,
    ProgramSession,
    Token,
    User,
)
from oasst.core.audit.people import accounts_of
from oasst.core.models import AuditEntry
from oasst.site import acts as site_acts
from oasst.site.models import Notice, NoticeAccount
from tasks.models import Draft, Task
from trees import acts as tree_acts
from trees.models import (
    Donation,
    Message,
    Practice,
    Ranking,
    Reaction,
    Report,
    Review,
    ReviewerRecord,
    Revision,
    Skip,
    Withdrawal,
)
from trees.moderation import acts as moderation_acts

UNTOLD = frozenset(
    act.name
    for act in (
        *(tree_acts.MARK_GOLD, tree_acts.END_GOLD, moderation_acts.SETTLE),
        *(account_acts.PROPOSE_BAN, site_acts.PROPOSE_PURGE, site_acts.WITHDRAW_PURGE),
        *(site_acts.PROPOSE_MERGE, site_acts.WITHDRAW_MERGE),
    )
)
"""Acts that would tell a person which of their texts are checks, that somebody reported them, or what is undecided."""

_CONTESTANTS = {
    "left_answer_by": "left_model",
    "left_settings": "left_preset",
    "right_answer_by": "right_model",
    "right_settings": "right_preset",
}
"""Columns in the file, and in the table."""

Rows = Callable[[User], QuerySet[Any]]


@dataclass(frozen=True)
class Part:
    """A file of the archive: the rows of one table that are about the person, oldest first."""

    name: str
    about: Promise
    rows: Rows
    columns: tuple[str, ...] = ()
    """Lookups; the name in the file is the last part."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Lookup → its name in the file."""
    replaced: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """Name in the file → what to make of the value."""

    def lookups(self) -> dict[str, str]:
        """Return name in the file → lookup."""
        return {self.renamed.get(column, column): column for column in self.columns}


def _kind_as_shown(kind: str) -> str:
    """A check looks like any other review (decision 117)."""
    return Review.Kind.REVIEW if kind in Review.CHECKS else kind


PROFILE = (
    *(
        "id",
        "display_name",
        "email",
        "role",
        "duties",
        "moderated_languages",
        "created_at",
        "time_zone",
        "interface_language",
    ),
    *("contribution_languages", "work_language", "show_on_leaderboard", "daily_goal", "single_keys_off"),
    "terms_version",
    *("enabled", "ban_reason", "banned_at", "banned_until", "streak_started_at", "streak_days", "last_activity_at"),
)
"""Columns of the person's own row in profile.json."""

PARTS = (
    Part(
        "email_addresses",
        _("your e-mail addresses"),
        lambda user: EmailAddress.objects.filter(user=user),
        ("email", "verified", "primary"),
    ),
    Part(
        "linked_accounts",
        _("accounts elsewhere that you sign in with, and what those sites told us"),
        lambda user: SocialAccount.objects.filter(user=user),
        ("provider", "uid", "extra_data", "date_joined", "last_login"),
    ),
    Part(
        "names_at_programs",
        _("how programs that act for you name you"),
        lambda user: Identity.objects.filter(user=user),
        ("api_client__name", "auth_method", "username", "created_at"),
        {"api_client__name": "program"},
    ),
    Part(
        "second_factors",
        _("your second factors, without their secrets"),
        lambda user: Authenticator.objects.filter(user=user),
        ("type", "created_at", "last_used_at"),
    ),
    Part(
        "tokens",
        _("your tokens for programs, without the tokens"),
        lambda user: Token.objects.filter(user=user),
        ("name", "created_at", "expires_at", "last_used_at"),
    ),
    Part(
        "program_sign_ins",
        _("programs that you signed in with"),
        lambda user: ProgramSession.objects.filter(user=user),
        ("provider", "created_at", "ended_at"),
    ),
    Part(
        "consents",
        _("what you agreed to, and when"),
        lambda user: Consent.objects.filter(user=user),
        ("document", "version", "accepted_at", "withdrawn_at"),
    ),
    Part(
        "acknowledgement",
        _("the name under which you are thanked in public"),
        lambda user: Acknowledgement.objects.filter(user=user),
        ("name", "since"),
    ),
    Part(
        "suspensions",
        _("suspensions of your account"),
        lambda user: Ban.objects.filter(user=user),
        ("reason", "at", "until", "lifted_at", "lift_reason"),
    ),
    Part(
        "warnings",
        _("what moderators asked you to do otherwise"),
        lambda user: AccountWarning.objects.filter(user=user),
        ("reason", "about", "subject_id", "at", "confirmed_at", "withdrawn_at", "withdraw_reason"),
        {"subject_id": "message_id"},
    ),
    Part(
        "appeals",
        _("your appeals against suspensions and other decisions"),
        lambda user: Appeal.objects.filter(user=user),
        ("text", "status", "created_at", "decided_at", "answer"),
    ),
    Part(
        "messages",
        _("what you wrote for the data set, also what was removed or withdrawn since"),
        lambda user: Message.objects.filter(author=user),
        (
            *("id", "tree_id", "parent_id", "role", "lang", "text", "created_at", "consent"),
            *("review_result", "rank", "deleted", "withdrawn", "edited", "correction_of_id"),
        ),
    ),
    Part(
        "texts_of_messages",
        _("each version of a text that you wrote"),
        lambda user: Revision.objects.filter(author=user),
        ("message_id", "text", "created_at"),
    ),
    Part(
        "withdrawals",
        _("texts that you withdrew"),
        lambda user: Withdrawal.objects.filter(message__author=user),
        ("message_id", "reason", "status", "created_at", "decided_at", "answer"),
    ),
    Part(
        "reviews",
        _("your reviews and labels"),
        lambda user: Review.everything.filter(author=user).exclude(kind__in=Review.UNDONE.values()),
        ("id", "kind", "mode", "message_id", "labels", "created_at"),
        replaced={"kind": _kind_as_shown},
    ),
    Part(
        "rankings",
        _("your rankings, best first"),
        lambda user: Ranking.everything.filter(author=user),
        ("id", "parent_id", "ordered_ids", "not_rankable", "created_at"),
        {"parent_id": "message_id"},
    ),
    Part(
        "reactions",
        _("your reactions"),
        lambda user: Reaction.everything.filter(author=user),
        ("message_id", "emoji", "created_at", "withdrawn_at"),
    ),
    Part(
        "skips",
        _("messages that you did not want to work on"),
        lambda user: Skip.everything.filter(author=user),
        ("message_id", "kind", "reason", "note", "created_at"),
    ),
    Part(
        "reports",
        _("your reports about messages, and their outcome"),
        lambda user: Report.everything.filter(reporter=user),
        ("id", "message_id", "category", "text", "status", "outcome", "created_at", "handled_at"),
    ),
    Part(
        "tasks",
        _("tasks that you were given"),
        lambda user: Task.objects.filter(user=user),
        ("id", "kind", "lang", "status", "message_id", "skip_reason", "created_at", "finished_at"),
    ),
    Part(
        "drafts",
        _("what you began to write and have not sent"),
        lambda user: Draft.objects.filter(task__user=user),
        ("task_id", "body", "updated_at"),
    ),
    Part(
        "points",
        _("what you did, counted by hours and days, in UTC"),
        lambda user: Tally.objects.filter(person=user),
        ("start", "grain", "lang", "kind", "number"),
    ),
    Part(
        "boards",
        _("your scores on the leaderboards"),
        lambda user: Standing.objects.filter(person=user),
        ("frame", "lang", "points", "quality", "writing", "reviewing", "ranking", "updated_at"),
    ),
    Part(
        "reviewing",
        _("how often your reviews agreed with the outcome"),
        lambda user: ReviewerRecord.objects.filter(person=user),
        ("decided", "agreed", "finds", "spares"),
    ),
    Part(
        "chats",
        _("your chats with the assistant"),
        lambda user: Chat.objects.filter(user=user),
        (
            *("id", "title", "created_at", "modified_at", "hidden", "deleted_at", "allow_data_use"),
            *("system_prompt", "user_profile", "response_instructions", "model", "sampling"),
        ),
    ),
    Part(
        "chat_messages",
        _("the messages of your chats"),
        # Whose answers are compared is told after the decision.
        lambda user: ChatMessage.objects.filter(chat__user=user).annotate(
            answered_by=Case(When(chat__blind=True, then=None), default="turn__model")
        ),
        ("id", "chat_id", "parent_id", "role", "content", "created_at", "answered_by"),
        {"answered_by": "model"},
    ),
    Part(
        "battles",
        _("answers of the assistant that you compared"),
        lambda user: Battle.objects.filter(user=user).annotate(
            **{name: Case(When(chat__blind=True, then=None), default=column) for name, column in _CONTESTANTS.items()}
        ),
        ("chat_id", "left_id", "right_id", *_CONTESTANTS, "begun_at", "outcome", "why", "comment", "judged_at"),
    ),
    Part(
        "donations",
        _("chats that you gave to the data set"),
        lambda user: Donation.objects.filter(user=user),
        ("chat_id", "tree_id", "masked", "given_at"),
    ),
    Part(
        "chat_votes",
        _("your thumbs on answers of the assistant"),
        lambda user: Vote.objects.filter(user=user),
        ("message_id", "score", "voted_at"),
    ),
    Part(
        "chat_choices",
        _("answers of the assistant that you chose over others"),
        lambda user: DraftChoice.objects.filter(user=user),
        ("chosen_id", "chosen_at"),
    ),
    Part(
        "chat_reports",
        _("your reports about answers of the assistant"),
        lambda user: ChatReport.objects.filter(user=user),
        ("message_id", "kind", "reason", "created_at", "resolved_at", "outcome"),
    ),
    Part(
        "chat_presets",
        _("settings of the chat that you saved"),
        lambda user: Preset.objects.filter(user=user),
        ("name", "sampling", "created_at"),
    ),
    Part(
        "practice",
        _("your practice reviews"),
        lambda user: Practice.objects.filter(person=user),
        ("message_id", "example", "work", "lang", "compared", "agreed", "at"),
    ),
    Part(
        "acts_about_you",
        _("what the team did about you and what you wrote, when and why"),
        lambda user: AuditEntry.objects.filter(person__in=accounts_of(user.pk)).exclude(act__in=UNTOLD),
        ("act", "at", "text__reason"),
        {"text__reason": "reason"},
    ),
    Part(
        "acts_as_team",
        _("what you did as a moderator or administrator, when and why"),
        lambda user: AuditEntry.objects.filter(actor__in=accounts_of(user.pk)),
        ("act", "at", "target_type", "target_id", "text__reason"),
        {"text__reason": "reason"},
    ),
    Part(
        "notices",
        _("what you were told of your contributions"),
        lambda user: Notice.objects.filter(person=user),
        ("kind", "message_id", "level", "data", "created_at", "read_at", "mailed_at"),
    ),
    Part(
        "notice_settings",
        _("how you want to hear of it"),
        lambda user: NoticeAccount.objects.filter(person=user),
        ("muted", "digest", "digest_at"),
    ),
)

ELSEWHERE = {
    **dict.fromkeys(
        (
            *("accounts.Ban.actor", "accounts.Ban.lifted_by", "accounts.Appeal.decided_by", "admin.LogEntry.user"),
            *("accounts.AccountWarning.actor", "accounts.AccountWarning.withdrawn_by"),
            *("accounts.BanProposal.user", "accounts.BanProposal.proposer", "accounts.BanProposal.decided_by"),
            *("accounts.PurgeProposal.user", "accounts.PurgeProposal.proposer", "accounts.PurgeProposal.decided_by"),
            *("accounts.MergeProposal.destination", "accounts.MergeProposal.proposer"),
            "accounts.MergeProposal.decided_by",
            *("trees.TreeTransition.actor", "trees.GoldMessage.actor", "trees.Report.handled_by"),
            "trees.PracticeText.actor",
            *("trees.Deletion.actor", "trees.Deletion.undone_by", "trees.Proposal.decided_by"),
            *("trees.Withdrawal.decided_by", "trees.Purge.person", "trees.Purge.actor", "trees.Purge.undo_actor"),
            *("trees.PolicyVersion.created_by", "trees.PolicyVersion.put_in_force_by", "trees.PolicyRun.started_by"),
            *("trees.NearDuplicate.decided_by", "trees.Snapshot.created_by", "inference.ChatReport.resolved_by"),
            "inference.TrainingRun.asked_by",
            "trees.HardPrompt.decided_by",
            *("leaderboard.TrollStanding.person", "accounts.SiteSettings.changed_by"),
            *("site.BulkAct.moderator", "site.BulkAct.stopped_by", "site.BulkAct.undone_by"),
            *("site.DeskClaim.moderator", "site.DeskDecision.moderator", "site.Escalation.passed_by"),
        ),
        "what moderators and administrators do, which is about others too",
    ),
    **dict.fromkeys(
        (
            *("trees.Happening.actor", "trees.Happening.subject"),
            *("leaderboard.Place.person", "leaderboard.Moved.person", "leaderboard.Risen.person"),
        ),
        "made from the rows of the other parts",
    ),
    "accounts.SuspendedIdentity.user": "keyed hashes",
    "accounts.SignInLink.user": "a secret, for minutes",
    "accounts.ApiClient.person": "made for the tokens of this person",
    "trees.Opening.holder": "said by the open task",
    "trees.ReviewerSkill.person": "estimates that would show which reviews were checks",
    "inference.Turn.user": "said by the messages of the chat",
}
"""Foreign keys to users that no part covers → why. `User.notes` is left out too: it is written for moderators."""
