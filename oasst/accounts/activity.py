"""What a contribution says about its person: when they were last here, and for how many days in a row.

SQL, so that it can be part of the statement that stores the contribution: it costs none of its own.
"""

# A streak counts whole days since it began, and begins anew after a day and a half without anything.
_BEGINS = """(
    streak_started_at IS NULL OR streak_started_at > %(at)s OR last_activity_at < %(at)s - interval '36 hours')"""

NOTE_ACTIVITY = f"""
    UPDATE accounts_user SET
        last_activity_at = %(at)s,
        streak_days = CASE WHEN {_BEGINS} THEN 0 ELSE extract(day FROM %(at)s - streak_started_at) END,
        streak_started_at = CASE WHEN {_BEGINS} THEN %(at)s ELSE streak_started_at END
    WHERE id = %(person)s
"""
