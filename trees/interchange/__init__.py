"""The data set in and out: OASST JSON Lines, one message tree a line."""
