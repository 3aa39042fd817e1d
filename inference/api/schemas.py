"""What the operations of the chat take and give."""

from rest_framework import serializers

from inference.chats.listing import MOST_ON_A_PAGE, SORTS
from inference.models import ChatReport, Role
from oasst.api.fields import Choice, Constant, Few, Flag, Id, Moment, Number, Shape, Text, TextOrNull, Whole

# What stands in the type of a list is read once more by `Shape(many=True)`.
Anything = serializers.JSONField
LONGEST = 1_000_000  # of a text: what is too long is refused by the service, in words
TITLE = 100
STATES = ("manual", "pending", "in_progress", "complete", "cancelled", "timeout", "aborted_by_worker")
"""Of a message: `manual` is what a person wrote, the others are those of an answer."""


class Ids(Few):
    def __init__(self) -> None:
        super().__init__(child=Id(), allow_empty=True)


# --- Chats ---


class ChatListRead(Shape):
    """A chat in a list. `modified_at` is the time of the last thing that happened in it."""

    id = Id()
    created_at = Moment()
    modified_at = Moment()
    title = TextOrNull()
    hidden = Flag()
    allow_data_use = Flag()
    active_thread_tail_message_id = Id(allow_null=True, source="active_tail_id")


class ChatsQuery(Shape):
    """By cursor (`after`, `before`), or by number (`page`)."""

    include_hidden = Flag(default=False)
    limit = Whole(default=10, min_value=1, max_value=MOST_ON_A_PAGE)
    after = Text(default=None)
    before = Text(default=None)
    # From here on ours.
    page = Whole(default=None, min_value=1)
    search = Text(default="")
    model = Text(default="")
    since = Moment(default=None)
    until = Moment(default=None)
    sort = Choice(list(SORTS), default="modified_at")
    order = Choice(["desc", "asc"], default="desc")


class ChatPage(Shape):
    """By cursor it has `next` and `prev`; by number `page`, `pages` and `total`, and no cursors."""

    chats = ChatListRead(many=True)
    next = Text(allow_null=True)
    prev = Text(allow_null=True)
    page = Whole(required=False, help_text="The last one where there are fewer than asked for.")
    pages = Whole(required=False)
    total = Whole(required=False)


class CreateChat(Shape):
    """Any of them may be left out."""

    title = Text(default=None, allow_null=True, max_length=TITLE)
    hidden = Flag(default=None, allow_null=True)
    allow_data_use = Flag(default=None, allow_null=True)


class ChatUpdate(CreateChat):
    """Null leaves a member as it is."""

    active_thread_tail_message_id = Id(default=None, allow_null=True)


class ChatBatch(Shape):
    chats = Few(child=CreateChat())


class ChatIds(Shape):
    chat_ids = Ids()


# --- Messages ---


class ReportType(Choice):
    def __init__(self) -> None:
        super().__init__(ChatReport.Kind.values, called="ReportType")


class Report(Shape):
    id = Text()
    report_type = ReportType()
    reason = Text()


class SamplingParameters(Shape):
    """Null is off. Temperature 0 takes the likeliest token each time."""

    top_k = Whole(default=None, allow_null=True)
    top_p = Number(default=None, allow_null=True)
    typical_p = Number(default=None, allow_null=True)
    temperature = Number(default=None, allow_null=True)
    repetition_penalty = Number(default=None, allow_null=True)
    max_new_tokens = Whole(default=1024, allow_null=True)


class ModelConfig(Shape):
    model_id = Text()
    max_input_length = Whole()
    max_total_length = Whole()
    quantized = Flag()


class WorkParameters(Shape):
    """How an answer was asked for."""

    model_config = ModelConfig()
    sampling_parameters = SamplingParameters()
    do_sample = Flag()
    seed = Whole()
    system_prompt = Text(allow_null=True)
    user_profile = Text(allow_null=True)
    user_response_instructions = Text(allow_null=True)
    plugins = serializers.ListField(child=Anything())
    plugin_max_depth = Whole()


class MessageRead(Shape):
    """A message. The content of an answer is null until it is over."""

    id = Id()
    parent_id = Id(allow_null=True)
    chat_id = Id()
    content = Text(allow_null=True)
    created_at = Moment()
    role = Choice(Role.values, called="Role")
    state = Choice(STATES, called="MessageState")
    score = Whole()
    reports = Report(many=True)
    work_parameters = WorkParameters(allow_null=True)
    safe_content = Text(allow_null=True)
    safety_level = Whole(allow_null=True)
    safety_label = Text(allow_null=True)
    safety_rots = Text(allow_null=True)
    used_plugin = Anything(allow_null=True)


class ChatRead(ChatListRead):
    """A chat with the messages of all its branches, in the order in which they were made."""

    messages = MessageRead(many=True)


class CreatePrompterMessage(Shape):
    parent_id = Id(default=None, allow_null=True)
    content = Text(max_length=LONGEST)


class CreateAssistantMessage(Shape):
    """The three instructions stand in for those of the chat, for this answer, when any of them is given."""

    parent_id = Id()
    model_config_name = Text(max_length=200)
    sampling_parameters = SamplingParameters(default=None, allow_null=True)
    system_prompt = Text(default=None, allow_null=True, max_length=LONGEST)
    user_profile = Text(default=None, allow_null=True, max_length=LONGEST)
    user_response_instructions = Text(default=None, allow_null=True, max_length=LONGEST)
    plugins = Few(child=Anything(allow_null=True), default=None, allow_null=True, max_length=100)
    used_plugin = Anything(default=None, allow_null=True)


class VoteRequest(Shape):
    score = Whole(min_value=-1, max_value=1)


class EventsQuery(Shape):
    """`after` is the `id` of the last event that was seen. `ids` adds `id:` lines and `retry:`, for an EventSource."""

    after = Text(default="")
    ids = Flag(default=False)


class EvaluationRequest(Shape):
    inferior_message_ids = Ids()


class ReportRequest(Shape):
    report_type = ReportType()
    reason = Text(max_length=LONGEST)


# --- The events of an answer ---


class StreamedEvent(Shape):
    id = Whole(help_text="The place in the answer: what a reader who was cut off names in `after`.")


class TokenEvent(StreamedEvent):
    """The next piece of the answer."""

    event_type = Constant("token")
    text = Text()


class PendingEvent(StreamedEvent):
    """The answer waits; 1 is the next one."""

    event_type = Constant("pending")
    queue_position = Whole()
    queue_size = Whole()


class MessageEvent(StreamedEvent):
    """The answer is over. Null when it was deleted meanwhile."""

    event_type = Constant("message")
    message = MessageRead(allow_null=True)


class ErrorEvent(StreamedEvent):
    """There will be no further answer; what there is of it stands in the message."""

    event_type = Constant("error")
    error = Text()
    message = MessageRead(allow_null=True)


class AnyEvent(Shape):
    """What happens to an answer, by its `event_type`."""

    one_of = (TokenEvent, PendingEvent, MessageEvent, ErrorEvent)
    tag = "event_type"


# --- Configuration ---


class ParameterConfig(Shape):
    """A preset."""

    name = Text()
    description = Text()
    sampling_parameters = SamplingParameters()


class ModelConfigInfo(Shape):
    name = Text()
    description = Text()
    parameter_configs = ParameterConfig(many=True)


class Features(Shape):
    """What this site has switched on, and its sizes."""

    chat = Flag()
    plugins = Flag()
    drafts = Whole(help_text="Answers that one person may have under way at once.")
    message_length = Whole()
    messages_in_chat = Whole()


# --- Signing in ---


class AccessToken(Shape):
    access_token = Text()
    token_type = Constant("bearer")


class RefreshToken(Shape):
    access_token = Text(help_text="The refresh token.")
    token_type = Constant("refresh")


class TokenPair(Shape):
    access_token = AccessToken()
    refresh_token = RefreshToken()


class Refreshed(AccessToken):
    """The refresh token that came with the request is used up; this one takes its place."""

    refresh_token = RefreshToken()


class TrustedUser(Shape):
    id = Id()
    provider = Text()
    provider_account_id = Text()
    display_name = Text()
    deleted = Flag()
