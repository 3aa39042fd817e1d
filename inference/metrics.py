"""Counters of the chat, raised where the thing happens."""

from prometheus_client import Counter, Gauge, Histogram

turns_ended = Counter("oasst_chat_turns_ended", "Answers that ended, by how.", ["state"])
tokens = Counter("oasst_chat_tokens", "Tokens that the model wrote.")
first_text_seconds = Histogram(
    "oasst_chat_first_text_seconds",
    "From asking to the first text.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
running = Gauge("oasst_chat_running", "Answers being written.", multiprocess_mode="livesum")
slots = Gauge("oasst_chat_slots", "Answers that could be written at once.", multiprocess_mode="livesum")
tokens_per_second = Gauge("oasst_chat_tokens_per_second", "Over the last seconds.", multiprocess_mode="livesum")
loops_rebuilt = Gauge(
    "oasst_chat_loops_rebuilt", "Model loops that died and were replaced.", multiprocess_mode="livesum"
)
