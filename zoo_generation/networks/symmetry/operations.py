"""Operations without weights, and which symmetries of units pass through them.

A permutation passes if each unit is treated by itself and like all others, a flip if the operation is odd as well, a
positive factor if it is positively homogeneous. Dropout is the identity, as in evaluation.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from zoo_generation.networks.symmetry.groups import Kind

POINTWISE: frozenset[Kind] = frozenset({"permutation"})
ODD: frozenset[Kind] = frozenset({"permutation", "flip"})
HOMOGENEOUS: frozenset[Kind] = frozenset({"permutation", "scale"})
LINEAR: frozenset[Kind] = frozenset({"permutation", "flip", "scale"})

ELEMENTWISE_MODULES: dict[type[nn.Module], frozenset[Kind]] = {
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), LINEAR),
    **dict.fromkeys((nn.AlphaDropout, nn.FeatureAlphaDropout), LINEAR),
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU), HOMOGENEOUS),
    **dict.fromkeys((nn.Tanh, nn.Tanhshrink, nn.Softsign, nn.Softshrink, nn.Hardshrink), ODD),
    **dict.fromkeys((nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid), POINTWISE),
    **dict.fromkeys((nn.ELU, nn.CELU, nn.SELU, nn.ReLU6, nn.Softplus, nn.Hardtanh), POINTWISE),
}

_ELEMENTWISE_NAMES: dict[str, frozenset[Kind]] = {
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d"), LINEAR),
    **dict.fromkeys(("neg", "clone", "contiguous", "float", "double"), LINEAR),
    **dict.fromkeys(("relu", "leaky_relu", "abs"), HOMOGENEOUS),
    **dict.fromkeys(("tanh", "tanhshrink", "softsign", "sin", "atan", "asinh", "erf"), ODD),
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish", "sigmoid", "logsigmoid", "hardsigmoid"), POINTWISE),
    **dict.fromkeys(("elu", "celu", "selu", "relu6", "softplus", "hardtanh", "cos", "exp", "square"), POINTWISE),
}
_IN_PLACE = {f"{name}_": kinds for name, kinds in _ELEMENTWISE_NAMES.items()}

ELEMENTWISE: dict[Any, frozenset[Kind]] = {
    operator.neg: LINEAR,
    **{
        getattr(namespace, name): kinds
        for name, kinds in (_ELEMENTWISE_NAMES | _IN_PLACE).items()
        for namespace in (torch, F)
        if callable(getattr(namespace, name, None))
    },
    **_ELEMENTWISE_NAMES,
    **_IN_PLACE,
}
"""By function, or by name of a tensor's method; of one tensor and numbers."""

_SPATIAL_NAMES: dict[str, frozenset[Kind]] = {
    **dict.fromkeys(
        ("AvgPool", "AdaptiveAvgPool", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"), LINEAR
    ),
    **dict.fromkeys(("MaxPool", "AdaptiveMaxPool"), HOMOGENEOUS),
}
SPATIAL_MODULES: dict[type[nn.Module], tuple[int, frozenset[Kind]]] = {
    getattr(nn, f"{name}{dims}d"): (dims, kinds) for name, kinds in _SPATIAL_NAMES.items() for dims in (1, 2, 3)
}
"""With the number of dimensions, behind batch and channels, that they act on."""

SPATIAL: dict[Any, tuple[int, frozenset[Kind]]] = {
    getattr(namespace, f"{name}{dims}d"): (dims, kinds)
    for name, kinds in {
        "avg_pool": LINEAR,
        "adaptive_avg_pool": LINEAR,
        "max_pool": HOMOGENEOUS,
        "adaptive_max_pool": HOMOGENEOUS,
    }.items()
    for dims in (1, 2, 3)
    for namespace in (torch, F)
    if hasattr(namespace, f"{name}{dims}d")
}

RESHAPES = {torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten} | {
    "flatten",
    "reshape",
    "view",
    "squeeze",
    "unsqueeze",
    "unflatten",
}
REDUCTIONS: dict[Any, frozenset[Kind]] = {
    **dict.fromkeys((torch.mean, torch.sum, "mean", "sum"), LINEAR),
    **dict.fromkeys((torch.amax, "amax"), HOMOGENEOUS),
}
SUMS = {operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub, "add", "add_", "sub", "sub_"}
PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
QUOTIENTS = {operator.truediv, torch.div, "div", "div_"}
PAIRS = SUMS | PRODUCTS | QUOTIENTS
SIZE_QUERIES = {"size", "dim", "numel"}
SIZE_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}
