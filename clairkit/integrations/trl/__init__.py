"""Give TRL's `DPOTrainer` log-probs from clairkit's kernels: `ClairDPOTrainer`.

from clairkit.integrations.trl import ClairDPOTrainer as DPOTrainer
"""

# `installed` refuses a TRL that is absent or too old, so it has to be imported before `trainer`.
from clairkit.integrations.trl.installed import TRL_VERSION
from clairkit.integrations.trl.trainer import ClairDPOTrainer

__all__ = ["TRL_VERSION", "ClairDPOTrainer"]
