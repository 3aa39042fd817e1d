"""Every write that a user or an API client may make, with the rule that limits it or the reason why none does.

`test_limits.py` compares this with the URLs, the operations and the models: a new write without a row fails.
"""

from dataclasses import dataclass

from oasst.core import ratelimit as limit
from oasst.core.ratelimit import RateLimit


@dataclass(frozen=True)
class Write:
    rules: tuple[RateLimit, ...] = ()
    why: str = ""
    """The reason why it has no rule of its own."""


def limited_by(*rules: RateLimit) -> Write:
    return Write(rules)


def unlimited(why: str) -> Write:
    return Write(why=why)


READS = "reads only"
_TRUSTED = unlimited("a front end of our own: it answers for its people, and its key is the operator's")
_ROOT = unlimited("the operator, by a token of the settings; wrong ones are counted by address")
_STEP = unlimited("ends or undoes what is there, once: it cannot be done more often than that was made")

# --- /api/v1 ---
# For untrusted API clients CLIENT_WRITES also limits all of these together, which has a test of its own.

OPERATIONS: dict[str, Write] = {
    "POST /api/v1/tasks/": limited_by(
        *(limit.TASK_REQUESTS, limit.ASSISTANT_REPLY_REQUESTS, limit.PROMPTER_REPLY_REQUESTS),
        *(limit.TASK_REQUESTS_FROM_ADDRESS, limit.ANONYMOUS_TASK_REQUESTS, limit.NEW_PEOPLE_OF_CLIENT),
    ),
    "POST /api/v1/tasks/availability": limited_by(limit.NEW_PEOPLE_OF_CLIENT),
    "POST /api/v1/tasks/<task_id>/ack": unlimited("once for each task that was handed out"),
    "POST /api/v1/tasks/<task_id>/nack": limited_by(limit.SKIPS),
    "POST /api/v1/tasks/interaction": limited_by(
        *(limit.ANSWERS, limit.FREE_LABELS, limit.REPORTS),
        *(limit.REPORTS_OF_CLIENT, limit.NEW_PEOPLE_OF_CLIENT),
    ),
    "POST /api/v1/tasks/close": _STEP,
    "POST /api/v1/text_labels/": limited_by(
        *(limit.FREE_LABELS, limit.REPORTS, limit.ANSWERS),
        *(limit.REPORTS_OF_CLIENT, limit.NEW_PEOPLE_OF_CLIENT),
    ),
    "DELETE /api/v1/messages/<message_id>": _TRUSTED,
    "PUT /api/v1/messages/<message_id>/tree/state": _TRUSTED,
    "POST /api/v1/messages/<message_id>/edit": _TRUSTED,
    "PUT /api/v1/messages/<message_id>/undelete": _TRUSTED,
    "POST /api/v1/messages/<message_id>/emoji": limited_by(
        *(limit.REACTIONS, limit.REPORTS, limit.SKIPS),
        *(limit.REPORTS_OF_CLIENT, limit.NEW_PEOPLE_OF_CLIENT),
    ),
    "PUT /api/v1/users/<user_id>": _TRUSTED,
    "DELETE /api/v1/users/<user_id>": _TRUSTED,
    "POST /api/v1/frontend_users/": limited_by(limit.NEW_PEOPLE_OF_CLIENT),
    "DELETE /api/v1/users/<user_id>/messages": _TRUSTED,
    "DELETE /api/v1/frontend_users/<auth_method>/<username>/messages": _TRUSTED,
    "POST /api/v1/admin/flagged_messages/<message_id>/processed": _TRUSTED,
    "POST /api/v1/leaderboards/update": _TRUSTED,
    "POST /api/v1/leaderboards/update/<time_frame>": _TRUSTED,
    "POST /api/v1/stats/cached/update": _TRUSTED,
    "POST /api/v1/webhooks": limited_by(limit.WEBHOOK_CHANGES),
    "PUT /api/v1/webhooks/<webhook_id>": limited_by(limit.WEBHOOK_CHANGES),
    "DELETE /api/v1/webhooks/<webhook_id>": limited_by(limit.WEBHOOK_CHANGES),
    "POST /api/v1/webhooks/<webhook_id>/secret": limited_by(limit.WEBHOOK_CHANGES),
    "POST /api/v1/webhooks/<webhook_id>/ping": limited_by(limit.WEBHOOK_PINGS),
    "POST /api/v1/keys": limited_by(limit.NEW_KEYS),
    "PUT /api/v1/keys/<key_id>": _STEP,
    "DELETE /api/v1/keys/<key_id>": _STEP,
    "POST /api/v1/admin/api_client": _ROOT,
    "POST /api/v1/admin/purge_user/<user_id>": _TRUSTED,
    "POST /api/v1/admin/purge_user/<user_id>/messages": _TRUSTED,
    "POST /api/v1/admin/merge_users": _TRUSTED,
    # --- /inference ---
    "POST /inference/auth/trusted": _TRUSTED,
    "POST /inference/auth/logout": _STEP,
    "DELETE /inference/account/": unlimited("once: the account is gone"),
    "DELETE /inference/admin/refresh_tokens/<user_id>": _ROOT,
    "DELETE /inference/admin/users/<user_id>": _ROOT,
    "POST /inference/chats": limited_by(limit.NEW_CHATS_OF_CLIENTS),
    "POST /inference/chats/batch": limited_by(limit.NEW_CHATS_OF_CLIENTS),
    "POST /inference/chats/batch_delete": limited_by(limit.CHAT_CHANGES),
    "PUT /inference/chats/hide_all": limited_by(limit.CHAT_CHANGES),
    "PUT /inference/chats/<chat_id>": limited_by(limit.CHAT_CHANGES),
    "DELETE /inference/chats/<chat_id>": limited_by(limit.CHAT_CHANGES),
    "POST /inference/chats/<chat_id>/prompter_message": limited_by(limit.CHAT_MESSAGES),
    "POST /inference/chats/<chat_id>/assistant_message": limited_by(limit.CHAT_TURNS_OF_CLIENTS),
    "POST /inference/chats/<chat_id>/messages/<message_id>/stop": limited_by(limit.CHAT_STOPS),
    "POST /inference/chats/<chat_id>/messages/<message_id>/votes": limited_by(limit.CHAT_VOTES),
    "POST /inference/chats/<chat_id>/messages/<message_id>/message_evals": limited_by(limit.CHAT_VOTES),
    "POST /inference/chats/<chat_id>/messages/<message_id>/reports": limited_by(limit.CHAT_REPORTS),
}

OPERATIONS_THAT_WRITE_ON_GET: dict[str, Write] = {
    "GET /inference/auth/login/<provider>": limited_by(limit.PROVIDER_SIGN_INS),  # a session
    "GET /inference/auth/callback/<provider>": unlimited("once for each beginning, which has its limit"),
    "GET /inference/auth/callback/debug": unlimited("only with DEBUG"),
    "GET /inference/auth/refresh": limited_by(limit.REFRESHES),
}

# --- Pages ---

_SIGN_IN_MAIL = limited_by(
    *(limit.SIGN_IN_CODES_FROM_ADDRESS, limit.SIGN_IN_CODES_TO_MAILBOX),
    *(limit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL, limit.SIGN_IN_CODES_ON_KNOWN_DEVICE),
)
_CODES = limited_by(limit.CODES_FROM_ADDRESS, limit.CODES_ON_KNOWN_DEVICE, limit.TRIES_OF_ONE_CODE)
_PASSWORDS = limited_by(
    *(limit.PASSWORDS_FROM_ADDRESS, limit.PASSWORDS_FOR_ACCOUNT),
    *(limit.PASSWORDS_FOR_ACCOUNT_IN_ALL, limit.PASSWORDS_ON_KNOWN_DEVICE),
)
_SECOND_FACTOR = limited_by(
    *(limit.CODES_FROM_ADDRESS, limit.SECOND_FACTORS_FOR_ACCOUNT, limit.SECOND_FACTORS_ON_KNOWN_DEVICE),
)
_REDIRECT = unlimited("only leads elsewhere")
_SAMPLES = unlimited("shows samples: nothing is stored, whatever is sent")

PAGES: dict[str, Write | str] = {
    "": READS,
    "dashboard/": READS,
    "dashboard/work/": READS,
    "about/": READS,
    "team/": READS,
    "fault/": READS,
    "ended/": READS,
    "announcement/dismiss/": unlimited("sets a cookie"),
    "guidelines/": READS,
    "guidelines/<slug:slug>/": READS,
    "practice/": READS,
    "practice/<str:name>/": limited_by(limit.PRACTICE),
    "practice/order/<str:name>/": limited_by(limit.PRACTICE),
    "practice/accepted/<str:name>/": limited_by(limit.PRACTICE),
    "welcome/": limited_by(limit.PROFILE_CHANGES),
    "leaving/": READS,
    "robots.txt": READS,
    "sitemap.xml": READS,
    "sitemap-<slug:section>.xml": READS,
    "explore/": limited_by(limit.EXPLORING, limit.EXPLORING_FROM_ADDRESS),
    "terms/": READS,
    "terms/accept/": unlimited("one row for each version of the terms"),
    "privacy/": READS,
    "suspended/": READS,
    "suspended/appeal/": limited_by(limit.APPEALS),
    "me/decisions/<int:entry_id>/": READS,
    "me/decisions/<int:entry_id>/appeal/": limited_by(limit.APPEALS),
    "me/warning/": READS,
    "me/warning/confirm/": unlimited("marks a warning as read, once"),
    "me/data/": READS,
    "me/data/file/": limited_by(limit.OWN_DATA),
    "me/": limited_by(limit.PROFILE_CHANGES),
    "me/languages/": limited_by(limit.PROFILE_CHANGES),
    "me/time-zone/": limited_by(limit.PROFILE_CHANGES),
    "me/daily-goal/": limited_by(limit.PROFILE_CHANGES),
    "me/work-language/": limited_by(limit.PROFILE_CHANGES),
    "me/delete/": unlimited("once: the account is gone; a wrong word changes nothing"),
    "me/tokens/": limited_by(limit.NEW_TOKENS),
    "me/tokens/<uuid:token_id>/revoke/": _STEP,
    "me/programs/leave/": _STEP,
    "me/sign-in-again/": unlimited("signs out"),
    "me/present/": READS,
    "me/acknowledgement/": limited_by(limit.PROFILE_CHANGES),
    "me/reports/": READS,
    "thanks/": READS,
    "me/sessions/": READS,
    "me/sessions/end-others/": _STEP,
    "me/sessions/<str:handle>/end/": _STEP,
    "me/contributions/": READS,
    "me/points/": READS,
    "me/statistics/": READS,
    "me/notices/": READS,
    "me/notices/read/": unlimited("marks what is there as read, once"),
    "me/notices/settings/": limited_by(limit.PROFILE_CHANGES),
    "notices/stop/": limited_by(limit.WRONG_LINKS_FROM_ADDRESS),
    "accounts/login/": _PASSWORDS,
    "accounts/login/code/": limited_by(*_SIGN_IN_MAIL.rules, limit.SIGN_IN_CODES_WITHOUT_PROOF),
    "accounts/login/code/confirm/": _CODES,
    "accounts/login/link/": limited_by(limit.WRONG_LINKS_FROM_ADDRESS),
    "accounts/link/": limited_by(limit.WRONG_LINKS_FROM_ADDRESS),
    "accounts/signup/": _REDIRECT,
    "accounts/logout/": unlimited("signs out"),
    "accounts/inactive/": READS,
    "accounts/reauthenticate/": _PASSWORDS,
    "accounts/reauthenticate/code/": limited_by(*_SIGN_IN_MAIL.rules, *_CODES.rules),
    "accounts/2fa/": READS,
    "accounts/2fa/authenticate/": _SECOND_FACTOR,
    "accounts/2fa/reauthenticate/": _SECOND_FACTOR,
    "accounts/2fa/totp/activate/": _SECOND_FACTOR,
    "accounts/2fa/totp/deactivate/": _STEP,
    "accounts/2fa/recovery-codes/": READS,
    "accounts/2fa/recovery-codes/download/": READS,
    "accounts/2fa/recovery-codes/generate/": unlimited("new ones take the place of the old; asks for a fresh proof"),
    "accounts/2fa/webauthn/": READS,
    "accounts/2fa/webauthn/add/": limited_by(limit.SECOND_FACTOR_CHANGES),
    "accounts/2fa/webauthn/reauthenticate/": unlimited("a signature cannot be guessed; one row is marked as used"),
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": unlimited("one name of 60 letters; asks for a fresh proof"),
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": _STEP,
    "accounts/email/": _SIGN_IN_MAIL,
    "accounts/confirm-email/": READS,
    "accounts/password/change/": _PASSWORDS,
    "accounts/password/set/": unlimited("one column of somebody who is signed in"),
    "accounts/password/reset/": _SIGN_IN_MAIL,
    "accounts/password/reset/done/": READS,
    "accounts/password/reset/key/done/": READS,
    "accounts/confirm-email/<str:key>/": unlimited("needs the signed key of a mail"),
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$": unlimited("needs the signed key of a mail"),
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": unlimited("needs the key of a mail, once"),
    "accounts/3rdparty/": _STEP,
    "accounts/3rdparty/signup/": unlimited("needs the answer of another service, whose beginning has its limit"),
    "accounts/3rdparty/login/cancelled/": READS,
    "accounts/3rdparty/login/error/": READS,
    "accounts/social/login/cancelled/": _REDIRECT,
    "accounts/social/login/error/": _REDIRECT,
    "accounts/social/signup/": _REDIRECT,
    "accounts/social/connections/": _REDIRECT,
    "tasks/next/": limited_by(limit.TASK_REQUESTS, limit.ASSISTANT_REPLY_REQUESTS, limit.PROMPTER_REPLY_REQUESTS),
    "tasks/nothing/": READS,
    "tasks/preview/": limited_by(limit.PREVIEWS),
    "tasks/<uuid:task_id>/": limited_by(limit.ANSWERS),
    "tasks/<uuid:task_id>/similar/": limited_by(limit.HINTS),
    "tasks/<uuid:task_id>/give-back/": limited_by(limit.SKIPS),
    "tasks/<uuid:task_id>/skip/": limited_by(limit.SKIPS),
    "tasks/<uuid:task_id>/draft/": limited_by(limit.DRAFTS),
    "tasks/<uuid:task_id>/undo/": limited_by(limit.UNDOS),
    "me/reviews/<uuid:review_id>/": limited_by(limit.ANSWERS),
    "tasks/<uuid:task_id>/lease/": limited_by(limit.LEASES),
    "data/": READS,
    "data/<str:name>/": READS,
    "data/<str:name>/<path:path>": READS,
    "messages/<uuid:message_id>/": READS,
    "messages/<uuid:message_id>/text/": READS,
    "messages/<uuid:message_id>/markdown/": READS,
    "messages/<uuid:message_id>/label/": limited_by(limit.FREE_LABELS),
    "messages/<uuid:message_id>/react/": limited_by(limit.REACTIONS),
    "messages/<uuid:message_id>/report/": limited_by(limit.REPORTS),
    "messages/<uuid:message_id>/suggest/": limited_by(limit.SUGGESTIONS),
    "messages/<uuid:own_message_id>/personal-data/": limited_by(limit.MASKS),
    "messages/<uuid:own_message_id>/withdraw/": limited_by(limit.WITHDRAWALS),
    "messages/<uuid:own_message_id>/withdraw/undo/": limited_by(limit.WITHDRAWALS),
    "chat/": READS,
    "chat/all/": READS,
    "chat/new/": limited_by(limit.CHAT_TURNS),
    "chat/new/settings/": limited_by(limit.NEW_CHATS, limit.CHAT_CHANGES),
    "chat/new/preset/": limited_by(limit.NEW_CHATS, limit.CHAT_CHANGES),
    "chat/presets/<uuid:preset_id>/delete/": limited_by(limit.CHAT_CHANGES),
    "chat/messages/<uuid:message_id>/again/": limited_by(limit.CHAT_TURNS),
    "chat/messages/<uuid:message_id>/stop/": limited_by(limit.CHAT_STOPS),
    "chat/messages/<uuid:message_id>/look/": limited_by(limit.CHAT_CHANGES),
    "chat/messages/<uuid:message_id>/vote/": limited_by(limit.CHAT_VOTES),
    "chat/messages/<uuid:message_id>/report/": limited_by(limit.CHAT_REPORTS),
    "chat/battles/": READS,
    "chat/battles/begin/": limited_by(limit.CHAT_TURNS),
    "chat/battles/board/": READS,
    "chat/battles/<uuid:battle_id>/": READS,
    "chat/battles/<uuid:battle_id>/decide/": limited_by(limit.CHAT_VOTES),
    "chat/battles/<uuid:battle_id>/give-up/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/": READS,
    "chat/<uuid:chat_id>/give/": limited_by(limit.DONATIONS),
    "chat/<uuid:chat_id>/ask/": limited_by(limit.CHAT_TURNS),
    "chat/<uuid:chat_id>/rename/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/hide/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/delete/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/undelete/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/settings/": READS,
    "chat/<uuid:chat_id>/choose/": limited_by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/preset/": limited_by(limit.CHAT_CHANGES),
    "leaderboard/": READS,
    "statistics/": READS,
    "statistics/<slug:name>.csv": READS,
    "docs/": READS,
    "docs/chat/": READS,
    "docs/openai/": READS,
    "styleguide/": _SAMPLES,
    "styleguide/<slug:page>/": _SAMPLES,
    "healthz": READS,
    "readyz": READS,
    "metrics": READS,
    "v1/chat/completions": limited_by(limit.CHAT_TURNS_OF_CLIENTS),
    "v1/models": READS,
    "v1/openapi.json": READS,
    "v1/models/<path:name>": READS,
    "v1/": READS,
}
"""All but /admin/, where staff act one by one, each act with a reason and a log entry."""

SOMETIMES: dict[str, Write | str] = {
    "accounts/debug/": unlimited("only with DEBUG"),
    **{f"accounts/{name}/login/": limited_by(limit.PROVIDER_SIGN_INS) for name in ("google", "discord", "github")},
    **{
        f"accounts/{name}/login/callback/": unlimited("once for each beginning, which has its limit")
        for name in ("google", "discord", "github")
    },
    "accounts/google/login/token/": unlimited("needs a token that Google signed"),
}
"""Pages that settings enable."""

SOCKETS: dict[str, Write] = {
    "ws/chat/<uuid:message_id>/": limited_by(limit.CHAT_STOPS, limit.CHAT_LISTENS),
    "ws/bell/": limited_by(limit.BELL_LISTENS),
}

# --- Sizes ---

STORED: dict[str, str] = {
    "accounts.Appeal.text": "2,000; one that waits about each decision, and 14 days between two",
    "accounts.MergeProposal.sources": "three ids at most",
    "accounts.SiteSettings.ended_message": "2,000, by administrators",
    "accounts.User.contribution_languages": "20 tags of 32",
    "accounts.Session.session_data": "written by the site; a row for each sign-in, which have limits",
    "accounts.User.duties": "known ones, given by administrators",
    "accounts.User.moderated_languages": "tags of 32, given by administrators",
    "core.AuditText.reason": "500 characters; a row for each act of staff",
    "core.AuditText.before": "what one act changed: 60 kB in a conversation of 1,000 messages",
    "core.AuditText.after": "the same",
    "core.RepeatableWrite.answer": "one answer for each write with a key; forgotten by the clock",
    "core.WaitingJob.args": "ids, written by the site",
    "inference.Battle.why": "eight reasons of a list",
    "inference.BattleBoard.standing": "a line for each contestant, which administrators offer",
    "inference.BattleBoard.styles": "four numbers",
    "inference.Chat.response_instructions": "2,000 (ChatPolicy)",
    "inference.Chat.sampling": "known settings in ranges (inference.engine.sampling)",
    "inference.Chat.system_prompt": "2,000 (ChatPolicy)",
    "inference.Chat.user_profile": "2,000 (ChatPolicy)",
    "inference.ChatMessage.content": "20,000 a message, 2,000 messages and 2,000,000 in a chat (ChatPolicy)",
    "inference.Evaluation.gate": "of the operator's file: 100 rules of some words",
    "inference.Evaluation.reasons": "a sentence for each rule",
    "inference.Evaluation.report": "the operator's: figures by language, without the answers, which are in a file",
    "inference.ChatReport.reason": "2,000; a row for each report, of which REPORTS lets so many",
    "inference.Preset.sampling": "known settings in ranges; 50 presets a person",
    "inference.TrainingPoint.figures": "numbers; 2,000 points a training, and its validations",
    "inference.TrainingRun.config": "known settings in ranges (inference.training.config)",
    "inference.TrainingRun.figures": "numbers, written by the site",
    "inference.TrainingRun.funnels": "numbers, written by the site",
    "inference.Turn.prompt": "2,000 messages of 20,000, in a body of 2.5 MB; removed after an hour",
    "inference.Turn.sampling": "known settings in ranges",
    "inference.Turn.system_prompt": "copied from the chat",
    "inference.Turn.text": "the answer, as long as max_tokens and the context let it",
    "inference.Turn.token_ids": "as the text",
    "leaderboard.CachedStatistic.data": "numbers, written by the site",
    "leaderboard.Counted.counts": "numbers, written by the site",
    "tasks.Capacity.checked_kinds": "kinds of review",
    "tasks.Capacity.seconds": "numbers, written by the site",
    "tasks.Draft.body": "100,000 bytes, one for each task",
    "tasks.Task.reply_ids": "the replies to one message, as many as the policy lets grow",
    "tasks.Task.revision_ids": "as reply_ids",
    "trees.Deletion.message_ids": "the messages of one tree",
    "trees.Delivery.body": "ids and dates, written by the site; removed after 30 days",
    "trees.Donation.messages": "two ids for each message given, as many as a conversation is deep",
    "trees.HardPrompt.text": "500 of a question, and masks",
    "trees.HardPrompt.why": "three words of the site",
    "trees.Happening.data": "ids and words of the site",
    "trees.Message.emojis": "a number for each of the 11 emojis; those of a file are the operator's",
    "trees.Message.imported": "a file of the operator",
    "trees.Message.text": "the message_size_limit of the policy; 65,536 by an edit",
    "trees.Message.text_digest": "32 bytes",
    "trees.MessageReading.result": "scores and positions, written by the site; one row for each kind and text",
    "trees.PolicyRun.counts": "some numbers for each language, written by the site",
    "trees.PolicyRun.rules": "known rules in ranges, of each language, by administrators",
    "trees.PolicyRun.sample": "1,000 numbers",
    "trees.PolicyVersion.changes": "known rules in ranges, by administrators",
    "trees.PolicyVersion.rules": "as changes",
    "trees.PolicyVersion.was": "as changes",
    "trees.Purge.counts": "numbers, written by the site",
    "trees.PurgeStep.changed": "the messages of one tree",
    "trees.PurgeStep.counts": "numbers, written by the site",
    "trees.QualityModel.figures": "some numbers, written by the site",
    "trees.QualityModel.weights": "388 numbers",
    "trees.Ranking.ordered_ids": "the replies that were shown",
    "trees.Ranking.revision_ids": "as ordered_ids",
    "trees.Report.text": "2,000 of one person about one message, 10,000 through programs: all that they said",
    "trees.Review.labels": "a number for each known label; free ones replace those before",
    "trees.Revision.text": "as Message.text; a row for each edit by staff or a trusted program",
    "trees.Snapshot.card": "the files of the data card, compressed, by the operator's command",
    "trees.Snapshot.counts": "numbers, written by the site",
    "trees.Snapshot.filters": "options of the operator's command",
    "trees.Snapshot.manifest": "a row for each file, written by the site",
    "trees.Snapshot.withdrawn": "ids of withdrawn messages, written by the site",
    "trees.SnapshotChats.content": "200 rows, of messages with limits of their own",
    "trees.SnapshotChats.sha256": "32 bytes",
    "trees.SnapshotTree.content": "one tree, compressed, by the operator's command",
    "trees.SnapshotTree.sha256": "32 bytes",
    "trees.TextSketch.bands": "28 numbers",
    "trees.Webhook.events": "names of events, each once",
}
"""Columns without a maximum length → what limits their content."""

_LOOKED_UP = "is looked up and not stored; what was stored has at most 200 characters"
TAKEN: dict[str, str] = {
    "TextReply.message_id": _LOOKED_UP,
    "TextReply.user_message_id": "client_tasks.MAX_ID_LENGTH",
    "TextReply.text": "the message_size_limit of the policy",
    "Rating.message_id": _LOOKED_UP,
    "RankingAnswer.message_id": _LOOKED_UP,
    "CloseBody.message_id": _LOOKED_UP,
    "EditBody.new_content": "client_actions.LONGEST_EDIT",
    "Labelling.labels": "the known labels",
    "TextLabels.labels": "the known labels",
    "CreateAssistantMessage.used_plugin": "is not read; nested in 100 levels at most, like all bodies",
}
"""Members of bodies without a maximum length → what limits them. Lists always have a limit."""
