"""Keep what the model library prints for its developers away from terminals and logs."""

import warnings


def quieten() -> None:
    """Show errors of `transformers` only: no bars of loading, and no notes that read like faults."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    # It calls a method of its own that it has deprecated.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
