"""Import and export of the data set: OASST JSON Lines, one message tree per line."""
