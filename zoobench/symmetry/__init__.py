"""Symmetries of weights: permutation groups of hidden units, and weight matching."""

from zoobench.symmetry.groups import Axis, PermutationGroup, permutation_groups
from zoobench.symmetry.matching import match_weights
from zoobench.symmetry.permute import permutation_index, random_permutations

__all__ = [
    "Axis",
    "PermutationGroup",
    "match_weights",
    "permutation_groups",
    "permutation_index",
    "random_permutations",
]
