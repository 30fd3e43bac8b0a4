"""Read, check, identify and write pairs and prompts."""

from clairkit.records.columns import ColumnChoice
from clairkit.records.faults import ROW_CAP
from clairkit.records.leakage import Leakage, leakage
from clairkit.records.output import atomic_write, check_output, safe_child
from clairkit.records.read import read_pairs, read_prompts
from clairkit.records.schema import Message, Pair, PromptRow, canonical_json, digest, pair_id
from clairkit.records.stream import RowStream
from clairkit.records.write import check_rows_output, write_pairs, write_rows

__all__ = [
    "ROW_CAP",
    "ColumnChoice",
    "Leakage",
    "Message",
    "Pair",
    "PromptRow",
    "RowStream",
    "atomic_write",
    "canonical_json",
    "check_output",
    "check_rows_output",
    "digest",
    "leakage",
    "pair_id",
    "read_pairs",
    "read_prompts",
    "safe_child",
    "write_pairs",
    "write_rows",
]
