"""DRF permissions. They raise domain errors, so that refusals have the usual envelope."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from oasst.api.authentication import require_root
from oasst.core.errors import NotAllowed


class HasKeyOrToken(BasePermission):
    """Requires a valid key or token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAllowed("An API key is needed: the header X-API-Key.", code="api_key")
        return True


class IsTrusted(HasKeyOrToken):
    """Requires a trusted API client, which may act for all of its users."""

    def has_permission(self, request: Request, view: Any) -> bool:
        super().has_permission(request, view)
        client: Any = request.auth
        if not client.trusted:
            raise NotAllowed("This is for trusted API clients.", code="not_trusted")
        return True


class IsRoot(BasePermission):
    """Requires one of ROOT_TOKENS. A permission and not an authentication, because it belongs to no user."""

    def has_permission(self, request: Request, view: Any) -> bool:
        require_root(request._request)
        return True
