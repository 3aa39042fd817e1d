"""What a caller must be. They raise our own errors, so that the answer has the one shape."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from oasst.api.authentication import require_root
from oasst.core.errors import NotAllowed


class IsKnown(BasePermission):
    """A valid key or token came along."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAllowed("An API key is needed: the header X-API-Key.", code="api_key")
        return True


class IsTrusted(IsKnown):
    """A program that may speak for all of its people."""

    def has_permission(self, request: Request, view: Any) -> bool:
        super().has_permission(request, view)
        client: Any = request.auth
        if not client.trusted:
            raise NotAllowed("This is for trusted API clients.", code="not_trusted")
        return True


class IsRoot(BasePermission):
    """An operator, by a token of the settings. It stands for no user, so there is nobody to authenticate."""

    def has_permission(self, request: Request, view: Any) -> bool:
        require_root(request._request)
        return True
