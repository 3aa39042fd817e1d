"""Read message trees from the files that people have: formats, containers, compression. No database."""
