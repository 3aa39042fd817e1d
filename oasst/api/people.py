"""Schemas of users in requests and responses."""

from oasst.accounts.identities import AUTH_METHODS
from oasst.api.fields import BooleanField, ChoiceField, DateTimeField, IntegerField, Schema, TextField, UUIDField


class Person(Schema):
    """The user for whom the client acts. An unknown user is created."""

    id = TextField(max_length=128)
    display_name = TextField(max_length=256)
    auth_method = ChoiceField(AUTH_METHODS, called="AuthMethod")


class FrontEndUser(Schema):
    """A user in a response; `id` is the name at the sign-in service, `user_id` is ours."""

    id = TextField()
    display_name = TextField()
    auth_method = TextField()
    user_id = UUIDField()
    enabled = BooleanField()
    deleted = BooleanField()
    notes = TextField()
    created_date = DateTimeField(allow_null=True)
    show_on_leaderboard = BooleanField()
    streak_days = IntegerField(allow_null=True)
    streak_last_day_date = DateTimeField(allow_null=True)
    last_activity_date = DateTimeField(allow_null=True)
    tos_acceptance_date = DateTimeField(allow_null=True)
