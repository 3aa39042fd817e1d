"""Operations of the wire on scores and boards."""

from typing import Any

from leaderboard.api import answers
from leaderboard.points import FLAGS, MEANS
from leaderboard.time_frames import Frame
from oasst.api.codes import Wire
from oasst.api.fields import ByName, Choice, Flag, Id, Moment, Number, Shape, Text, Whole
from oasst.api.operations import Access, Call, Operation, operation

OPERATIONS: list[Operation] = []
MOST = 10_000


class FrameName(Choice):
    def __init__(self) -> None:
        super().__init__(Frame, called="TimeFrame")


TIME_FRAME = {"time_frame": FrameName()}


def _frame(call: Call) -> Frame:
    return Frame(call.path["time_frame"])


class Entry(Shape):
    """A person on a board."""

    rank = Whole(allow_null=True)
    user_id = Id()
    highlighted = Flag()
    username = Text()
    auth_method = Text()
    display_name = Text()
    base_date = Moment(allow_null=True)
    modified_date = Moment(allow_null=True)
    last_activity_date = Moment(allow_null=True)


class Score(Entry):
    leader_score = Whole()
    level = Whole()
    rankings_good = Whole()
    streak_last_day_date = Moment(allow_null=True)
    streak_days = Whole(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {name: Whole() for name in answers.COUNTERS}


class TrollScore(Entry):
    enabled = Flag()
    deleted = Flag()
    show_on_leaderboard = Flag()
    troll_score = Whole()
    red_flags = Whole()
    upvotes = Whole()
    downvotes = Whole()
    spam_prompts = Whole()

    def get_fields(self) -> dict[str, Any]:
        flags = {answers.SPELT.get(name, name): Whole() for name in FLAGS}
        return super().get_fields() | flags | {name: Number(allow_null=True) for name in MEANS}


class Board(Shape):
    time_frame = FrameName()
    last_updated = Moment()
    leaderboard = Score(many=True)


class TrollBoard(Shape):
    time_frame = FrameName()
    last_updated = Moment()
    trollboard = TrollScore(many=True)


class BoardQuery(Shape):
    max_count = Whole(default=100, min_value=1, max_value=MOST)


class TrollQuery(BoardQuery):
    enabled = Flag(default=None, allow_null=True)


class WindowQuery(Shape):
    window_size = Whole(default=5, min_value=1, max_value=100)


@operation(OPERATIONS, "POST", "leaderboards/update", Access.TRUSTED, status=204)
def update_all(call: Call) -> None:
    """Count what happened, now."""
    answers.update_boards()


@operation(OPERATIONS, "POST", "leaderboards/update/<time_frame>", Access.TRUSTED, path_fields=TIME_FRAME, status=204)
def update_one(call: Call) -> None:
    """The same: the boards of all time frames follow each act together."""
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
    errors=(Wire.USER_NOT_FOUND,),
)
def get_leaderboard(call: Call) -> Any:
    """The best of a time frame; the person in the header is highlighted."""
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
    """The authors whom people complained about most."""
    return answers.trollboard(call.client, _frame(call), **call.query)


@operation(OPERATIONS, "GET", "users/<user_id>/stats", Access.KEY, answer=ByName(Frame, child=Score()))
def get_user_stats(call: Call) -> Any:
    """The scores of a person by time frame."""
    return answers.user_stats(call.client, call.id("user_id"))


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/stats/<time_frame>",
    Access.KEY,
    path_fields=TIME_FRAME,
    answer=Score,
    errors=(Wire.USER_NOT_FOUND,),
)
def get_user_stats_in(call: Call) -> Any:
    """The score of a person in one time frame."""
    return answers.user_stats_in(call.client, call.id("user_id"), _frame(call))


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/stats/<time_frame>/window",
    Access.KEY,
    path_fields=TIME_FRAME,
    query=WindowQuery,
    answer=Board(allow_null=True),
    errors=(Wire.USER_NOT_FOUND,),
)
def get_user_window(call: Call) -> Any:
    """The board around a person; null for who is not on it."""
    return answers.user_window(call.client, call.id("user_id"), _frame(call), **call.query)
