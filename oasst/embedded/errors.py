"""Errors of starting and stopping servers."""


class ServiceError(Exception):
    """One or more plain sentences for the operator; shown without a traceback."""
