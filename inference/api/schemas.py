"""Schemas of the requests and responses of the chat API."""

from rest_framework import serializers

from inference.chats.listing import MAX_PAGE_SIZE, SORTS
from inference.models import ChatReport, Role
from oasst.api.fields import (
    BooleanField,
    BoundedList,
    ChoiceField,
    ConstantField,
    DateTimeField,
    FloatField,
    IntegerField,
    NullableTextField,
    Schema,
    TextField,
    UUIDField,
)

Anything = serializers.JSONField
MAX_TEXT_LENGTH = 1_000_000  # of a text: the services have lower limits, with their own messages
TITLE_LENGTH = 100
MESSAGE_STATES = ("manual", "pending", "in_progress", "complete", "cancelled", "timeout", "aborted_by_worker")
"""Of a message: `manual` is by a user, the others are those of an answer."""


class Ids(BoundedList):
    def __init__(self) -> None:
        super().__init__(child=UUIDField(), allow_empty=True)


# --- Chats ---


class ChatListRead(Schema):
    """A chat in a list. `modified_at` is the time of the last thing that happened in it."""

    id = UUIDField()
    created_at = DateTimeField()
    modified_at = DateTimeField()
    title = NullableTextField()
    hidden = BooleanField()
    allow_data_use = BooleanField()
    active_thread_tail_message_id = UUIDField(allow_null=True, source="active_tail_id")


class ChatsQuery(Schema):
    """By cursor (`after`, `before`), or by number (`page`)."""

    include_hidden = BooleanField(default=False)
    limit = IntegerField(default=10, min_value=1, max_value=MAX_PAGE_SIZE)
    after = TextField(default=None)
    before = TextField(default=None)
    # Not in Open-Assistant:
    page = IntegerField(default=None, min_value=1)
    search = TextField(default="")
    model = TextField(default="")
    since = DateTimeField(default=None)
    until = DateTimeField(default=None)
    sort = ChoiceField(list(SORTS), default="modified_at")
    order = ChoiceField(["desc", "asc"], default="desc")


class ChatPage(Schema):
    """By cursor it has `next` and `prev`; by number `page`, `pages` and `total`, and no cursors."""

    chats = ChatListRead(many=True)
    next = TextField(allow_null=True)
    prev = TextField(allow_null=True)
    page = IntegerField(required=False, help_text="The last one where there are fewer than asked for.")
    pages = IntegerField(required=False)
    total = IntegerField(required=False)


class CreateChat(Schema):
    """Every member may be left out."""

    title = TextField(default=None, allow_null=True, max_length=TITLE_LENGTH)
    hidden = BooleanField(default=None, allow_null=True)
    allow_data_use = BooleanField(default=None, allow_null=True)


class ChatUpdate(CreateChat):
    """Null leaves a member as it is."""

    active_thread_tail_message_id = UUIDField(default=None, allow_null=True)


class ChatBatch(Schema):
    chats = BoundedList(child=CreateChat())


class ChatIds(Schema):
    chat_ids = Ids()


# --- Messages ---


class ReportType(ChoiceField):
    def __init__(self) -> None:
        super().__init__(ChatReport.Kind.values, called="ReportType")


class Report(Schema):
    id = TextField()
    report_type = ReportType()
    reason = TextField()


class SamplingParameters(Schema):
    """Null is off. Temperature 0 takes the likeliest token each time."""

    top_k = IntegerField(default=None, allow_null=True)
    top_p = FloatField(default=None, allow_null=True)
    typical_p = FloatField(default=None, allow_null=True)
    temperature = FloatField(default=None, allow_null=True)
    repetition_penalty = FloatField(default=None, allow_null=True)
    max_new_tokens = IntegerField(default=1024, allow_null=True)


class ModelConfig(Schema):
    model_id = TextField()
    max_input_length = IntegerField()
    max_total_length = IntegerField()
    quantized = BooleanField()


class WorkParameters(Schema):
    """How an answer was asked for."""

    model_config = ModelConfig()
    sampling_parameters = SamplingParameters()
    do_sample = BooleanField()
    seed = IntegerField()
    system_prompt = TextField(allow_null=True)
    user_profile = TextField(allow_null=True)
    user_response_instructions = TextField(allow_null=True)
    plugins = serializers.ListField(child=Anything())
    plugin_max_depth = IntegerField()


class MessageRead(Schema):
    """A message. The content of an answer is null until it is over."""

    id = UUIDField()
    parent_id = UUIDField(allow_null=True)
    chat_id = UUIDField()
    content = TextField(allow_null=True)
    created_at = DateTimeField()
    role = ChoiceField(Role.values, called="Role")
    state = ChoiceField(MESSAGE_STATES, called="MessageState")
    score = IntegerField()
    reports = Report(many=True)
    work_parameters = WorkParameters(allow_null=True)
    safe_content = TextField(allow_null=True)
    safety_level = IntegerField(allow_null=True)
    safety_label = TextField(allow_null=True)
    safety_rots = TextField(allow_null=True)
    used_plugin = Anything(allow_null=True)


class ChatRead(ChatListRead):
    """A chat with the messages of all its branches, in the order in which they were made."""

    messages = MessageRead(many=True)


class CreatePrompterMessage(Schema):
    parent_id = UUIDField(default=None, allow_null=True)
    content = TextField(max_length=MAX_TEXT_LENGTH)


class CreateAssistantMessage(Schema):
    """If any of the three instructions is given, they replace those of the chat for this answer."""

    parent_id = UUIDField()
    model_config_name = TextField(max_length=200)
    sampling_parameters = SamplingParameters(default=None, allow_null=True)
    system_prompt = TextField(default=None, allow_null=True, max_length=MAX_TEXT_LENGTH)
    user_profile = TextField(default=None, allow_null=True, max_length=MAX_TEXT_LENGTH)
    user_response_instructions = TextField(default=None, allow_null=True, max_length=MAX_TEXT_LENGTH)
    plugins = BoundedList(child=Anything(allow_null=True), default=None, allow_null=True, max_length=100)
    used_plugin = Anything(default=None, allow_null=True)


class VoteRequest(Schema):
    score = IntegerField(min_value=-1, max_value=1)


class EventsQuery(Schema):
    """`after` is the `id` of the last event that was seen. `ids` adds `id:` lines and `retry:`, for an EventSource."""

    after = TextField(default="")
    ids = BooleanField(default=False)


class EvaluationRequest(Schema):
    inferior_message_ids = Ids()


class ReportRequest(Schema):
    report_type = ReportType()
    reason = TextField(max_length=MAX_TEXT_LENGTH)


# --- The events of an answer ---


class StreamedEvent(Schema):
    id = IntegerField(help_text="The position in the answer. A client that lost its connection sends it as `after`.")


class TokenEvent(StreamedEvent):
    """The next piece of the answer."""

    event_type = ConstantField("token")
    text = TextField()


class PendingEvent(StreamedEvent):
    """The answer waits; 1 is the next one."""

    event_type = ConstantField("pending")
    queue_position = IntegerField()
    queue_size = IntegerField()


class MessageEvent(StreamedEvent):
    """The answer is over. Null when it was deleted meanwhile."""

    event_type = ConstantField("message")
    message = MessageRead(allow_null=True)


class ErrorEvent(StreamedEvent):
    """The answer failed. The message has what was written before."""

    event_type = ConstantField("error")
    error = TextField()
    message = MessageRead(allow_null=True)


class AnyEvent(Schema):
    """What happens to an answer, by its `event_type`."""

    one_of = (TokenEvent, PendingEvent, MessageEvent, ErrorEvent)
    tag = "event_type"


# --- Configuration ---


class ParameterConfig(Schema):
    """A preset."""

    name = TextField()
    description = TextField()
    sampling_parameters = SamplingParameters()


class ModelConfigInfo(Schema):
    name = TextField()
    description = TextField()
    parameter_configs = ParameterConfig(many=True)


class Features(Schema):
    """What this site has switched on, and its sizes."""

    chat = BooleanField()
    plugins = BooleanField()
    drafts = IntegerField(help_text="Answers that one person may have under way at once.")
    message_length = IntegerField()
    messages_in_chat = IntegerField()


# --- Signing in ---


class AccessToken(Schema):
    access_token = TextField()
    token_type = ConstantField("bearer")


class RefreshToken(Schema):
    access_token = TextField(help_text="The refresh token.")
    token_type = ConstantField("refresh")


class TokenPair(Schema):
    access_token = AccessToken()
    refresh_token = RefreshToken()


class Refreshed(AccessToken):
    """The refresh token that came with the request is used up; this one takes its place."""

    refresh_token = RefreshToken()


class TrustedUser(Schema):
    id = UUIDField()
    provider = TextField()
    provider_account_id = TextField()
    display_name = TextField()
    deleted = BooleanField()
