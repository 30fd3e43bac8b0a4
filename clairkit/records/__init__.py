"""Pairs and prompts: their form, their identity, and how files of them are read and written."""

from clairkit.records.identity import canonical_json, digest, pair_id
from clairkit.records.schema import Message, Pair, PromptRow

__all__ = ["Message", "Pair", "PromptRow", "canonical_json", "digest", "pair_id"]
