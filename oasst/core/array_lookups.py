"""Expressions about array columns."""

from django.db.models import BooleanField, Func


class IsAnyOf(Func):
    """Whether a value is in an array, both columns. It uses the index of the value."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()
