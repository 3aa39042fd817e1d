"""The address that the current request came from, for code that has no request at hand."""

from contextvars import ContextVar

request_address: ContextVar[str] = ContextVar("request_address", default="")
"""Empty outside of requests, as in jobs and commands. `middleware.RequestLog` sets it."""
