"""Operations of the wire on scores and boards."""

from typing import Any

from leaderboard.api import answers
from leaderboard.points import FLAGS, MEANS
from leaderboard.time_frames import Frame
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import (
    BooleanField,
    ChoiceField,
    DateTimeField,
    FloatField,
    IntegerField,
    OptionalMembersField,
    Schema,
    TextField,
    UUIDField,
)
from oasst.api.operations import Access, Call, Operation, operation

OPERATIONS: list[Operation] = []
MAX_ROWS = 10_000


class FrameName(ChoiceField):
    def __init__(self) -> None:
        super().__init__(Frame, called="TimeFrame")


TIME_FRAME = {"time_frame": FrameName()}


def _frame(call: Call) -> Frame:
    return Frame(call.path["time_frame"])


class Entry(Schema):
    """A user on a board."""

    rank = IntegerField(allow_null=True)
    user_id = UUIDField()
    highlighted = BooleanField()
    username = TextField()
    auth_method = TextField()
    display_name = TextField()
    base_date = DateTimeField(allow_null=True)
    modified_date = DateTimeField(allow_null=True)
    last_activity_date = DateTimeField(allow_null=True)


class Score(Entry):
    leader_score = IntegerField()
    level = IntegerField()
    rankings_good = IntegerField()
    streak_last_day_date = DateTimeField(allow_null=True)
    streak_days = IntegerField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {name: IntegerField() for name in answers.COUNTERS}


class TrollScore(Entry):
    enabled = BooleanField()
    deleted = BooleanField()
    show_on_leaderboard = BooleanField()
    troll_score = IntegerField()
    red_flags = IntegerField()
    upvotes = IntegerField()
    downvotes = IntegerField()
    spam_prompts = IntegerField()

    def get_fields(self) -> dict[str, Any]:
        flags = {answers.WIRE_SPELLING.get(name, name): IntegerField() for name in FLAGS}
        return super().get_fields() | flags | {name: FloatField(allow_null=True) for name in MEANS}


class Board(Schema):
    time_frame = FrameName()
    last_updated = DateTimeField()
    leaderboard = Score(many=True)


class TrollBoard(Schema):
    time_frame = FrameName()
    last_updated = DateTimeField()
    trollboard = TrollScore(many=True)


class BoardQuery(Schema):
    max_count = IntegerField(default=100, min_value=1, max_value=MAX_ROWS)


class TrollQuery(BoardQuery):
    enabled = BooleanField(default=None, allow_null=True)


class WindowQuery(Schema):
    window_size = IntegerField(default=5, min_value=1, max_value=100)


@operation(OPERATIONS, "POST", "leaderboards/update", Access.TRUSTED, status=204)
def update_all(call: Call) -> None:
    """Count recent events now."""
    answers.update_boards()


@operation(OPERATIONS, "POST", "leaderboards/update/<time_frame>", Access.TRUSTED, path_fields=TIME_FRAME, status=204)
def update_one(call: Call) -> None:
    """Count recent events now, for all time frames together."""
    answers.update_boards()


@operation(
    OPERATIONS,
    "GET",
    "leaderboards/<time_frame>",
    Access.KEY,
    path_fields=TIME_FRAME,
    query=BoardQuery,
    answer=Board,
    viewer=True,
    errors=(ErrorCode.USER_NOT_FOUND,),
)
def get_leaderboard(call: Call) -> Any:
    """Get the top of a time frame; the user in the header is highlighted."""
    return answers.leaderboard(call.client, _frame(call), viewer=call.viewer, **call.query)


@operation(
    OPERATIONS,
    "GET",
    "trollboards/<time_frame>",
    Access.TRUSTED,
    path_fields=TIME_FRAME,
    query=TrollQuery,
    answer=TrollBoard,
)
def get_trollboard(call: Call) -> Any:
    """Get the authors with the most complaints."""
    return answers.trollboard(call.client, _frame(call), **call.query)


@operation(OPERATIONS, "GET", "users/<user_id>/stats", Access.KEY, answer=OptionalMembersField(Frame, child=Score()))
def get_user_stats(call: Call) -> Any:
    """Get the scores of a user by time frame."""
    return answers.user_stats(call.client, call.id("user_id"))


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/stats/<time_frame>",
    Access.KEY,
    path_fields=TIME_FRAME,
    answer=Score,
    errors=(ErrorCode.USER_NOT_FOUND,),
)
def get_user_stats_in(call: Call) -> Any:
    """Get the score of a user in one time frame."""
    return answers.user_stats_in(call.client, call.id("user_id"), _frame(call))


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/stats/<time_frame>/window",
    Access.KEY,
    path_fields=TIME_FRAME,
    query=WindowQuery,
    answer=Board(allow_null=True),
    errors=(ErrorCode.USER_NOT_FOUND,),
)
def get_user_window(call: Call) -> Any:
    """Get the board around a user; null for a user who is not on it."""
    return answers.user_window(call.client, call.id("user_id"), _frame(call), **call.query)
