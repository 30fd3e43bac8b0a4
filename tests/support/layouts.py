"""Layouts of packed sequences at random, and what their tokens see."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from clairkit.batching.pack import PackedLayout, Tree


def seen(layout: PackedLayout, window: int | None) -> Tensor:
    """Return which tokens each token sees, [T, T], token by token from the layout's words."""
    places = []
    for number, tree in enumerate(layout.trees):
        for part, length in enumerate(tree[1:]):
            start = tree.prefix if part else 0
            places += [(number, part, start + step) for step in range(length)]
    return torch.tensor(
        [
            [
                key_tree == tree
                and key_part in (0, part)
                and key_at <= at
                and (window is None or at - key_at < window)
                for key_tree, key_part, key_at in places
            ]
            for tree, part, at in places
        ]
    )


def some_layout(seed: int, longest: int = 40) -> PackedLayout:
    draw = random.Random(seed)
    trees: list[Tree] = []
    for _ in range(draw.randint(1, 4)):
        start = sum(tree.length for tree in trees)
        branches = (
            (draw.randint(0, longest), draw.randint(0, longest)) if draw.random() < 0.8 else ()
        )
        trees.append(Tree(start, draw.randint(1, longest), *branches))
    return PackedLayout(tuple(trees))
