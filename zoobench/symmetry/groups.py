"""Permutation groups of hidden units, found from the module graph.

Hidden units that are permuted together (outputs of a layer, its normalization, inputs of the layers that read it)
form a group. Residual additions join groups. Inputs and outputs of the network stay as they are, and so does whatever
an operation touches that is not known here. Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836, section 2.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

CHANNELWISE_MODULES = (
    nn.ReLU,
    nn.Tanh,
    nn.GELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.LeakyReLU,
    nn.Dropout,
    nn.Identity,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
CHANNELWISE_FUNCTIONS = {
    F.relu,
    F.gelu,
    F.tanh,
    F.sigmoid,
    F.max_pool2d,
    F.avg_pool2d,
    F.dropout,
    torch.relu,
    torch.tanh,
}
ADDITIONS = {operator.add, operator.iadd, torch.add}


@dataclass(frozen=True)
class Axis:
    """An axis of a state-dict entry that a group permutes; each unit is `repeat` consecutive indices of it."""

    entry: str
    dim: int
    repeat: int = 1


@dataclass(frozen=True)
class PermutationGroup:
    """Hidden units that are permuted together wherever they appear."""

    size: int
    axes: tuple[Axis, ...]


@dataclass(eq=False)
class _Group:
    size: int
    frozen: bool = False
    axes: list[Axis] = field(default_factory=list)
    joined: _Group | None = None

    def root(self) -> _Group:
        return self if self.joined is None else self.joined.root()

    def join(self, other: _Group) -> None:
        one, two = self.root(), other.root()
        if one is not two:
            one.axes += two.axes
            one.frozen |= two.frozen
            two.joined = one


@dataclass(frozen=True)
class _Channels:
    """What is known of a tensor's second axis: whose units it holds, and how many consecutive indices a unit has."""

    group: _Group
    repeat: int = 1


def permutation_groups(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[PermutationGroup, ...]:
    """The groups of a module for inputs of shape `input_shape` (without the batch), in forward order."""
    traced = fx.symbolic_trace(module.eval())
    with torch.no_grad():
        ShapeProp(traced).propagate(torch.zeros(2, *input_shape))
    groups: list[_Group] = []
    channels: dict[fx.Node, _Channels | None] = {}
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in traced.graph.nodes:
        known = [channels[each] for each in node.all_input_nodes]
        if node.op == "placeholder":
            channels[node] = _Channels(_Group(input_shape[0], frozen=True))
        elif node.op == "call_module" and (calls[node.target] == 1 or not list(modules[node.target].parameters())):
            channels[node] = _through_module(modules[node.target], node, known[0], groups)
        elif _is_addition(node) and len(known) == 2:
            channels[node] = _added(*known)
        elif _is_flatten(node):
            channels[node] = _flattened(known[0], node)
        elif node.op == "call_function" and node.target in CHANNELWISE_FUNCTIONS:
            channels[node] = known[0]
        else:
            _freeze(*known)
            channels[node] = None
    free = [group for group in groups if group.joined is None and not group.frozen]
    return tuple(PermutationGroup(group.size, tuple(group.axes)) for group in free)


def _through_module(layer: nn.Module, node: fx.Node, known: _Channels | None, groups: list[_Group]) -> _Channels | None:
    name = str(node.target)
    if isinstance(layer, CHANNELWISE_MODULES):
        return known
    if isinstance(layer, nn.Flatten):
        return _flattened(known, node)
    if _mixes_channels(layer, node):
        if known is not None:
            known.group.root().axes.append(Axis(f"{name}.weight", 1, known.repeat))
        output = _Group(_shape(node)[1])
        output.axes += [Axis(f"{name}.{part}", 0) for part in ("weight", "bias") if getattr(layer, part) is not None]
        groups.append(output)
        return _Channels(output)
    if known is not None and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and known.repeat == 1:
        known.group.root().axes += [
            Axis(f"{name}.{part}", 0)
            for part in ("weight", "bias", "running_mean", "running_var")
            if getattr(layer, part) is not None
        ]
        return known
    _freeze(known)
    return None


def _mixes_channels(layer: nn.Module, node: fx.Node) -> bool:
    """Whether a layer's outputs are units of their own, each a sum over all input channels."""
    dimensions = len(_shape(node.all_input_nodes[0]))
    return (isinstance(layer, nn.Linear) and dimensions == 2) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _is_addition(node: fx.Node) -> bool:
    return (node.op == "call_function" and node.target in ADDITIONS) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )


def _is_flatten(node: fx.Node) -> bool:
    return (node.op, node.target) in (("call_function", torch.flatten), ("call_method", "flatten"))


def _shape(node: fx.Node) -> torch.Size:
    shape: torch.Size = node.meta["tensor_meta"].shape
    return shape


def _flattened(known: _Channels | None, node: fx.Node) -> _Channels | None:
    before, after = _shape(node.all_input_nodes[0]), _shape(node)
    if known is None or after != (before[0], math.prod(before[1:])):
        _freeze(known)
        return None
    return _Channels(known.group, known.repeat * math.prod(before[2:]))


def _added(one: _Channels | None, other: _Channels | None) -> _Channels | None:
    if one is None or other is None or one.repeat != other.repeat or one.group.root().size != other.group.root().size:
        _freeze(one, other)
        return None
    one.group.join(other.group)
    return one


def _freeze(*known: _Channels | None) -> None:
    for channels in known:
        if channels is not None:
            channels.group.root().frozen = True
