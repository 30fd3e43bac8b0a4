"""clairkit: align an open-weights language model on one GPU.

Importing this package loads nothing heavy; each subpackage brings what it needs:
`records`, `generation`, `scoring`, `batching`, `losses`, `kernels`, `training`, `evaluation`.
"""

__version__ = "0.1.0"
