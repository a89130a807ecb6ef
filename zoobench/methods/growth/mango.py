"""Mango: one linear operator on all layers' weights together, as a ring of small tensors, learned on the loss.

Source: Pan et al., Reusing Pretrained Models by Multi-linear Operators for Efficient Training, arXiv 2310.10699,
section 3 (no code was published).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.descent import Parameters
from zoobench.methods.growth.enlargement import Enlargement, Layers, State
from zoobench.methods.growth.learned import LearnedGrowth
from zoobench.methods.growth.ligo import drawn_rows, drawn_shares, with_unit
from zoobench.methods.growth.linear import deepened, widened
from zoobench.methods.protocols import InapplicableError

RING = ("matrices", "outputs", "layers", "inputs")
SMALL = 0.01  # deviation of what connects the ring beyond rank 1, at the start


@dataclass(frozen=True)
class Mango(LearnedGrowth):
    """The weights of all layers are one tensor [matrices, outputs, layers, inputs], a layer's matrices being the places
    of its kernels; it is multiplied by a ring of four tensors, one per mode, connected by `rank`. What is not in those
    layers goes through the same matrices of outputs and inputs, and the layers' norms through that of layers too.

    As published: the ring, and rank 1 by default. Ours: the mapping to convolutions, the start (the unit matrix
    for matrices; as in LiGO for outputs, inputs and layers; small random numbers beyond rank 1), Adam and its rate.
    """

    learning_rate: float = 0.01
    rank: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise InputError(f"the rank is {self.rank}; give 1 or more")

    def start(self, plan: Enlargement, seed: int) -> dict[str, Tensor]:
        layers, models = _row(plan), len(plan.small)
        generator = torch.Generator().manual_seed(seed)
        units = _units(plan, layers)
        rows = with_unit(drawn_rows(models, units[1] - units[0], units[0], generator))
        matrices = torch.eye(len(_kernels(plan, layers))).expand(models, -1, -1)
        shares = drawn_shares(models, [layers], generator)[layers.container + layers.suffixes[0]]
        first = dict(zip(RING, (matrices, rows, shares, rows), strict=True))
        ring = {}
        for name, value in first.items():
            shape = (models, self.rank, self.rank, *value.shape[1:])
            ring[name] = SMALL * torch.randn(shape, generator=generator)
            ring[name][:, 0, 0] = value
        return ring

    def built(self, plan: Enlargement, parameters: Parameters) -> State:
        return ring_growth(plan, parameters)


def ring_growth(plan: Enlargement, ring: Parameters) -> State:
    """Large weights. ring: for each of `RING` a tensor [models, rank, rank, after, before]."""
    layers, state = _row(plan), plan.state
    names = _kernels(plan, layers)
    weights = torch.stack([torch.stack([_kernel(state, layers, n, at) for n in layers.wide], 1) for at in names], 1)
    weights = weights.permute(0, 1, 3, 2, 4)  # [models, matrices, outputs, layers, inputs]
    around = {mode: ring[mode].diagonal(dim1=1, dim2=2).sum(-1) for mode in RING}
    grown = widened(state, plan, [around["outputs"]] * len(plan.groups), [around["inputs"]] * len(plan.groups))
    grown = deepened(grown, [layers], {layers.container + suffix: around["layers"] for suffix in layers.suffixes})
    mixed = torch.einsum("mrsab,mbolj->mrsaolj", ring["matrices"], weights)
    mixed = torch.einsum("mstpo,mrsaolj->mrtaplj", ring["outputs"], mixed)
    mixed = torch.einsum("mtukl,mrtaplj->mruapkj", ring["layers"], mixed)
    mixed = torch.einsum("murij,mruapkj->mapki", ring["inputs"], mixed)
    for place, number in enumerate(layers.large):
        for suffix in dict.fromkeys(suffix for suffix, _ in names):
            taps = [mixed[:, at, :, place] for at, (of, _) in enumerate(names) if of == suffix]
            name = layers.name(number, suffix)
            grown[name] = torch.stack(taps, dim=-1).reshape(grown[name].shape)
    return grown


def _row(plan: Enlargement) -> Layers:
    """The one container whose layers are all of one shape. Raises `InapplicableError` if there is none."""
    rows = [each for each in plan.layers if each.are_alike and len(each.wide) > 1]
    square = [each for each in rows if all(_is_square(shape) for shape in each.entries[each.large[0]].values())]
    if len(rows) != 1 or rows != square or any(each.grow for each in plan.layers if each is not rows[0]):
        raise InapplicableError(
            "mango makes one tensor of the weights of all layers, which must be square and of one shape; those of "
            f"{plan.large.row['architecture']} are not"
        )
    return rows[0]


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) < 2 or shape[0] == shape[1]


def _units(plan: Enlargement, layers: Layers) -> tuple[int, int]:
    """How many units a layer has in the small network, and in the large one."""
    suffix = next(suffix for suffix, shape in layers.entries[layers.large[0]].items() if len(shape) > 1)
    name = layers.name(layers.wide[0], suffix)
    return plan.small.layout[name].shape[0], plan.wide.layout[name].shape[0]


def _kernels(plan: Enlargement, layers: Layers) -> list[tuple[str, int]]:
    """The matrices of a layer: each entry of two or more dimensions, and the place in its kernel."""
    found = []
    for suffix, shape in layers.entries[layers.large[0]].items():
        if len(shape) > 1:
            taps = torch.Size(shape[2:]).numel()
            found += [(suffix, tap) for tap in range(taps)]
    return found


def _kernel(state: State, layers: Layers, number: int, at: tuple[str, int]) -> Tensor:
    """A matrix [models, outputs, inputs] of a layer."""
    suffix, tap = at
    value = state[layers.name(number, suffix)]
    return value.reshape(*value.shape[:3], -1)[..., tap]
