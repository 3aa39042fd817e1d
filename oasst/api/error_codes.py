"""The error numbers of the data API, their HTTP statuses, and the domain errors that they stand for.

Clients have a fixed table of these numbers, so every error has one. Each app registers the codes of its own domain
errors (`register_codes`).
"""

from collections.abc import Mapping
from enum import IntEnum


class ErrorCode(IntEnum):
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
    TEXT_LABELS_NO_SELF_LABELING = 2053  # also: already labeled by this user
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
        """Return the HTTP status that clients expect with this number."""
        return _STATUS.get(self, 400)


_STATUS = {
    ErrorCode.API_CLIENT_NOT_AUTHORIZED: 403,
    ErrorCode.ROOT_TOKEN_NOT_AUTHORIZED: 403,
    ErrorCode.DATABASE_MAX_RETRIES_EXHAUSTED: 503,
    ErrorCode.TOO_MANY_REQUESTS: 429,
    ErrorCode.TASK_REQUESTED_TYPE_NOT_AVAILABLE: 503,
    ErrorCode.MESSAGE_NOT_FOUND: 404,
    ErrorCode.BROKEN_CONVERSATION: 500,
    ErrorCode.USER_DISABLED: 503,
    ErrorCode.USER_NOT_FOUND: 404,
    ErrorCode.USER_HAS_NOT_ACCEPTED_TOS: 451,
}

_numbers: dict[str, ErrorCode] = {}


def register_codes(codes: Mapping[str, ErrorCode]) -> None:
    """Assign error numbers to domain error codes. Raise ValueError if a code already has another number."""
    for code, number in codes.items():
        if _numbers.setdefault(code, number) != number:
            raise ValueError(f"{code} already has the number {_numbers[code]}")


def error_code_of(code: str) -> ErrorCode | None:
    return _numbers.get(code)


register_codes(
    {
        "api_key": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "token": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "not_trusted": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "foreign_site": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "foreign_client": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "foreign_person": ErrorCode.API_CLIENT_NOT_AUTHORIZED,
        "root_token": ErrorCode.ROOT_TOKEN_NOT_AUTHORIZED,
        "rate_limited": ErrorCode.TOO_MANY_REQUESTS,
        "locked": ErrorCode.DATABASE_MAX_RETRIES_EXHAUSTED,
        "no_connection": ErrorCode.DATABASE_MAX_RETRIES_EXHAUSTED,
        "sort_key": ErrorCode.SORT_KEY_UNSUPPORTED,
        "bad_cursor": ErrorCode.INVALID_CURSOR_VALUE,
        "identity_incomplete": ErrorCode.AUTH_AND_USERNAME_REQUIRED,
        "no_person": ErrorCode.USER_NOT_SPECIFIED,
        "suspended": ErrorCode.USER_DISABLED,
        "closed": ErrorCode.USER_DISABLED,
        "terms_missing": ErrorCode.USER_HAS_NOT_ACCEPTED_TOS,
        "user_not_found": ErrorCode.USER_NOT_FOUND,
        "key": ErrorCode.GENERIC_ERROR,
        "key_reused": ErrorCode.GENERIC_ERROR,
    }
)
