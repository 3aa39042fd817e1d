"""What machines say about a text: toxicity and personal data. Knows nothing of messages and trees."""
