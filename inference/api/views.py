"""The view class of the chat API, with its permissions."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from inference.api.authentication import SessionAuthentication, TrustedClientAuthentication, TrustedUserAuthentication
from inference.api.refusals import ChatRefusals
from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.models import User
from oasst.api.authentication import TokenAuthentication
from oasst.api.operations import Access
from oasst.api.permissions import IsRoot
from oasst.api.views import OPEN, OperationView, Policy
from oasst.core.errors import NotAllowed


class IsMember(BasePermission):
    """Requires a user, who may still be unknown if a trusted API client names them."""

    require = staticmethod(require_member)

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAllowed("Not authenticated", code="sign_in")
        if isinstance(request.user, User):
            self.require(request.user)
        return True


class IsContributor(IsMember):
    require = staticmethod(require_contributor)


_USERS = (TrustedUserAuthentication, SessionAuthentication, TokenAuthentication)


class ChatView(OperationView):
    policies = {
        Access.OPEN: OPEN,
        Access.TRUSTED: Policy((TrustedClientAuthentication,)),
        Access.ROOT: Policy((), (IsRoot,)),
        Access.MEMBER: Policy(_USERS, (IsMember,)),
        Access.PERSON: Policy(_USERS, (IsContributor,)),
    }
    refusals = ChatRefusals()
