"""Looking around in the data set: what is searched for, finding it, and the excerpts that lists show."""
