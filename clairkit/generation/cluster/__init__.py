"""Building pairs on many machines, over Ray Data."""

from clairkit.generation.cluster.engine import RayEngine

__all__ = ["RayEngine"]
