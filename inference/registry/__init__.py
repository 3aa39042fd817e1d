"""Which models there are, who may choose them, and how they came to be."""
