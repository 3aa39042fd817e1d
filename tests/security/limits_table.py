"""Every write that a person or a program may make, with the rule that limits it, or the reason why none does.

`test_limits.py` compares this with the URLs, the operations and the models: a new write without a row fails.
"""

from dataclasses import dataclass

from oasst.core import ratelimit as limit
from oasst.core.ratelimit import RateLimit


@dataclass(frozen=True)
class Write:
    rules: tuple[RateLimit, ...] = ()
    why: str = ""
    """Why no rule of its own."""


def by(*rules: RateLimit) -> Write:
    return Write(rules)


def free(why: str) -> Write:
    return Write(why=why)


READS = "reads only"
_TRUSTED = free("a front end of our own: it answers for its people, and its key is the operator's")
_ROOT = free("the operator, by a token of the settings; wrong ones are counted by address")
_STEP = free("ends or undoes what is there, once: it can not be done more often than that was made")

# --- /api/v1 ---
# Each is also limited as a whole for programs that are not trusted (PROGRAM_WRITES): a test of its own sees to that.

OPERATIONS: dict[str, Write] = {
    "POST /api/v1/tasks/": by(
        *(limit.TASK_REQUESTS, limit.ASSISTANT_REPLY_REQUESTS, limit.PROMPTER_REPLY_REQUESTS),
        *(limit.TASK_REQUESTS_FROM_ADDRESS, limit.TASK_REQUESTS_FOR_NOBODY, limit.NEW_PEOPLE_OF_PROGRAM),
    ),
    "POST /api/v1/tasks/availability": by(limit.NEW_PEOPLE_OF_PROGRAM),
    "POST /api/v1/tasks/<task_id>/ack": free("once for each task that was handed out"),
    "POST /api/v1/tasks/<task_id>/nack": by(limit.SKIPS),
    "POST /api/v1/tasks/interaction": by(
        *(limit.ANSWERS, limit.FREE_LABELS, limit.REPORTS),
        *(limit.REPORTS_OF_PROGRAM, limit.NEW_PEOPLE_OF_PROGRAM),
    ),
    "POST /api/v1/tasks/close": _STEP,
    "POST /api/v1/text_labels/": by(
        *(limit.FREE_LABELS, limit.REPORTS, limit.ANSWERS),
        *(limit.REPORTS_OF_PROGRAM, limit.NEW_PEOPLE_OF_PROGRAM),
    ),
    "DELETE /api/v1/messages/<message_id>": _TRUSTED,
    "PUT /api/v1/messages/<message_id>/tree/state": _TRUSTED,
    "POST /api/v1/messages/<message_id>/edit": _TRUSTED,
    "PUT /api/v1/messages/<message_id>/undelete": _TRUSTED,
    "POST /api/v1/messages/<message_id>/emoji": by(
        *(limit.REACTIONS, limit.REPORTS, limit.SKIPS),
        *(limit.REPORTS_OF_PROGRAM, limit.NEW_PEOPLE_OF_PROGRAM),
    ),
    "PUT /api/v1/users/<user_id>": _TRUSTED,
    "DELETE /api/v1/users/<user_id>": _TRUSTED,
    "POST /api/v1/frontend_users/": by(limit.NEW_PEOPLE_OF_PROGRAM),
    "DELETE /api/v1/users/<user_id>/messages": _TRUSTED,
    "DELETE /api/v1/frontend_users/<auth_method>/<username>/messages": _TRUSTED,
    "POST /api/v1/admin/flagged_messages/<message_id>/processed": _TRUSTED,
    "POST /api/v1/leaderboards/update": _TRUSTED,
    "POST /api/v1/leaderboards/update/<time_frame>": _TRUSTED,
    "POST /api/v1/stats/cached/update": _TRUSTED,
    "POST /api/v1/webhooks": by(limit.WEBHOOK_CHANGES),
    "PUT /api/v1/webhooks/<webhook_id>": by(limit.WEBHOOK_CHANGES),
    "DELETE /api/v1/webhooks/<webhook_id>": by(limit.WEBHOOK_CHANGES),
    "POST /api/v1/webhooks/<webhook_id>/secret": by(limit.WEBHOOK_CHANGES),
    "POST /api/v1/webhooks/<webhook_id>/ping": by(limit.WEBHOOK_PINGS),
    "POST /api/v1/keys": by(limit.NEW_KEYS),
    "PUT /api/v1/keys/<key_id>": _STEP,
    "DELETE /api/v1/keys/<key_id>": _STEP,
    "POST /api/v1/admin/api_client": _ROOT,
    "POST /api/v1/admin/purge_user/<user_id>": _TRUSTED,
    "POST /api/v1/admin/purge_user/<user_id>/messages": _TRUSTED,
    "POST /api/v1/admin/merge_users": _TRUSTED,
    # --- /inference ---
    "POST /inference/auth/trusted": _TRUSTED,
    "POST /inference/auth/logout": _STEP,
    "DELETE /inference/account/": free("once: the account is gone"),
    "DELETE /inference/admin/refresh_tokens/<user_id>": _ROOT,
    "DELETE /inference/admin/users/<user_id>": _ROOT,
    "POST /inference/chats": by(limit.NEW_CHATS_OF_PROGRAMS),
    "POST /inference/chats/batch": by(limit.NEW_CHATS_OF_PROGRAMS),
    "POST /inference/chats/batch_delete": by(limit.CHAT_CHANGES),
    "PUT /inference/chats/hide_all": by(limit.CHAT_CHANGES),
    "PUT /inference/chats/<chat_id>": by(limit.CHAT_CHANGES),
    "DELETE /inference/chats/<chat_id>": by(limit.CHAT_CHANGES),
    "POST /inference/chats/<chat_id>/prompter_message": by(limit.CHAT_MESSAGES),
    "POST /inference/chats/<chat_id>/assistant_message": by(limit.CHAT_TURNS_OF_PROGRAMS),
    "POST /inference/chats/<chat_id>/messages/<message_id>/stop": by(limit.CHAT_STOPS),
    "POST /inference/chats/<chat_id>/messages/<message_id>/votes": by(limit.CHAT_VOTES),
    "POST /inference/chats/<chat_id>/messages/<message_id>/message_evals": by(limit.CHAT_VOTES),
    "POST /inference/chats/<chat_id>/messages/<message_id>/reports": by(limit.CHAT_REPORTS),
}

OPERATIONS_THAT_WRITE_ON_GET: dict[str, Write] = {
    "GET /inference/auth/login/<provider>": by(limit.SIGN_INS_ELSEWHERE),  # a session
    "GET /inference/auth/callback/<provider>": free("once for each beginning, which has its limit"),
    "GET /inference/auth/callback/debug": free("only with DEBUG"),
    "GET /inference/auth/refresh": by(limit.REFRESHES),
}

# --- Pages ---

_SIGN_IN_MAIL = by(
    *(limit.SIGN_IN_CODES_FROM_ADDRESS, limit.SIGN_IN_CODES_TO_MAILBOX),
    *(limit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL, limit.SIGN_IN_CODES_ON_KNOWN_DEVICE),
)
_CODES = by(limit.CODES_FROM_ADDRESS, limit.CODES_ON_KNOWN_DEVICE, limit.TRIES_OF_ONE_CODE)
_PASSWORDS = by(
    *(limit.PASSWORDS_FROM_ADDRESS, limit.PASSWORDS_FOR_ACCOUNT),
    *(limit.PASSWORDS_FOR_ACCOUNT_IN_ALL, limit.PASSWORDS_ON_KNOWN_DEVICE),
)
_SECOND_FACTOR = by(
    *(limit.CODES_FROM_ADDRESS, limit.SECOND_FACTORS_FOR_ACCOUNT, limit.SECOND_FACTORS_ON_KNOWN_DEVICE),
)
_REDIRECT = free("only leads elsewhere")
_SAMPLES = free("shows samples: nothing is stored, whatever is sent")

PAGES: dict[str, Write | str] = {
    "": READS,
    "dashboard/": READS,
    "terms/": READS,
    "terms/accept/": free("one row for each version of the terms"),
    "privacy/": READS,
    "suspended/": READS,
    "me/": by(limit.PROFILE_CHANGES),
    "me/languages/": by(limit.PROFILE_CHANGES),
    "me/work-language/": by(limit.PROFILE_CHANGES),
    "me/delete/": free("once: the account is gone; a wrong word changes nothing"),
    "me/tokens/": by(limit.NEW_TOKENS),
    "me/tokens/<uuid:token_id>/revoke/": _STEP,
    "me/programs/leave/": _STEP,
    "me/sign-in-again/": free("signs out"),
    "me/present/": READS,
    "me/sessions/": READS,
    "me/sessions/end-others/": _STEP,
    "me/sessions/<str:handle>/end/": _STEP,
    "me/contributions/": READS,
    "me/points/": READS,
    "accounts/login/": _PASSWORDS,
    "accounts/login/code/": _SIGN_IN_MAIL,
    "accounts/login/code/confirm/": _CODES,
    "accounts/link/": by(limit.WRONG_LINKS_FROM_ADDRESS),
    "accounts/signup/": _REDIRECT,
    "accounts/logout/": free("signs out"),
    "accounts/inactive/": READS,
    "accounts/reauthenticate/": _PASSWORDS,
    "accounts/reauthenticate/code/": by(*_SIGN_IN_MAIL.rules, *_CODES.rules),
    "accounts/2fa/": READS,
    "accounts/2fa/authenticate/": _SECOND_FACTOR,
    "accounts/2fa/reauthenticate/": _SECOND_FACTOR,
    "accounts/2fa/totp/activate/": _SECOND_FACTOR,
    "accounts/2fa/totp/deactivate/": _STEP,
    "accounts/2fa/recovery-codes/": READS,
    "accounts/2fa/recovery-codes/download/": READS,
    "accounts/2fa/recovery-codes/generate/": free("new ones take the place of the old; asks for a fresh proof"),
    "accounts/2fa/webauthn/": READS,
    "accounts/2fa/webauthn/add/": by(limit.SECOND_FACTOR_CHANGES),
    "accounts/2fa/webauthn/reauthenticate/": free("a signature can not be guessed; one row is marked as used"),
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": free("one name of 60 letters; asks for a fresh proof"),
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": _STEP,
    "accounts/email/": _SIGN_IN_MAIL,
    "accounts/confirm-email/": READS,
    "accounts/password/change/": _PASSWORDS,
    "accounts/password/set/": free("one column of somebody who is signed in"),
    "accounts/password/reset/": _SIGN_IN_MAIL,
    "accounts/password/reset/done/": READS,
    "accounts/password/reset/key/done/": READS,
    "accounts/confirm-email/<str:key>/": free("needs the signed key of a mail"),
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$": free("needs the signed key of a mail"),
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": free("needs the key of a mail, once"),
    "accounts/3rdparty/": _STEP,
    "accounts/3rdparty/signup/": free("needs the answer of another service, whose beginning has its limit"),
    "accounts/3rdparty/login/cancelled/": READS,
    "accounts/3rdparty/login/error/": READS,
    "accounts/social/login/cancelled/": _REDIRECT,
    "accounts/social/login/error/": _REDIRECT,
    "accounts/social/signup/": _REDIRECT,
    "accounts/social/connections/": _REDIRECT,
    "tasks/next/": by(limit.TASK_REQUESTS, limit.ASSISTANT_REPLY_REQUESTS, limit.PROMPTER_REPLY_REQUESTS),
    "tasks/nothing/": READS,
    "tasks/preview/": by(limit.PREVIEWS),
    "tasks/<uuid:task_id>/": by(limit.ANSWERS),
    "tasks/<uuid:task_id>/skip/": by(limit.SKIPS),
    "tasks/<uuid:task_id>/draft/": by(limit.DRAFTS),
    "tasks/<uuid:task_id>/lease/": by(limit.LEASES),
    "messages/<uuid:message_id>/": READS,
    "messages/<uuid:message_id>/react/": by(limit.REACTIONS),
    "messages/<uuid:message_id>/report/": by(limit.REPORTS),
    "messages/<uuid:message_id>/suggest/": by(limit.SUGGESTIONS),
    "messages/<uuid:own_message_id>/withdraw/": by(limit.WITHDRAWALS),
    "messages/<uuid:own_message_id>/withdraw/undo/": by(limit.WITHDRAWALS),
    "chat/": READS,
    "chat/all/": READS,
    "chat/new/": by(limit.CHAT_TURNS),
    "chat/new/settings/": by(limit.NEW_CHATS, limit.CHAT_CHANGES),
    "chat/new/preset/": by(limit.NEW_CHATS, limit.CHAT_CHANGES),
    "chat/presets/<uuid:preset_id>/delete/": by(limit.CHAT_CHANGES),
    "chat/messages/<uuid:message_id>/again/": by(limit.CHAT_TURNS),
    "chat/messages/<uuid:message_id>/stop/": by(limit.CHAT_STOPS),
    "chat/messages/<uuid:message_id>/look/": by(limit.CHAT_CHANGES),
    "chat/messages/<uuid:message_id>/vote/": by(limit.CHAT_VOTES),
    "chat/messages/<uuid:message_id>/report/": by(limit.CHAT_REPORTS),
    "chat/<uuid:chat_id>/": READS,
    "chat/<uuid:chat_id>/ask/": by(limit.CHAT_TURNS),
    "chat/<uuid:chat_id>/rename/": by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/hide/": by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/delete/": by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/undelete/": by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/settings/": READS,
    "chat/<uuid:chat_id>/choose/": by(limit.CHAT_CHANGES),
    "chat/<uuid:chat_id>/preset/": by(limit.CHAT_CHANGES),
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
    "v1/chat/completions": by(limit.CHAT_TURNS_OF_PROGRAMS),
    "v1/models": READS,
    "v1/openapi.json": READS,
    "v1/models/<path:name>": READS,
    "v1/": READS,
}
"""All but /admin/, where staff act one by one, each act for a reason and in a log."""

SOMETIMES: dict[str, Write | str] = {
    "accounts/debug/": free("only with DEBUG"),
    **{f"accounts/{name}/login/": by(limit.SIGN_INS_ELSEWHERE) for name in ("google", "discord", "github")},
    **{
        f"accounts/{name}/login/callback/": free("once for each beginning, which has its limit")
        for name in ("google", "discord", "github")
    },
    "accounts/google/login/token/": free("needs a token that Google signed"),
}
"""Pages that settings switch on."""

SOCKETS: dict[str, Write] = {"ws/chat/<uuid:message_id>/": by(limit.CHAT_STOPS, limit.CHAT_LISTENS)}

# --- Sizes ---

STORED: dict[str, str] = {
    "accounts.User.contribution_languages": "20 tags of 32",
    "accounts.Session.session_data": "written by the site; a row for each sign-in, which have limits",
    "core.RepeatableWrite.answer": "one answer for each write with a key; forgotten by the clock",
    "core.WaitingJob.args": "ids, written by the site",
    "inference.Chat.response_instructions": "2,000 (ChatPolicy)",
    "inference.Chat.sampling": "known settings in ranges (inference.engine.sampling)",
    "inference.Chat.system_prompt": "2,000 (ChatPolicy)",
    "inference.Chat.user_profile": "2,000 (ChatPolicy)",
    "inference.ChatMessage.content": "20,000 a message, 2,000 messages and 2,000,000 in a chat (ChatPolicy)",
    "inference.ChatReport.reason": "2,000; a row for each report, of which REPORTS lets so many",
    "inference.Preset.sampling": "known settings in ranges; 50 presets a person",
    "inference.Turn.prompt": "2,000 messages of 20,000, in a body of 2.5 MB; removed after an hour",
    "inference.Turn.sampling": "known settings in ranges",
    "inference.Turn.system_prompt": "copied from the chat",
    "inference.Turn.text": "the answer, as long as max_tokens and the context let it",
    "inference.Turn.token_ids": "as the text",
    "leaderboard.CachedStatistic.data": "numbers, written by the site",
    "leaderboard.Counted.counts": "numbers, written by the site",
    "tasks.Capacity.seconds": "numbers, written by the site",
    "tasks.Draft.body": "100,000 bytes, one for each task",
    "tasks.Task.reply_ids": "the replies to one message, as many as the policy lets grow",
    "tasks.Task.revision_ids": "as reply_ids",
    "trees.Delivery.body": "ids and dates, written by the site; removed after 30 days",
    "trees.Deletion.message_ids": "the messages of one tree",
    "trees.Happening.data": "ids and words of the site",
    "trees.Message.emojis": "a number for each of the 11 emojis; those of a file are the operator's",
    "trees.Message.imported": "a file of the operator",
    "trees.Message.text": "the message_size_limit of the policy; 65,536 by an edit",
    "trees.Message.text_digest": "32 bytes",
    "trees.Purge.counts": "numbers, written by the site",
    "trees.PurgeStep.changed": "the messages of one tree",
    "trees.PurgeStep.counts": "numbers, written by the site",
    "trees.Ranking.ordered_ids": "the replies that were shown",
    "trees.Ranking.revision_ids": "as ordered_ids",
    "trees.Report.text": "2,000 of one person about one message, 10,000 through programs: all that they said",
    "trees.Review.labels": "a number for each known label; free ones replace those before",
    "trees.Revision.text": "as Message.text; a row for each edit by staff or a trusted program",
    "trees.Webhook.events": "names of events, each once",
}
"""Columns without a length of their own → what bounds what people put there."""

_LOOKED_UP = "is looked up and not stored; what was stored has at most 200 characters"
TAKEN: dict[str, str] = {
    "TextReply.message_id": _LOOKED_UP,
    "TextReply.user_message_id": "client_tasks.LONGEST_ID",
    "TextReply.text": "the message_size_limit of the policy",
    "Rating.message_id": _LOOKED_UP,
    "RankingAnswer.message_id": _LOOKED_UP,
    "CloseBody.message_id": _LOOKED_UP,
    "EditBody.new_content": "client_actions.LONGEST_EDIT",
    "Labelling.labels": "the known labels",
    "TextLabels.labels": "the known labels",
    "CreateAssistantMessage.used_plugin": "is not read; nested in 100 levels at most, like all bodies",
}
"""Members of bodies without a largest length → what bounds them. Lists are bounded without exception."""
