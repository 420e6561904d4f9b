"""Learning: what is kept of answered questions, how they turned out, and what is made of it."""
