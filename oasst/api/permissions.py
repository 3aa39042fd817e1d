"""What a caller must be. They raise our own errors, so that the answer has the one shape."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from oasst.core.errors import NotAllowed


class IsKnown(BasePermission):
    """The default of every view: a valid key or token came along. Open views say so themselves."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAllowed("An API key or a token is needed.", code="api_key")
        return True
