"""Turn pairs into padded batches of token ids, with explicit prompt and response masks."""

from clairkit.batching.chat import ChatEncoder, Encoded
from clairkit.batching.encode import EncodedPair, EncodedPairs, encode_pairs

__all__ = ["ChatEncoder", "Encoded", "EncodedPair", "EncodedPairs", "encode_pairs"]
