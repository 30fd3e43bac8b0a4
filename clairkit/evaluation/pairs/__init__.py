"""Read pairs with models: log-probs, rewards, verdicts of a judge, masks of a loss."""
