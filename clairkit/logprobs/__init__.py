"""Turn hidden states into log-probs of tokens: the head, packed attention and its checks."""
