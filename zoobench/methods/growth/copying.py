"""Growth by copies of units and layers, which learns nothing.

Sources: Chen et al., Net2Net, arXiv 1511.05641; Wang et al., LEMON, arXiv 2310.07999, for uneven shares of copies; Gong
et al., Efficient Training of BERT by Progressively Stacking, 2019, and
Chang et al., Multi-level Residual Networks, arXiv 1710.10348, for layers; Chen et al., bert2BERT, arXiv 2110.07143, for
the knowledge of the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.accuracy import logits
from zoobench.methods.growth.enlargement import Enlargement, State
from zoobench.methods.growth.linear import chosen, deepened, interleaving, stacking, widened
from zoobench.methods.protocols import Grown, InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.target import Target

Shares = Literal["even", "uneven"]

KEPT = 1e-3
"""How far logits may move, as a share of the largest, where a growth is said to keep them: of float32."""


@dataclass(frozen=True)
class Copying(Unlearned):
    """Grows by what it can tell from the small weights alone."""

    def grow(self, small: Population, target: Target, seed: int) -> Grown:
        """See `Grower`."""
        plan = Enlargement.of(small, target)
        return Grown(target.layout.flatten(self.grown(plan, torch.Generator().manual_seed(seed), seed)))

    def grown(self, plan: Enlargement, generator: torch.Generator, seed: int) -> State:
        """Weights of the large network."""
        raise NotImplementedError


def copies(plan: Enlargement, generator: torch.Generator, shares: Shares = "even") -> tuple[list[Tensor], list[Tensor]]:
    """The matrices that `widened` takes for Net2Wider: [models, units after, units before], of writers and of readers.

    Each unit stays, and each further one is a copy of one drawn at random. What reads a unit is divided among its
    copies: in even shares, or in random ones, from 0 to 1.
    """
    models, writes, reads = len(plan.small), [], []
    for group, size in zip(plan.groups, plan.sizes, strict=True):
        drawn = torch.randint(group.size, (models, size - group.size), generator=generator)
        origin = torch.cat([torch.arange(group.size).expand(models, -1), drawn], dim=1)
        copied = torch.nn.functional.one_hot(origin, group.size).double()
        weight = copied * (1.0 if shares == "even" else torch.rand(models, size, 1, generator=generator).double())
        writes.append(copied)
        reads.append(weight / weight.sum(1, keepdim=True))
    return writes, reads


@dataclass(frozen=True)
class Net2Net(Copying):
    """Net2Wider and Net2Deeper: the large network computes what the small one does.

    Units are copied, and what reads them is divided among the copies; `noise`, as a share of the deviation of an
    entry's weights, is added to what the copies read, so that training tells them apart. shares: of the copies in what
    reads them, `even` as published, or `uneven`, which tells them apart without noise. New layers are the identity: a
    residual block ends in a BatchNorm of weight 0, a layer in a row with relu is the unit matrix.
    """

    noise: float = 0.02
    shares: Shares = "even"

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise InputError(f"the noise is {self.noise:g}; give 0 or more")
        if self.shares not in get_args(Shares):
            raise unknown("way to share among copies", self.shares, get_args(Shares))

    def grown(self, plan: Enlargement, generator: torch.Generator, seed: int) -> State:
        state = widened(plan.state, plan, *copies(plan, generator, self.shares))
        if plan.deepens:
            state = with_identities(state, plan, seed)
            _check_kept(plan, state)
        return self._noisy(state, plan, generator)

    def _noisy(self, state: State, plan: Enlargement, generator: torch.Generator) -> State:
        """With noise on the weights, but not biases and norms, that write new units."""
        noisy = dict(state)
        for group in plan.groups:
            for axis in group.axes:
                value = noisy[axis.entry]
                if axis.reads or value.dim() < 3 or not self.noise:
                    continue
                new = torch.arange(value.shape[1 + axis.dim]) >= group.size * axis.repeat
                scale = self.noise * plan.state[axis.entry].flatten(1).std(1)
                added = torch.randn(value.shape, generator=generator) * scale.view(-1, *[1] * (value.dim() - 1))
                shape = [1] * value.dim()
                shape[1 + axis.dim] = -1
                noisy[axis.entry] = value + added.to(value) * new.view(shape)
        return noisy


def with_identities(state: State, plan: Enlargement, seed: int) -> State:
    """The wide network's weights, and those of new layers that change nothing, if activations allow it."""
    new = plan.large.layout.unflatten(plan.large.new_models(len(plan.small), seed))
    grown = {name: state.get(name, value) for name, value in new.items()}
    for layers in (each for each in plan.layers if each.grow):
        for number in set(layers.large) - set(layers.wide):
            entries = layers.entries[number]
            norms = [suffix.removesuffix("running_var") for suffix in entries if suffix.endswith("running_var")]
            for suffix, shape in entries.items():
                name = layers.name(number, suffix)
                if norms and suffix in (f"{norms[-1]}weight", f"{norms[-1]}bias"):
                    grown[name] = torch.zeros_like(grown[name])
                elif not norms:
                    grown[name] = _identity(shape).to(grown[name]).expand_as(grown[name])
    return grown


def _identity(shape: tuple[int, ...]) -> Tensor:
    """The weight of a convolution or linear layer that gives back its input; zeros for a bias."""
    if len(shape) == 1:
        return torch.zeros(shape)
    return torch.eye(*shape) if len(shape) == 2 else torch.nn.init.dirac_(torch.empty(shape))


def _check_kept(plan: Enlargement, state: State) -> None:
    """Raise `InapplicableError` if the first model does not compute what it did, as some random images show."""
    row = plan.small.row
    size = int(row["image_size"])
    images = torch.randn(8, int(row["channels"]), size, size, generator=torch.Generator().manual_seed(0))
    weights = plan.small.weights[:1], plan.large.layout.flatten(state)[:1]
    module = Target.enlarged(plan.small, None, None).module()
    before = logits(weights[0], plan.small.layout, module, images)
    after = logits(weights[1], plan.large.layout, plan.large.module(), images)
    if bool(((after - before).abs() > KEPT * before.abs().max()).any()):
        raise InapplicableError(
            f"net2net makes new layers that change nothing, and with {row['activation']} those of "
            f"{plan.large.row['architecture']} do; take relu, or blocks that pass what comes in"
        )


@dataclass(frozen=True)
class LayerStacking(Copying):
    """More layers as copies of the small network's, all in order and then all again; more units as in Net2Wider."""

    def grown(self, plan: Enlargement, generator: torch.Generator, seed: int) -> State:
        if not plan.deepens:
            raise InapplicableError("stack and interleave copy layers, and the large network has no more of them")
        layers = plan.alike("stack")
        wide = widened(plan.state, plan, *copies(plan, generator))
        return deepened(wide, layers, chosen(layers, self.sources(layers)))

    sources = staticmethod(stacking)
    """Which layer each new one is a copy of."""


@dataclass(frozen=True)
class LayerInterleaving(LayerStacking):
    """The same, each layer beside its copies: interpolation."""

    sources = staticmethod(interleaving)


@dataclass(frozen=True)
class Aki(Copying):
    """Advanced knowledge initialization: a new unit of a layer is a unit of the next one, drawn at random.

    What it reads is divided as in Net2Wider, so the function is not kept, but copies differ. The last layer, and what
    is not in a row of layers of one shape, takes its own units. More layers are then stacked, as published.
    """

    def grown(self, plan: Enlargement, generator: torch.Generator, seed: int) -> State:
        rows = [each for each in plan.layers if each.are_alike and len(each.wide) > 1]
        if not rows or not plan.widens:
            raise InapplicableError(
                "aki makes new units of those of the next layer, which needs more units, and two layers of one shape; "
                f"{plan.small.row['architecture']} at this size has not both"
            )
        matrices = copies(plan, generator)
        following = dict(plan.state)
        for each in rows:
            for here, there in zip(each.wide, each.wide[1:], strict=False):
                following |= {each.name(here, suffix): plan.state[each.name(there, suffix)] for suffix in each.suffixes}
        own, other = widened(plan.state, plan, *matrices), widened(following, plan, *matrices)
        for group in plan.groups:
            for axis in (axis for axis in group.axes if not axis.reads):
                kept = own[axis.entry].narrow(1 + axis.dim, 0, group.size * axis.repeat)
                new = other[axis.entry]
                first = kept.shape[1 + axis.dim]
                added = new.narrow(1 + axis.dim, first, new.shape[1 + axis.dim] - first)
                own[axis.entry] = torch.cat([kept, added], dim=1 + axis.dim)
        layers = plan.alike("aki")
        return deepened(own, layers, chosen(layers, stacking(layers)))


@dataclass(frozen=True)
class RandomPadding(Copying):
    """The small network's weights in one corner of the large one's, and new ones around."""

    def grown(self, plan: Enlargement, generator: torch.Generator, seed: int) -> State:
        new = plan.large.layout.unflatten(plan.large.new_models(len(plan.small), seed))
        for name, value in plan.state.items():
            new[name][tuple(slice(size) for size in value.shape)] = value
        return new


@dataclass(frozen=True)
class Scratch(Unlearned):
    """New models: what training costs without small ones. What it hands in is what others are compared with."""

    def grow(self, small: Population, target: Target, seed: int) -> Grown:
        """See `Grower`."""
        return Grown(target.new_models(len(small), seed))
