"""Sums over rows of x and x xᵀ, of the inputs x of the weight layers of many networks: from patches, or without them.

Neighbouring patches of a convolution share most of their pixels, so most products in the patches' x xᵀ are made several
times. Products of whole rows of pixels with rows that one patch can also see make each of them once: with kernels of
height k on rows of C·W values they are k·H·(C·W)² products an image, where patches have H'·W'·(C·k²)². For 5×5
kernels on 12×12 pixels this is a sixth, and patches need not be copied.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

import torch
from torch import Tensor, nn

PRODUCT_ELEMENTS = 2**23  # in memory at once, of products of rows of pixels


def rows_of(layer: nn.Module, values: Tensor) -> Tensor:
    """Inputs of a layer as a matrix [models, inputs, rows] that its weight is multiplied by, as `capture` gives them.

    values: padded maps [models, channels, height, width, batch] of a convolution, [models, inputs, rows] of others.
    """
    if not isinstance(layer, nn.Conv2d):
        return values
    height, width = windows(layer, values)
    taps = [values[:, :, rows, columns] for rows in height for columns in width]
    return torch.stack(taps, dim=2).flatten(1, 2).flatten(2)


def windows(layer: nn.Conv2d, maps: Tensor) -> list[list[slice]]:
    """The rows and the columns of padded maps [models, channels, height, width, …] that each tap of a kernel sees."""
    return [
        [slice(tap * dilation, size - (taps - 1 - tap) * dilation, stride) for tap in range(taps)]
        for size, taps, dilation, stride in zip(
            maps.shape[2:4], layer.kernel_size, layer.dilation, layer.stride, strict=True
        )
    ]


class Sums(Protocol):
    """Sums over the rows of one layer's inputs, for [models], or for one if all see the same; float64."""

    count: int
    """Rows so far."""

    def size(self, values: Tensor) -> int:
        """Numbers in memory that adding these inputs takes."""
        ...

    def add(self, values: Tensor) -> None:
        """Add the inputs of some images, as in `rows_of`."""
        ...

    def first(self) -> Tensor:
        """Σ x, [models, inputs]"""
        ...

    def second(self) -> Tensor:
        """Σ x xᵀ, [models, inputs, inputs]"""
        ...


def sums_of(layer: nn.Module, values: Tensor) -> Sums:
    """Empty sums for inputs of the shape of `values`, computed in the way that takes fewer products."""
    if isinstance(layer, nn.Conv2d):
        channels, high, wide = values.shape[1:4]
        height, width = windows(layer, values)
        positions = len(range(high)[height[0]]) * len(range(wide)[width[0]])
        by_patches = positions * (channels * len(height) * len(width)) ** 2
        if len(height) * high * (channels * wide) ** 2 < by_patches:
            return PixelSums(layer)
    return PatchSums(layer)


class PatchSums:
    """Sums of the rows themselves."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer, self.count = layer, 0
        self.sum: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def size(self, values: Tensor) -> int:
        return rows_of(self.layer, values).numel()

    def add(self, values: Tensor) -> None:
        rows = rows_of(self.layer, values)
        each = [model.double() for model in rows]  # one at a time in double precision, which takes its memory twice
        self.sum = torch.stack([model.sum(1) for model in each]) + self.sum
        self.products = torch.stack([model @ model.T for model in each]) + self.products
        self.count += rows.shape[2]

    def first(self) -> Tensor:
        return torch.as_tensor(self.sum)

    def second(self) -> Tensor:
        return torch.as_tensor(self.products)


class PixelSums:
    """Sums of the products of rows of pixels, from which those of patches are collected at the end."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer, self.count = layer, 0
        self.pixels: Tensor | float = 0.0  # [models, channels, height, width]
        self.products: dict[tuple[int, int], Tensor] = {}
        """For each two taps one not above the other, of what their rows of pixels see, over all positions of the
        kernel: [models, channels · width, channels · width]."""

    def size(self, values: Tensor) -> int:
        return 2 * values.numel()  # in double precision

    def add(self, values: Tensor) -> None:
        pixels = values.double()
        self.pixels = pixels.sum(-1) + self.pixels
        rows = pixels.transpose(1, 2).flatten(2, 3)  # [models, height, channels · width, images]
        height, width = windows(self.layer, values)
        found: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for some in rows.split(max(1, PRODUCT_ELEMENTS // (rows.shape[1] * rows.shape[2] ** 2))):
            for apart in range(len(height)):
                below = some[:, apart * self.layer.dilation[0] :]
                products = some[:, : below.shape[1]] @ below.mT
                for tap in range(len(height) - apart):
                    found[tap, tap + apart].append(products[:, height[tap]].sum(1))
        for pair, parts in found.items():
            self.products[pair] = torch.cat(parts) + self.products.get(pair, 0.0)
        self.count += pixels[0, 0, height[0], width[0]].numel()

    def first(self) -> Tensor:
        return rows_of(self.layer, torch.as_tensor(self.pixels)[..., None]).sum(2)

    def second(self) -> Tensor:
        pixels = torch.as_tensor(self.pixels)
        height, width = windows(self.layer, pixels)
        models, channels, columns = pixels.shape[0], pixels.shape[1], pixels.shape[3]
        side = channels, len(height), len(width)
        found = torch.empty(models, *side, *side, dtype=torch.float64, device=pixels.device)
        for (upper, lower), products in self.products.items():
            apart = products.view(models, channels, columns, channels, columns)
            for left, of_left in enumerate(width):
                for right, of_right in enumerate(width):
                    both = apart[:, :, of_left, :, of_right].diagonal(dim1=2, dim2=4).sum(-1)
                    found[:, :, upper, left, :, lower, right] = both
                    found[:, :, lower, right, :, upper, left] = both.mT
        return found.flatten(4).flatten(1, 3)
