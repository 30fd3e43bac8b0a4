"""Walk a pilot from prompts to a decision: seven gates, each with its evidence, and a memo."""
