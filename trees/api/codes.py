"""The numbers of the wire for what trees refuse."""

from oasst.api.codes import Wire, register_codes

register_codes(
    {
        "message_not_found": Wire.MESSAGE_NOT_FOUND,
        "tree_not_found": Wire.MESSAGE_NOT_FOUND,
        "message_deleted": Wire.MESSAGE_NOT_FOUND,
        "message_hidden": Wire.MESSAGE_NOT_FOUND,
        "broken_conversation": Wire.BROKEN_CONVERSATION,
        "tree_stopped": Wire.TREE_IN_ABORTED_STATE,
        "prompt_deleted": Wire.TREE_IN_ABORTED_STATE,
        "no_place_left": Wire.TASK_EXPIRED,
        "blank": Wire.TASK_MESSAGE_TEXT_EMPTY,
        "too_long": Wire.TASK_MESSAGE_TOO_LONG,
        "duplicate": Wire.TASK_MESSAGE_DUPLICATED,
        "duplicate_reply": Wire.TASK_MESSAGE_DUPLICATE_REPLY,
        "frontend_id_taken": Wire.TASK_INTERACTION_REQUEST_FAILED,
        "label_not_asked": Wire.TEXT_LABELS_INVALID_LABEL,
        "label_missing": Wire.TEXT_LABELS_MANDATORY_LABEL_MISSING,
        "own_message": Wire.TEXT_LABELS_NO_SELF_LABELING,
        "already_reviewed": Wire.TEXT_LABELS_NO_SELF_LABELING,
        "ranking_incomplete": Wire.INVALID_RANKING_VALUE,
        "ranking_repeats": Wire.INVALID_RANKING_VALUE,
        "ranking_unknown": Wire.CORRUPT_RANKING_RESULT,
        "reply_deleted": Wire.CORRUPT_RANKING_RESULT,
    }
)
