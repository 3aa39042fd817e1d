"""The type of a request of a signed-in user, for annotations."""

from django.http import HttpRequest

from oasst.accounts.models import User


class SignedInRequest(HttpRequest):
    user: User
