"""The operations of the chat API below /inference/. See docs/inference-api.md."""

from inference.api import accounts, chats, configs, messages
from inference.api.openapi_details import INTERFACE
from inference.api.views import ChatView
from oasst.api.documents import add_document
from oasst.api.operations import Operation
from oasst.api.views import make_urls

OPERATIONS: list[Operation] = [*accounts.OPERATIONS, *chats.OPERATIONS, *messages.OPERATIONS, *configs.OPERATIONS]
document = add_document(OPERATIONS, INTERFACE)

urlpatterns = make_urls(OPERATIONS, ChatView, "inference")
