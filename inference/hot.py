"""The statements on chats that pages and engines ask all day, by hand: each does in one what takes the ORM several.
It locks no rows that a window function puts in order, updates none from a list of values, and knows no recursion.

Each has a twin in tests/test_hot.py that says the same by the ORM.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from oasst.core import prepared
from oasst.core.prepared import PreparedManager

if TYPE_CHECKING:
    from inference.models import ChatMessage, Turn  # noqa: F401  (named as text below)

# --- Ways through a chat ---

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
        """The message and what it answers, oldest first; of a longer thread its end."""
        return [one for (one,) in prepared.read(_THREAD, [message_id, at_most])]

    def newest_below(self, message_id: UUID) -> UUID:
        """Where one comes out who follows the newest reply from here on."""
        found: UUID = prepared.read(_NEWEST_BELOW, [message_id])[0][0]
        return found


# --- The queue ---

_CLAIMABLE = """
    (turn.state = 'pending' OR (turn.state = 'in_progress' AND turn.lease_until < statement_timestamp()))
    AND (turn.wanted_until IS NULL OR turn.wanted_until >= statement_timestamp())
"""
# Everybody's first waiting turn comes before anybody's second; an answer that is being written counts as one. So
# whoever asks ten things at once waits behind the others with nine of them. `round` is also how many answers the person
# would have under way with this one. Of one person, what a page asked comes before what a program of theirs did.
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
# What was interrupted goes first: its person has read half of it.
_IN_ORDER = "ORDER BY begun DESC, round, since, message_id"
_LINE = f"SELECT message_id, user_id FROM ({_WAITING}) waiting {_IN_ORDER}"
# The state is asked for again beside the lock: while we waited for it somebody else may have claimed the row.
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
# Waits for no lock while it holds others: a row that is just being written gets its time with the next call.
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
    def line(self) -> list[tuple[UUID, UUID]]:
        """Each turn that waits and its person, in the order in which they begin."""
        return prepared.read(_LINE, [])

    def lock_first(self, *, model: str, number: int, at_once: int) -> list[UUID]:
        """Lock up to `number` turns from the head of the line that an engine with this model may take, and which nobody
        else is taking; needs an open transaction. Nobody gets more than `at_once` answers under way.
        """
        return [one for (one,) in prepared.read(_LOCK_FIRST, [model, at_once, number])]

    def checkpoint(self, owner: str, progress: Sequence[Mapping[str, Any]], lease_seconds: float) -> dict[UUID, bool]:
        """Save how far answers are, and renew the lease. Of each that is still the owner's: whether to stop it.

        `progress` has "id", "text", "token_ids", "prompt_tokens" and "dropped_messages" of each.
        """
        return dict(prepared.read(_CHECKPOINT, [lease_seconds, json.dumps(progress), owner]))

    def still_wanted(self, turn_ids: Iterable[UUID], seconds: float) -> set[UUID]:
        """Note that they are wanted for so long from now. Which of them have not ended yet."""
        return {one for (one,) in prepared.read(_STILL_WANTED, [list(turn_ids), seconds])}
