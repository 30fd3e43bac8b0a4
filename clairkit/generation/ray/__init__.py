"""Build pairs on many machines, over Ray Data."""

from clairkit.generation.ray.engine import RayEngine

__all__ = ["RayEngine"]
