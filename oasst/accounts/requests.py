"""The request of a person who is signed in, for annotations."""

from django.http import HttpRequest

from oasst.accounts.models import User


class SignedInRequest(HttpRequest):
    user: User
