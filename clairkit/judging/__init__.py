"""Ask a judge which of two answers is better, in both orders, and read its verdicts."""
