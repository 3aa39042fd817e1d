"""Which of two answers is better, counted over many people and machines. Pure: no Django, no torch."""
