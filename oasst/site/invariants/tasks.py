"""Checks by one SQL statement each: tasks, their results and holds, and other rules about whole tables.

Each statement returns (subject, expected, found) per difference. They are written in SQL because they compare rows of
which one may be missing and describe the difference in words.
"""

from collections.abc import Iterator

from django.db import connection

from oasst.accounts.consent import TERMS_DOCUMENT
from oasst.site.invariants.difference import Difference
from trees.lifecycle.states import State
from trees.lifecycle.transitions import PROMPT_HIDDEN, TOO_MANY_FLAGS, TOO_MANY_SKIPS

MAX_DIFFERENCES = 1000  # differences reported per check

STATEMENTS = {
    "leases_are_open_tasks": """
        SELECT 'opening ' || opening.id, 'held for an open task of its holder about the same work',
               coalesce('task ' || task.id || ' (' || task.status || ', ' || task.kind || ')', 'no task')
        FROM trees_opening opening LEFT JOIN tasks_task task ON task.id = opening.lease
        WHERE opening.lease IS NOT NULL
          AND (task.status, task.user_id, task.message_id, task.kind)
              IS DISTINCT FROM ('open', opening.holder_id, opening.message_id, opening.work)
    """,
    "done_tasks_have_their_result": """
        SELECT 'task ' || task.id || ' (' || task.kind || ', ' || task.status || ')',
               CASE task.status WHEN 'done' THEN 'the one answer of its person' ELSE 'no answer' END,
               concat_ws(', ', 'message ' || message.id, 'review ' || review.id, 'ranking ' || ranking.id, 'by ' ||
                   coalesce(message.author_id, review.author_id, ranking.author_id)::text)
        FROM tasks_task task
        LEFT JOIN trees_message message ON message.id = task.result_message_id
        LEFT JOIN trees_review review ON review.id = task.result_review_id
        LEFT JOIN trees_ranking ranking ON ranking.id = task.result_ranking_id
        -- A collective task has no result: the answer of each user has a task of its own.
        WHERE num_nonnulls(message.id, review.id, ranking.id) <> (task.status = 'done' AND NOT task.collective)::int
           OR task.status = 'done' AND NOT task.collective AND NOT coalesce(
               CASE
                   WHEN task.kind = 'initial_prompt' THEN message.parent_id IS NULL AND message.author_id = task.user_id
                   WHEN task.kind IN ('prompter_reply', 'assistant_reply')
                       THEN message.parent_id = task.message_id AND message.author_id = task.user_id
                   WHEN task.kind LIKE 'label%'
                       THEN review.message_id = task.message_id AND review.author_id = task.user_id
                           AND review.kind = coalesce(nullif(task.check_kind, ''), 'review')
                   ELSE ranking.parent_id = task.message_id AND ranking.author_id = task.user_id
               END, false)
    """,
    "answers_come_from_a_task": """
        SELECT 'message ' || message.id, 'the answer to a task', 'no task' FROM trees_message message
        WHERE message.imported IS NULL AND message.author_id IS NOT NULL AND message.correction_of_id IS NULL
          AND NOT (message.deleted AND message.withdrawn)  -- perhaps undone: its task is open again
          AND NOT EXISTS (SELECT FROM tasks_task WHERE result_message_id = message.id)
          AND NOT EXISTS (  -- given from a chat
              SELECT FROM trees_donation given CROSS JOIN jsonb_each_text(given.messages) AS pair
              WHERE given.tree_id = message.tree_id AND pair.value = message.id::text
          )
        UNION ALL
        SELECT 'review ' || review.id, 'the answer to a task', 'no task' FROM trees_review review
        WHERE review.kind IN ('review', 'gold', 'repeat')
          AND NOT EXISTS (SELECT FROM tasks_task WHERE result_review_id = review.id)
        UNION ALL
        SELECT 'ranking ' || ranking.id, 'the answer to a task', 'no task' FROM trees_ranking ranking
        WHERE NOT EXISTS (SELECT FROM tasks_task WHERE result_ranking_id = ranking.id)
    """,
    "skipped_tasks_left_a_skip": """
        SELECT 'task ' || task.id, 'a skip of message ' || task.message_id, 'none' FROM tasks_task task
        WHERE task.status = 'skipped' AND task.message_id IS NOT NULL AND task.check_kind = ''
          AND NOT EXISTS (
              SELECT FROM trees_skip skip WHERE skip.message_id = task.message_id AND skip.author_id = task.user_id
          )
    """,
    "what_moderators_decided_stands": """
        SELECT 'proposal ' || proposal.id, 'no effect on a message that a moderator kept',
               concat_ws(' and ', CASE WHEN hides THEN 'hides it' END, CASE WHEN stops THEN 'stops its tree' END)
        FROM trees_proposal proposal JOIN trees_message message ON message.id = proposal.message_id
        WHERE proposal.status = 'open' AND (hides OR stops) AND message.kept_at IS NOT NULL
    """,
    "hidden_messages_wait_for_a_moderator": """
        SELECT 'message ' || message.id,
               CASE WHEN waits.id IS NULL THEN 'shown' ELSE 'hidden, by a proposal or withdrawal' END,
               CASE WHEN message.hidden THEN 'hidden' ELSE 'shown' END
        FROM trees_message message
        LEFT JOIN (
            SELECT message_id AS id FROM trees_proposal WHERE status IN ('open', 'hidden') AND hides
            UNION SELECT message_id FROM trees_withdrawal WHERE status = 'open'
        ) waits ON waits.id = message.id
        WHERE message.hidden <> (waits.id IS NOT NULL)
    """,
    "moderators_hid_what_stays_hidden": """
        SELECT 'message ' || message.id,
               CASE WHEN kept.message_id IS NULL THEN 'not hidden for good' ELSE 'hidden for good' END,
               CASE WHEN message.kept_hidden THEN 'hidden for good' ELSE 'not hidden for good' END
        FROM trees_message message
        LEFT JOIN trees_proposal kept ON kept.message_id = message.id AND kept.status = 'hidden'
        WHERE message.kept_hidden <> (kept.message_id IS NOT NULL)
    """,
    "withdrawn_messages_have_a_withdrawal": """
        SELECT 'message ' || message.id,
               CASE WHEN gone.id IS NULL THEN 'not withdrawn' ELSE 'withdrawn, and hidden or deleted' END,
               CASE WHEN message.withdrawn THEN 'withdrawn' ELSE 'not withdrawn' END
               || CASE WHEN message.hidden OR message.deleted THEN '' ELSE ', and shown' END
        FROM trees_message message
        LEFT JOIN (
            SELECT DISTINCT message_id AS id FROM trees_withdrawal WHERE status IN ('open', 'granted')
        ) gone ON gone.id = message.id
        WHERE message.withdrawn <> (gone.id IS NOT NULL)
           OR message.withdrawn AND NOT message.hidden AND NOT message.deleted
    """,
    "stopped_trees_wait_for_a_moderator": f"""
        SELECT 'tree ' || tree.id, 'an open proposal about a message that stands, or no stop', last.reason
        FROM trees_messagetree tree
        JOIN trees_message root ON root.id = tree.id AND NOT root.deleted
        CROSS JOIN LATERAL (
            SELECT reason FROM trees_treetransition move WHERE move.tree_id = tree.id ORDER BY move.id DESC LIMIT 1
        ) last
        WHERE tree.state = '{State.HALTED_BY_MODERATOR.value}'
          AND last.reason IN ('{TOO_MANY_FLAGS}', '{TOO_MANY_SKIPS}', '{PROMPT_HIDDEN}')
          AND NOT EXISTS (
              SELECT FROM trees_proposal proposal JOIN trees_message message ON message.id = proposal.message_id
              WHERE proposal.tree_id = tree.id AND proposal.status IN ('open', 'hidden') AND proposal.stops
                AND NOT message.deleted
          )
    """,
    "complaints_before_a_decision_are_void": """
        -- Skips take no lock, so one stored at the moment of the decision may count or not.
        WITH kept AS (
            SELECT id, kept_at - interval '1 minute' AS before FROM trees_message WHERE kept_at IS NOT NULL
        )
        SELECT 'message ' || kept.id, 'no complaint from before ' || kept.before, 'one that counts' FROM kept
        WHERE EXISTS (SELECT FROM trees_reaction complaint WHERE complaint.message_id = kept.id
                      AND emoji = 'red_flag' AND voided_at IS NULL AND complaint.created_at < kept.before)
           OR EXISTS (SELECT FROM trees_skip complaint WHERE complaint.message_id = kept.id
                      AND kind = 'reply' AND voided_at IS NULL AND complaint.created_at < kept.before)
    """,
    "texts_are_their_revisions": """
        SELECT 'message ' || message.id, 'the text and digest of its own revision', 'revision ' || revision.id
        FROM trees_message message JOIN trees_revision revision ON revision.id = message.revision_id
        WHERE revision.message_id <> message.id OR revision.text <> message.text
           OR message.text_digest <> sha256(convert_to(message.text, 'UTF8'))
    """,
    "people_stand_by_their_newest_terms": f"""
        SELECT 'user ' || person.id, coalesce(quote_literal(newest.version), 'no terms'),
               quote_literal(person.terms_version)
        FROM accounts_user person LEFT JOIN LATERAL (
            SELECT version FROM accounts_consent consent
            WHERE consent.user_id = person.id AND document = '{TERMS_DOCUMENT}' AND withdrawn_at IS NULL
            ORDER BY accepted_at DESC, id DESC LIMIT 1
        ) newest ON true
        WHERE person.terms_version <> coalesce(newest.version, '')
    """,
}


def run_check(check: str) -> list[Difference]:
    return run_statement(check, STATEMENTS[check])


def run_statement(check: str, statement: str) -> list[Difference]:
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} LIMIT {MAX_DIFFERENCES + 1}")
        rows = cursor.fetchall()
    differences = [
        Difference(check, subject, expected, found or "none") for subject, expected, found in rows[:MAX_DIFFERENCES]
    ]
    if len(rows) > MAX_DIFFERENCES:
        differences.append(Difference(check, "and more", "nothing", f"more than {MAX_DIFFERENCES} differences"))
    return differences


def find_differences() -> Iterator[Difference]:
    for check, statement in STATEMENTS.items():
        yield from run_statement(check, statement)
