"""Parts of the data card: text, page, plots, metadata. `trees.interchange.data_card` puts them together."""
