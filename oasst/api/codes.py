"""The error numbers of the wire, the status that goes with each, and which refusals of the domain they stand for.

Clients keep a fixed table of these numbers, so every refusal carries one of them. An app registers the codes of its own
domain errors (`register_codes`).
"""

from collections.abc import Mapping
from enum import IntEnum


class Wire(IntEnum):
    GENERIC_ERROR = 0
    API_CLIENT_NOT_AUTHORIZED = 2
    ROOT_TOKEN_NOT_AUTHORIZED = 3
    DATABASE_MAX_RETRIES_EXHAUSTED = 4
    SORT_KEY_UNSUPPORTED = 100
    INVALID_CURSOR_VALUE = 101
    TOO_MANY_REQUESTS = 429
    TASK_ACK_FAILED = 1001
    TASK_NACK_FAILED = 1002
    TASK_INTERACTION_REQUEST_FAILED = 1004
    TASK_GENERATION_FAILED = 1005
    TASK_REQUESTED_TYPE_NOT_AVAILABLE = 1006
    TASK_AVAILABILITY_QUERY_FAILED = 1007
    TASK_MESSAGE_TOO_LONG = 1008
    TASK_MESSAGE_DUPLICATED = 1009
    TASK_MESSAGE_TEXT_EMPTY = 1010
    TASK_MESSAGE_DUPLICATE_REPLY = 1011
    TASK_TOO_MANY_PENDING = 1012
    INVALID_FRONTEND_MESSAGE_ID = 2000
    MESSAGE_NOT_FOUND = 2001
    INVALID_RANKING_VALUE = 2003
    BROKEN_CONVERSATION = 2009
    TREE_IN_ABORTED_STATE = 2010
    CORRUPT_RANKING_RESULT = 2011
    AUTH_AND_USERNAME_REQUIRED = 2012
    TEXT_LABELS_WRONG_MESSAGE_ID = 2050
    TEXT_LABELS_INVALID_LABEL = 2051
    TEXT_LABELS_MANDATORY_LABEL_MISSING = 2052
    TEXT_LABELS_NO_SELF_LABELING = 2053  # also: labelled by this person before
    TASK_NOT_FOUND = 2100
    TASK_EXPIRED = 2101
    TASK_PAYLOAD_TYPE_MISMATCH = 2102
    TASK_ALREADY_UPDATED = 2103
    TASK_NOT_ACK = 2104
    TASK_ALREADY_DONE = 2105
    TASK_NOT_ASSIGNED_TO_USER = 2106  # also: not collective
    TASK_UNEXPECTED_PAYLOAD_TYPE = 2107
    HUGGINGFACE_API_ERROR = 3001
    USER_NOT_SPECIFIED = 4000
    USER_DISABLED = 4001
    USER_NOT_FOUND = 4002
    USER_HAS_NOT_ACCEPTED_TOS = 4003
    CACHED_STATS_NOT_AVAILABLE = 6000

    @property
    def status(self) -> int:
        """The HTTP status that clients know the number by."""
        return _STATUS.get(self, 400)


_STATUS = {
    Wire.API_CLIENT_NOT_AUTHORIZED: 403,
    Wire.ROOT_TOKEN_NOT_AUTHORIZED: 403,
    Wire.DATABASE_MAX_RETRIES_EXHAUSTED: 503,
    Wire.TOO_MANY_REQUESTS: 429,
    Wire.TASK_REQUESTED_TYPE_NOT_AVAILABLE: 503,
    Wire.MESSAGE_NOT_FOUND: 404,
    Wire.BROKEN_CONVERSATION: 500,
    Wire.USER_DISABLED: 503,
    Wire.USER_NOT_FOUND: 404,
    Wire.USER_HAS_NOT_ACCEPTED_TOS: 451,
}

_codes: dict[str, Wire] = {}


def register_codes(codes: Mapping[str, Wire]) -> None:
    """Give error codes of the domain their numbers on the wire. Two numbers for one code are a mistake."""
    for code, number in codes.items():
        if _codes.setdefault(code, number) != number:
            raise ValueError(f"{code} already has the number {_codes[code]}")


def number_of(code: str) -> Wire | None:
    return _codes.get(code)


register_codes(
    {
        "api_key": Wire.API_CLIENT_NOT_AUTHORIZED,
        "token": Wire.API_CLIENT_NOT_AUTHORIZED,
        "not_trusted": Wire.API_CLIENT_NOT_AUTHORIZED,
        "foreign_site": Wire.API_CLIENT_NOT_AUTHORIZED,
        "foreign_client": Wire.API_CLIENT_NOT_AUTHORIZED,
        "foreign_person": Wire.API_CLIENT_NOT_AUTHORIZED,
        "root_token": Wire.ROOT_TOKEN_NOT_AUTHORIZED,
        "rate_limited": Wire.TOO_MANY_REQUESTS,
        "locked": Wire.DATABASE_MAX_RETRIES_EXHAUSTED,
        "no_connection": Wire.DATABASE_MAX_RETRIES_EXHAUSTED,
        "sort_key": Wire.SORT_KEY_UNSUPPORTED,
        "bad_cursor": Wire.INVALID_CURSOR_VALUE,
        "identity_incomplete": Wire.AUTH_AND_USERNAME_REQUIRED,
        "no_person": Wire.USER_NOT_SPECIFIED,
        "suspended": Wire.USER_DISABLED,
        "closed": Wire.USER_DISABLED,
        "terms_missing": Wire.USER_HAS_NOT_ACCEPTED_TOS,
        "user_not_found": Wire.USER_NOT_FOUND,
        "key": Wire.GENERIC_ERROR,
        "key_reused": Wire.GENERIC_ERROR,
    }
)
