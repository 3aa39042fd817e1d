"""The error codes of the wire for refusals by trees."""

from oasst.api.error_codes import ErrorCode, register_codes

register_codes(
    {
        "message_not_found": ErrorCode.MESSAGE_NOT_FOUND,
        "tree_not_found": ErrorCode.MESSAGE_NOT_FOUND,
        "message_deleted": ErrorCode.MESSAGE_NOT_FOUND,
        "message_hidden": ErrorCode.MESSAGE_NOT_FOUND,
        "broken_conversation": ErrorCode.BROKEN_CONVERSATION,
        "tree_stopped": ErrorCode.TREE_IN_ABORTED_STATE,
        "prompt_deleted": ErrorCode.TREE_IN_ABORTED_STATE,
        "no_place_left": ErrorCode.TASK_EXPIRED,
        "blank": ErrorCode.TASK_MESSAGE_TEXT_EMPTY,
        "too_long": ErrorCode.TASK_MESSAGE_TOO_LONG,
        "duplicate": ErrorCode.TASK_MESSAGE_DUPLICATED,
        "duplicate_reply": ErrorCode.TASK_MESSAGE_DUPLICATE_REPLY,
        "frontend_id_taken": ErrorCode.TASK_INTERACTION_REQUEST_FAILED,
        "label_not_asked": ErrorCode.TEXT_LABELS_INVALID_LABEL,
        "label_missing": ErrorCode.TEXT_LABELS_MANDATORY_LABEL_MISSING,
        "own_message": ErrorCode.TEXT_LABELS_NO_SELF_LABELING,
        "already_reviewed": ErrorCode.TEXT_LABELS_NO_SELF_LABELING,
        "ranking_incomplete": ErrorCode.INVALID_RANKING_VALUE,
        "ranking_repeats": ErrorCode.INVALID_RANKING_VALUE,
        "ranking_unknown": ErrorCode.CORRUPT_RANKING_RESULT,
        "reply_deleted": ErrorCode.CORRUPT_RANKING_RESULT,
    }
)
