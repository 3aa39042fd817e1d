"""People in requests and answers."""

from oasst.accounts.identities import AUTH_METHODS
from oasst.api.fields import Choice, Flag, Id, Moment, Shape, Text, Whole


class Person(Shape):
    """Whom the client speaks for. Naming somebody unknown makes them known."""

    id = Text(max_length=128)
    display_name = Text(max_length=256)
    auth_method = Choice(AUTH_METHODS, called="AuthMethod")


class FrontEndUser(Shape):
    """A person in an answer; `id` is the name at the sign-in service, `user_id` is ours."""

    id = Text()
    display_name = Text()
    auth_method = Text()
    user_id = Id()
    enabled = Flag()
    deleted = Flag()
    notes = Text()
    created_date = Moment(allow_null=True)
    show_on_leaderboard = Flag()
    streak_days = Whole(allow_null=True)
    streak_last_day_date = Moment(allow_null=True)
    last_activity_date = Moment(allow_null=True)
    tos_acceptance_date = Moment(allow_null=True)
