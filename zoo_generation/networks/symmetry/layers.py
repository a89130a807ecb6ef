"""How units pass through layers with weights: which entries write them, and which read them."""

from __future__ import annotations

from torch import Size, Tensor, nn

from zoo_generation.networks.symmetry.groups import Axis
from zoo_generation.networks.symmetry.streams import Streams, Units, add_axes, freeze

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
InstanceNorm = nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d
Norm = BatchNorm | InstanceNorm | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm

SMALLEST_DIMENSIONS: dict[type[nn.Module], int] = {nn.InstanceNorm1d: 3, nn.InstanceNorm2d: 4, nn.InstanceNorm3d: 5}
"""For inputs with a batch."""


def through_layer(
    streams: Streams, name: str, layer: nn.Module, units: Units | None, before: Size, after: Size
) -> Units | None:
    """Units of the output [*after] of the layer of that name, whose input [*before] has `units`."""
    if isinstance(layer, nn.Linear):
        return _mixed(streams, name, layer, units, len(before) - 1, after)
    if isinstance(layer, Convolution | Transposed) and len(before) == layer.weight.dim():
        if layer.groups == 1:
            return _mixed(streams, name, layer, units, 1, after)
        if isinstance(layer, Convolution):
            return _grouped(streams, name, layer, units)
    if isinstance(layer, Norm) and len(before) >= SMALLEST_DIMENSIONS.get(type(layer), 2):
        return _normalised(streams, name, layer, units, before)
    if isinstance(layer, nn.PReLU):
        return _prelu(streams, name, layer, units)
    freeze(units)
    return None


def _mixed(
    streams: Streams, name: str, layer: nn.Linear | Convolution | Transposed, units: Units | None, dim: int, after: Size
) -> Units:
    """Each output along `dim` is a sum over all inputs along it."""
    writes, reads = (1, 0) if isinstance(layer, Transposed) else (0, 1)
    if units is not None and units.dim == dim:
        add_axes(units, Axis(f"{name}.weight", reads, units.repeat, reads=True))
    else:
        freeze(units)
    return streams.new(after[dim], dim, [Axis(f"{name}.weight", writes), *_axes(name, layer, "bias")])


def _grouped(streams: Streams, name: str, layer: Convolution, units: Units | None) -> Units | None:
    """Each output of a depthwise convolution has one input; of another grouped convolution it has a few.

    Permutations of a few have no axis of their own: such units stay. An output's sign and scale are always its own.
    """
    depthwise = layer.groups == layer.in_channels and units is not None and units.dim == 1
    repeat = units.repeat * layer.out_channels // layer.in_channels if units is not None else 1
    if streams.kind == "permutation":
        if units is None or not depthwise:
            freeze(units)
            return None
        add_axes(units, *_axes(name, layer, "weight", "bias", repeat=repeat))
        return Units(units.stream, 1, repeat)
    if units is not None and depthwise:
        add_axes(units, Axis(f"{name}.weight", 0, repeat, reads=True))
    else:
        freeze(units)
    return streams.new(layer.out_channels, 1, _axes(name, layer, "weight", "bias"))


def _normalised(streams: Streams, name: str, layer: Norm, units: Units | None, shape: Size) -> Units | None:
    """Normalization permutes along with its input, but the signs and scales of its output belong to its own weight.

    (A flip in front of BatchNorm together with one of its weight and its running mean would also be exact. It is left
    out: weights of BatchNorm begin at one and hardly change sign, so it has a canonical form already.) GroupNorm of
    several channels per group would permute channels only within groups: such units stay.
    """
    first = len(shape) - len(layer.normalized_shape) if isinstance(layer, nn.LayerNorm | nn.RMSNorm) else 1
    if streams.kind != "permutation":
        freeze(units)
        written = _axes(name, layer, "weight", "bias")
        return streams.new(shape[first], first, written) if written else None
    alike = not isinstance(layer, nn.GroupNorm) or layer.num_groups in (1, layer.num_channels)
    last = len(shape) - 1 if isinstance(layer, nn.LayerNorm | nn.RMSNorm) else 1
    if units is None or not alike or not first <= units.dim <= last:
        freeze(units)
        return None
    parts = ("weight", "bias", "running_mean", "running_var")
    add_axes(units, *_axes(name, layer, *parts, dim=units.dim - first, repeat=units.repeat))
    return units


def _prelu(streams: Streams, name: str, layer: nn.PReLU, units: Units | None) -> Units | None:
    """Positively homogeneous, with one slope for all units or one for each index of dimension 1."""
    shared = layer.num_parameters == 1
    if units is None or streams.kind == "flip" or not (shared or units.dim == 1):
        freeze(units)
        return None
    if streams.kind == "permutation" and not shared:
        add_axes(units, Axis(f"{name}.weight", 0, units.repeat))
    return units


def _axes(name: str, layer: nn.Module, *parts: str, dim: int = 0, repeat: int = 1) -> list[Axis]:
    """An axis for each of the parts that the layer has."""
    present = [part for part in parts if isinstance(getattr(layer, part, None), Tensor)]
    return [Axis(f"{name}.{part}", dim, repeat) for part in present]
