"""Weight layers of many models as matrices, and the least-squares problem that merging solves for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.architectures.layout import LayoutEntry
from zoo_generation.networks.capture import Moments

RIDGE = 1e-8  # of the mean diagonal of a Gram matrix: decides what no input decides


@dataclass(frozen=True)
class WeightLayer:
    """A convolution or linear layer, whose outputs are its inputs times a matrix.

    parts: groups of a convolution, each with a matrix of its own; bias: None if it has none, or it is not part of the
    matrix.
    """

    name: str
    weight: LayoutEntry
    bias: LayoutEntry | None
    parts: int

    def matrix(self, flat: Tensor) -> Tensor:
        """The matrices in flat weights [..., D]: float64 [..., parts, inputs, outputs], the bias as the last input."""
        weight = flat[..., self.weight.span].unflatten(-1, (self.parts, self.weight.shape[0] // self.parts, -1))
        if self.bias is not None:
            bias = flat[..., self.bias.span].unflatten(-1, (self.parts, -1, 1))
            weight = torch.cat([weight, bias], dim=-1)
        return weight.mT.double()

    def put(self, flat: Tensor, matrix: Tensor) -> None:
        """Write the matrices [..., parts, inputs, outputs] into flat weights [..., D]."""
        rows = matrix.mT.to(flat)
        if self.bias is not None:
            flat[..., self.bias.span] = rows[..., -1].flatten(-2)
            rows = rows[..., :-1]
        flat[..., self.weight.span] = rows.flatten(-3)

    def inputs(self, rows: Tensor) -> Tensor:
        """Inputs [models, inputs, rows] as what the matrices are multiplied by: [models, parts, inputs, rows]."""
        apart = rows.unflatten(1, (self.parts, -1))
        return apart if self.bias is None else torch.cat([apart, torch.ones_like(apart[:, :, :1])], dim=2)

    def gram(self, moments: Moments) -> Tensor:
        """E[x xᵀ] of the inputs x of each model: float64 [models, parts, inputs, inputs], the last input 1 for the
        bias."""
        return moments.grouped(self.name, self.parts, bias=self.bias is not None)


def layers_of(layout: Layout, inputs: Mapping[str, int], *, bias: bool = True) -> list[WeightLayer]:
    """Layers by name and number of inputs, in their order, without those whose weight is no entry."""
    return [_layer(layout, name, bias, count) for name, count in inputs.items() if f"{name}.weight" in layout]


def matrices_of(layout: Layout) -> list[WeightLayer]:
    """All weights of two or more dimensions as matrices, without biases."""
    names = [entry.name.removesuffix(".weight") for entry in layout if len(entry.shape) > 1]
    return [WeightLayer(name, layout[f"{name}.weight"], None, 1) for name in names if f"{name}.weight" in layout]


def _layer(layout: Layout, name: str, bias: bool, inputs: int) -> WeightLayer:
    weight = layout[f"{name}.weight"]
    found = layout[f"{name}.bias"] if bias and f"{name}.bias" in layout else None
    return WeightLayer(name, weight, found, inputs * weight.shape[0] // weight.numel)


def regression(grams: Tensor, matrices: Tensor, start: Tensor) -> Tensor:
    """The matrices W [groups, ..., inputs, outputs] that solve Σᵢ Gᵢ (W - Wᵢ) = 0, as near to `start` as that allows.

    grams: Gᵢ [groups, size, ..., inputs, inputs], symmetric, without negative eigenvalues; matrices: Wᵢ [groups, size,
    ..., inputs, outputs]; start: [groups, ..., inputs, outputs]. All are float64. The solution is (Σᵢ Gᵢ)⁻¹ Σᵢ Gᵢ Wᵢ;
    where inputs never vary, and the sum is singular, it is `start`. With Gᵢ = E[x xᵀ] over model i's inputs it
    minimises Σᵢ E‖x W - x Wᵢ‖² (Jin et al., RegMean, arXiv 2212.09849).
    """
    return solved(grams.sum(1), (grams @ (matrices - start[:, None])).sum(1), start)


def solved(total: Tensor, right: Tensor, start: Tensor) -> Tensor:
    """`start` plus the solution D of `total` D = `right`; 0 in the directions in which `total` is 0.

    NaN for systems that are not finite.
    """
    finite = total.isfinite().flatten(-2).all(-1)[..., None, None]
    total = torch.where(finite, total, torch.eye(total.shape[-1], dtype=total.dtype))
    scale = total.diagonal(dim1=-2, dim2=-1).mean(-1)
    ridge = RIDGE * torch.where(scale > 0, scale, torch.ones_like(scale))
    total = total + ridge[..., None, None] * torch.eye(total.shape[-1], dtype=total.dtype)
    return torch.where(finite, start + torch.cholesky_solve(right, torch.linalg.cholesky(total)), torch.nan)
