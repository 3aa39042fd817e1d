"""One act on many messages or people: choose them, see what would happen, let a job do it, undo all of it."""
