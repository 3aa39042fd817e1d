"""Hand-written SQL for the frequent statements on chats: the ORM has no recursion, no update from a list of values, and
cannot lock rows in the order of a window function.

Each has an ORM twin in tests/test_hot.py.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from oasst.core import prepared
from oasst.core.prepared import PreparedManager

if TYPE_CHECKING:
    from inference.models import ChatMessage, Turn  # noqa: F401  (named as text below)

# --- The tree of messages ---

_THREAD = """
    WITH RECURSIVE thread AS (
        SELECT id, parent_id, 1 AS size FROM inference_chatmessage WHERE id = %s
        UNION ALL
        SELECT message.id, message.parent_id, size + 1 FROM inference_chatmessage message
        JOIN thread ON message.id = thread.parent_id WHERE size < %s
    )
    SELECT id FROM thread ORDER BY size DESC
"""
_NEWEST_BELOW = """
    WITH RECURSIVE down AS (
        SELECT %s::uuid AS id, 1 AS depth
        UNION ALL
        SELECT (
            SELECT reply.id FROM inference_chatmessage reply WHERE reply.parent_id = down.id
            ORDER BY reply.created_at DESC, reply.id DESC LIMIT 1
        ), depth + 1
        FROM down WHERE down.id IS NOT NULL
    )
    SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1
"""
_NO_BOUND = 1_000_000


class ChatMessageManager(PreparedManager["ChatMessage"]):
    def thread_ids(self, message_id: UUID, at_most: int = _NO_BOUND) -> list[UUID]:
        """Return the ids of the message and those above it, oldest first; at most the last `at_most`."""
        return [id for (id,) in prepared.fetch_rows(_THREAD, [message_id, at_most])]

    def newest_descendant(self, message_id: UUID) -> UUID:
        """Follow the newest reply down from the message and return the last id."""
        newest: UUID = prepared.fetch_rows(_NEWEST_BELOW, [message_id])[0][0]
        return newest


# --- The queue ---

_CLAIMABLE = """
    (turn.state = 'pending' OR (turn.state = 'in_progress' AND turn.lease_until < statement_timestamp()))
    AND (turn.wanted_until IS NULL OR turn.wanted_until >= statement_timestamp())
"""
# Round-robin over users: every user's first turn comes before anyone's second, and answers in progress count. `round`
# is also the number of answers in progress that the user would have with this one. For one user, turns of pages come
# before those of API clients.
_WAITING = f"""
    SELECT turn.message_id, turn.user_id, turn.queued_at AS since, turn.began_at IS NOT NULL AS begun,
           row_number() OVER (
               PARTITION BY turn.user_id, turn.model
               ORDER BY turn.began_at IS NULL, turn.by_program, turn.queued_at, turn.message_id
           ) + COALESCE(held.number, 0) AS round
    FROM inference_turn turn
    LEFT JOIN (
        SELECT user_id, count(*) AS number FROM inference_turn
        WHERE state = 'in_progress' AND lease_until >= statement_timestamp() GROUP BY user_id
    ) held USING (user_id)
    WHERE {_CLAIMABLE}
"""
# Interrupted answers go first: their users have read half of them.
_IN_ORDER = "ORDER BY begun DESC, round, since, message_id"
_LINE = f"SELECT message_id, user_id FROM ({_WAITING}) waiting {_IN_ORDER}"
# Checks the state again beside the lock, because another engine may have claimed the row since.
_LOCK_FIRST = f"""
    SELECT turn.message_id FROM inference_turn turn JOIN ({_WAITING}) waiting USING (message_id)
    WHERE turn.model = %s AND (waiting.begun OR waiting.round <= %s) AND {_CLAIMABLE}
    {_IN_ORDER} LIMIT %s FOR NO KEY UPDATE OF turn SKIP LOCKED
"""
_CHECKPOINT = """
    UPDATE inference_turn turn
    SET text = now.text, token_ids = now.token_ids, prompt_tokens = now.prompt_tokens,
        dropped_messages = now.dropped_messages, lease_until = statement_timestamp() + make_interval(secs => %s),
        fruitless_claims = CASE WHEN now.token_ids = turn.token_ids AND now.text = turn.text
                                THEN turn.fruitless_claims ELSE 0 END,
        first_text_at = CASE WHEN now.text <> '' THEN COALESCE(turn.first_text_at, statement_timestamp()) END
    FROM jsonb_to_recordset(%s::jsonb)
        AS now(id uuid, text text, token_ids int[], prompt_tokens int, dropped_messages int)
    WHERE turn.message_id = now.id AND turn.owner = %s AND turn.state = 'in_progress'
    RETURNING turn.message_id,
              turn.stop_asked_at IS NOT NULL OR COALESCE(turn.wanted_until < statement_timestamp(), false)
"""
# SKIP LOCKED avoids deadlocks: a row that is being written is renewed by the next call.
_STILL_WANTED = """
    WITH open AS (
        SELECT message_id FROM inference_turn WHERE message_id = ANY(%s) AND state IN ('pending', 'in_progress')
    ), free AS (
        SELECT turn.message_id FROM inference_turn turn JOIN open USING (message_id)
        FOR NO KEY UPDATE OF turn SKIP LOCKED
    ), renewed AS (
        UPDATE inference_turn SET wanted_until = statement_timestamp() + make_interval(secs => %s)
        WHERE message_id IN (SELECT message_id FROM free)
    )
    SELECT message_id FROM open
"""


class TurnManager(PreparedManager["Turn"]):
    def queue(self) -> list[tuple[UUID, UUID]]:
        """Return (turn id, user id) of each waiting turn, in the order of the queue."""
        return prepared.fetch_rows(_LINE, [])

    def lock_next(self, *, model: str, number: int, at_once: int) -> list[UUID]:
        """Lock the next `number` turns for this model; `at_once` limits the answers of a user. Needs a transaction."""
        return [turn_id for (turn_id,) in prepared.fetch_rows(_LOCK_FIRST, [model, at_once, number])]

    def checkpoint(self, owner: str, progress: Sequence[Mapping[str, Any]], lease_seconds: float) -> dict[UUID, bool]:
        """Save progress and renew leases. Return whether to stop, for each turn that the owner still holds.

        `progress` has "id", "text", "token_ids", "prompt_tokens" and "dropped_messages" of each turn.
        """
        return dict(prepared.fetch_rows(_CHECKPOINT, [lease_seconds, json.dumps(progress), owner]))

    def renew(self, turn_ids: Iterable[UUID], seconds: float) -> set[UUID]:
        """Renew `wanted_until` of the turns. Return those that have not ended."""
        return {turn_id for (turn_id,) in prepared.fetch_rows(_STILL_WANTED, [list(turn_ids), seconds])}
