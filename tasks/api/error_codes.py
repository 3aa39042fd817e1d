"""The wire's error numbers for the domain errors of tasks."""

from oasst.api.error_codes import ErrorCode, register_codes

register_codes(
    {
        "no_work": ErrorCode.TASK_REQUESTED_TYPE_NOT_AVAILABLE,
        "too_many_pending": ErrorCode.TASK_TOO_MANY_PENDING,
        "frontend_id_empty": ErrorCode.INVALID_FRONTEND_MESSAGE_ID,
        "task_not_found": ErrorCode.TASK_NOT_FOUND,
        "task_expired": ErrorCode.TASK_EXPIRED,
        "task_done": ErrorCode.TASK_ALREADY_DONE,
        "already_acknowledged": ErrorCode.TASK_ALREADY_UPDATED,
        "not_acknowledged": ErrorCode.TASK_NOT_ACK,
        "not_collective": ErrorCode.TASK_NOT_ASSIGNED_TO_USER,
        "task_of_another": ErrorCode.TASK_NOT_ASSIGNED_TO_USER,
        "wrong_kind": ErrorCode.TASK_PAYLOAD_TYPE_MISMATCH,
        "no_text_wanted": ErrorCode.TASK_UNEXPECTED_PAYLOAD_TYPE,
        "wrong_message": ErrorCode.TEXT_LABELS_WRONG_MESSAGE_ID,
    }
)
