"""The REST contract of the chat below /inference/: every operation in one table. See docs/inference-api.md."""

from inference.api import accounts, chats, configs, messages
from inference.api.openapi_details import INTERFACE
from inference.api.views import ChatView
from oasst.api.documents import add_document
from oasst.api.operations import Operation
from oasst.api.views import urls_of

OPERATIONS: list[Operation] = [
    *accounts.OPERATIONS,
    *chats.OPERATIONS,
    *messages.OPERATIONS,
    *configs.OPERATIONS,
]
document = add_document(OPERATIONS, INTERFACE)

urlpatterns = urls_of(OPERATIONS, ChatView, "inference")
