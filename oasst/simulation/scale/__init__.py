"""A database of the target size: made-up trees that follow the rules of `trees`, written with COPY."""
