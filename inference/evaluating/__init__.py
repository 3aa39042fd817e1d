"""How good a model is, beside another one, and whether that is enough to serve it. No Django: files and folders."""
