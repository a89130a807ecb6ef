"""Groups of units, found from the module graph.

Units flow from the layer that writes them through activations, pooling and residual additions to the layers that read
them. Inputs and outputs of the network stay as they are, and so does everything that an unknown operation touches:
every group that is found keeps the function, but a symmetry may be missed.
Source for permutations: Ainsworth et al., Git Re-Basin, arXiv 2209.04836, section 2.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

from zoo_generation.networks.symmetry import operations as ops
from zoo_generation.networks.symmetry.groups import Group, Kind, of_kind
from zoo_generation.networks.symmetry.layers import through_layer
from zoo_generation.networks.symmetry.streams import Streams, Units, freeze, join

KINDS: tuple[Kind, ...] = ("permutation", "flip", "scale")
BATCH = 2


def symmetry_groups(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[Group, ...]:
    """The groups of a module for inputs of shape `input_shape` (without the batch): permutations, flips, scales.

    Each kind's are in forward order. There are none if torch.fx cannot trace the module.
    """
    modes = {each: each.training for each in module.modules()}
    try:
        traced = _traced(module.eval(), input_shape)
    finally:
        for each, training in modes.items():
            each.training = training
    if traced is None:
        return ()
    movable = _movable(module, traced)
    return tuple(group for kind in KINDS for group in _streams(traced, kind).groups(movable))


def permutation_groups(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[Group, ...]:
    """The groups of a module whose units can be permuted, for inputs of shape `input_shape` (without the batch)."""
    return tuple(of_kind(symmetry_groups(module, input_shape), "permutation"))


def _traced(module: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule | None:
    """The graph with the shapes of its tensors, or None."""
    parameter = next(module.parameters(), torch.empty(0))
    images = torch.zeros(BATCH, *input_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        traced = fx.symbolic_trace(module)
        with torch.no_grad(), redirect_stderr(StringIO()):  # it prints a traceback there
            ShapeProp(traced).propagate(images)
    except Exception:  # whatever a user's forward raises when it is handed symbols, or images that it is not made for
        return None
    return traced


def _movable(module: nn.Module, traced: fx.GraphModule) -> set[str]:
    """State-dict entries that one layer uses, and nothing else."""
    state = module.state_dict()
    sharers = Counter(value.data_ptr() for value in state.values())
    read_directly = {node.target for node in traced.graph.nodes if node.op == "get_attr"}
    return {
        name
        for name, value in state.items()
        if value.is_floating_point() and sharers[value.data_ptr()] == 1 and name not in read_directly
    }


def _streams(traced: fx.GraphModule, kind: Kind) -> Streams:
    streams = Streams(kind)
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    known: dict[fx.Node, Units | None] = {}
    for node in traced.graph.nodes:
        inputs, known[node] = node.all_input_nodes, None
        if node.op in ("call_function", "call_method") and node.target in ops.PAIRS and len(node.args) == 2:
            known[node] = _combined(kind, node, [known[each] for each in inputs])
        elif node.op != "output" and node.args and isinstance(node.args[0], fx.Node):
            source = node.args[0]
            if node.op == "call_module":
                once = calls[node.target] == 1
                known[node] = _through_module(streams, traced, node, source, known[source], once)
            else:
                known[node] = _through_function(kind, node, source, known[source])
            freeze(*(known[each] for each in inputs if each is not source))
        else:
            freeze(*(known[each] for each in inputs))
    return streams


def _through_module(
    streams: Streams, traced: fx.GraphModule, node: fx.Node, source: fx.Node, units: Units | None, called_once: bool
) -> Units | None:
    layer = traced.get_submodule(str(node.target))
    kind, exact = streams.kind, type(layer)
    if layer._forward_hooks or layer._forward_pre_hooks or len(node.all_input_nodes) > 1:
        return _passed(units, False)
    if exact in ops.ELEMENTWISE_MODULES:
        return _passed(units, kind in ops.ELEMENTWISE_MODULES[exact])
    if exact in ops.SPATIAL_MODULES:
        dims, kinds = ops.SPATIAL_MODULES[exact]
        return _passed(units, kind in kinds and _is_channelwise(units, source, dims))
    if exact is nn.Upsample:
        return _passed(units, _is_channelwise(units, source))
    if exact in (nn.Flatten, nn.Unflatten):
        return _reshaped(units, source, node)
    if exact.__module__.startswith("torch.nn.modules.") and called_once:
        return through_layer(streams, str(node.target), layer, units, _shape(source), _shape(node))
    return _passed(units, False)


def _through_function(kind: Kind, node: fx.Node, source: fx.Node, units: Units | None) -> Units | None:
    target = node.target
    if target in ops.SIZE_QUERIES or (target is getattr and node.args[1] in ops.SIZE_ATTRIBUTES):
        return None
    if target in ops.ELEMENTWISE:
        return _passed(units, kind in ops.ELEMENTWISE[target] and len(node.all_input_nodes) == 1)
    if target in ops.SPATIAL:
        dims, kinds = ops.SPATIAL[target]
        return _passed(units, kind in kinds and _is_channelwise(units, source, dims))
    if target is F.interpolate:
        return _passed(units, _is_channelwise(units, source))
    if target in ops.RESHAPES:
        return _reshaped(units, source, node)
    if target in ops.REDUCTIONS and kind in ops.REDUCTIONS[target]:
        return _reduced(units, source, node)
    if target in ("permute", "transpose", torch.permute, torch.transpose):
        return _transposed(units, source, node)
    return _passed(units, False)


def _combined(kind: Kind, node: fx.Node, inputs: list[Units | None]) -> Units | None:
    """Sum, product or quotient of two tensors, or of one and a number.

    Units of a sum are those of both terms. So are those of a product when permuted, but its signs are products.
    """
    one, other = node.args
    adds = node.target in ops.SUMS
    if node.kwargs:
        possible = False
    elif isinstance(one, fx.Node) and isinstance(other, fx.Node):
        possible = (adds or kind == "permutation") and len(_shape(one)) == len(_shape(other))
        if possible:
            return join(inputs[0], inputs[-1])
    elif isinstance(one, fx.Node):
        possible = isinstance(other, int | float) and (kind == "permutation" or not adds)
    else:
        possible = isinstance(one, int | float) and (kind == "permutation" or node.target in ops.PRODUCTS)
    freeze(*(inputs if not possible else ()))
    return inputs[0] if possible else None


def _passed(units: Units | None, possible: bool) -> Units | None:
    """The same units, if the symmetry passes; else they stay as they are."""
    if possible:
        return units
    freeze(units)
    return None


def _is_channelwise(units: Units | None, source: fx.Node, dims: int | None = None) -> bool:
    """Whether an operation on the last `dims` dimensions (None: all but two) leaves the units' one alone."""
    return units is not None and units.dim == 1 and dims in (None, len(_shape(source)) - 2)


def _reshaped(units: Units | None, source: fx.Node, node: fx.Node) -> Units | None:
    """Row-major reshaping: the units' dimension stays one, or is merged with those behind it."""
    if units is None:
        return None
    before, after = _shape(source), _shape(node)
    for dim, length in enumerate(after):
        if math.prod(after[:dim]) == math.prod(before[: units.dim]):
            for end in range(units.dim + 1, len(before) + 1):
                if math.prod(before[units.dim : end]) == length:
                    return Units(units.stream, dim, units.repeat * math.prod(before[units.dim + 1 : end]))
    return _passed(units, False)


def _reduced(units: Units | None, source: fx.Node, node: fx.Node) -> Units | None:
    """Mean, sum or maximum over dimensions that are not the units'."""
    count = len(_shape(source))
    gone = {dim % count for dim in _integers(node.args[1] if len(node.args) > 1 else node.kwargs.get("dim"))}
    if units is None or not gone or units.dim in gone:
        return _passed(units, False)
    kept = len(_shape(node)) == count
    return Units(units.stream, units.dim if kept else units.dim - sum(dim < units.dim for dim in gone), units.repeat)


def _transposed(units: Units | None, source: fx.Node, node: fx.Node) -> Units | None:
    """Dimensions in another order."""
    dims = _integers(node.args[1] if len(node.args) == 2 else node.args[1:])
    order = list(range(len(_shape(source))))
    swaps = node.target in ("transpose", torch.transpose)
    if units is None or len(dims) != (2 if swaps else len(order)):
        return _passed(units, False)
    if swaps:
        order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    else:
        order = [order[dim] for dim in dims]
    return Units(units.stream, order.index(units.dim), units.repeat)


def _integers(argument: object) -> list[int]:
    """An argument that is an integer or several; empty for anything else."""
    values = list(argument) if isinstance(argument, tuple | list) else [argument]
    integers = [value for value in values if isinstance(value, int)]
    return integers if len(integers) == len(values) else []


def _shape(node: fx.Node) -> torch.Size:
    """Shape of a tensor; no dimensions for anything else, such as a size."""
    return getattr(node.meta.get("tensor_meta"), "shape", torch.Size())
