"""Symmetries of weights: permutations, flips and scales of hidden units, and weight matching."""

from zoo_generation.networks.symmetry.closest import learnable_distance, match_closest
from zoo_generation.networks.symmetry.find import permutation_groups, symmetry_groups
from zoo_generation.networks.symmetry.fingerprint import fingerprint
from zoo_generation.networks.symmetry.groups import Axis, Group, Kind
from zoo_generation.networks.symmetry.maps import (
    permutation_index,
    random_permutations,
    random_symmetries,
    symmetry_map,
)
from zoo_generation.networks.symmetry.matching import match_weights
from zoo_generation.networks.symmetry.scaling import balance_scales

__all__ = [
    "Axis",
    "Group",
    "Kind",
    "balance_scales",
    "fingerprint",
    "learnable_distance",
    "match_closest",
    "match_weights",
    "permutation_groups",
    "permutation_index",
    "random_permutations",
    "random_symmetries",
    "symmetry_groups",
    "symmetry_map",
]
