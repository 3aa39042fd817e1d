"""The numbers of the wire for what tasks refuse."""

from oasst.api.codes import Wire, register_codes

register_codes(
    {
        "no_work": Wire.TASK_REQUESTED_TYPE_NOT_AVAILABLE,
        "too_many_pending": Wire.TASK_TOO_MANY_PENDING,
        "frontend_id_empty": Wire.INVALID_FRONTEND_MESSAGE_ID,
        "task_not_found": Wire.TASK_NOT_FOUND,
        "task_expired": Wire.TASK_EXPIRED,
        "task_done": Wire.TASK_ALREADY_DONE,
        "already_acknowledged": Wire.TASK_ALREADY_UPDATED,
        "not_acknowledged": Wire.TASK_NOT_ACK,
        "not_collective": Wire.TASK_NOT_ASSIGNED_TO_USER,
        "task_of_another": Wire.TASK_NOT_ASSIGNED_TO_USER,
        "wrong_kind": Wire.TASK_PAYLOAD_TYPE_MISMATCH,
        "no_text_wanted": Wire.TASK_UNEXPECTED_PAYLOAD_TYPE,
        "wrong_message": Wire.TEXT_LABELS_WRONG_MESSAGE_ID,
    }
)
