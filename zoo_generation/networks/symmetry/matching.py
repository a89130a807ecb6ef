"""Weight matching: the permutation, and the signs, of units that bring a model closest to a reference.

Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836, section 3.2 and algorithm 1. Signs are matched along with
permutations if units can be flipped, by the absolute value of an assignment's gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry.groups import Axis, Group, of_kind, units_along
from zoo_generation.networks.symmetry.maps import multiply, permute

ROUNDS = 50  # at most; coordinate descent ends after a handful
CHUNK_ELEMENTS = 2**25  # weights and similarities of models that are matched at once
TOLERANCE = 1e-6  # of the largest similarity; less is rounding


@dataclass(frozen=True)
class _Block:
    """The units matched in one step: they can be permuted, flipped (in one or several groups), or both."""

    permutation: Group | None
    flips: tuple[Group, ...]

    @property
    def size(self) -> int:
        return (self.permutation or self.flips[0]).size

    def axes(self) -> list[tuple[Axis, tuple[int, ...]]]:
        """Axes of weights, each with which of the flips act on it; BatchNorm's running statistics do not count."""
        axes = self.permutation.axes if self.permutation is not None else self.flips[0].axes
        acting = {
            (axis.entry, axis.dim): tuple(f for f, flip in enumerate(self.flips) if _acts(flip, axis)) for axis in axes
        }
        return [(axis, acting[axis.entry, axis.dim]) for axis in axes if "running_" not in axis.entry]


def match_weights(
    weights: Tensor,
    reference: Tensor,
    layout: Layout,
    groups: Sequence[Group],
    flips: bool = True,
    seed: int = 0,
) -> Tensor:
    """The models [models, D] with their units permuted and flipped to match the reference best; same functions.

    reference: [D], or one for each model [models, D]. Coordinate descent: a group at a time, in random order, the
    assignment of units (and, with `flips`, their signs) that maximises the inner product with the reference given all
    other groups, until nothing changes. The similarities of all models are computed at once. Models that are not finite
    stay as they are.
    """
    blocks = _blocks(groups, flips)
    matched = weights.clone()
    per_model = layout.size + max((block.size**2 for block in blocks), default=0)
    finite = weights.square().sum(1).isfinite().nonzero().flatten()
    for moving in finite.split(max(1, CHUNK_ELEMENTS // per_model)):
        order = torch.Generator().manual_seed(seed)  # a new one, so that no model's result depends on the others
        for _ in range(ROUNDS):
            current, towards = matched[moving], reference if reference.ndim == 1 else reference[moving]
            changed = torch.zeros(len(moving), dtype=torch.bool)
            for b in torch.randperm(len(blocks), generator=order).tolist():
                changed |= _improve(current, towards, layout, blocks[b])
            matched[moving] = current
            moving = moving[changed]
            if not len(moving):
                break
    return matched


def _blocks(groups: Sequence[Group], flips: bool) -> list[_Block]:
    """Each group that can be permuted, with the flips of its units; then the flips of units that cannot be."""
    flippable = of_kind(groups, "flip") if flips else []
    permutable = of_kind(groups, "permutation")
    blocks = [_Block(group, tuple(flip for flip in flippable if group.contains(flip))) for group in permutable]
    alone = [flip for flip in flippable if not any(group.contains(flip) for group in permutable)]
    return blocks + [_Block(None, (flip,)) for flip in alone]


def _improve(current: Tensor, reference: Tensor, layout: Layout, block: _Block) -> Tensor:
    """Match a block's units of the models [models, D] in place. Returns which models [models] changed."""
    parts: dict[tuple[int, ...], Tensor] = {}
    for axis, acting in block.axes():
        similarity = _similarity(current, reference, layout, axis, pairs=block.permutation is not None)
        parts[acting] = parts[acting] + similarity if acting in parts else similarity
    before = _on_diagonal(sum(parts.values(), torch.zeros(())), block).sum(1)
    # The sign of a pair of units under each flip, given those of the flips before: exact unless an axis has several.
    signs: list[Tensor] = []
    for f in range(len(block.flips)):
        total = sum((_signed(part, acting, signs) for acting, part in parts.items() if f in acting), torch.zeros(()))
        signs.append(torch.where(total < 0, -1.0, 1.0))
    similarity = sum((_signed(part, acting, signs) for acting, part in parts.items()), torch.zeros(()))
    if block.permutation is not None:
        best = _assignments(similarity)
        after = similarity.gather(2, best[:, :, None]).sum((1, 2))
        signs = [sign.gather(2, best[:, :, None])[:, :, 0] for sign in signs]
    else:
        after = similarity.sum(1)
    better = after - before > TOLERANCE * similarity.abs().flatten(1).amax(1)
    if better.any():
        improved = current[better]
        if block.permutation is not None:
            for axis in block.permutation.axes:
                permute(improved, layout, axis, best[better])
        for flip, sign in zip(block.flips, signs, strict=True):
            for axis in flip.axes:
                multiply(improved, layout, axis, sign[better])
        current[better] = improved
    return better


def _similarity(weights: Tensor, reference: Tensor, layout: Layout, axis: Axis, pairs: bool) -> Tensor:
    """Inner products of the reference's units with each model's over the slices along an axis.

    Of all `pairs` [models, size, size], or of each unit with the one in its place [models, size].
    """
    theirs, ours = units_along(reference, layout, axis), units_along(weights, layout, axis)
    if not pairs:
        return (theirs * ours).sum((-3, -1), dtype=torch.float64)
    rows = theirs.movedim(-2, -3).flatten(-2)
    columns = ours.movedim(-2, -3).flatten(-2)
    return (rows @ columns.mT).double()


def _signed(similarity: Tensor, acting: tuple[int, ...], signs: list[Tensor]) -> Tensor:
    """Similarities under the signs that are chosen already."""
    for flip in acting:
        if flip < len(signs):
            similarity = similarity * signs[flip]
    return similarity


def _on_diagonal(similarity: Tensor, block: _Block) -> Tensor:
    return similarity.diagonal(dim1=1, dim2=2) if block.permutation is not None else similarity


def _assignments(similarity: Tensor) -> Tensor:
    """For each model the permutation [models, size] of the largest sum of similarities [models, size, size]."""
    from scipy.optimize import linear_sum_assignment

    return torch.stack([torch.from_numpy(linear_sum_assignment(each, maximize=True)[1]) for each in similarity.numpy()])


def _acts(flip: Group, axis: Axis) -> bool:
    return any((axis.entry, axis.dim) == (each.entry, each.dim) for each in flip.axes)
