"""Layers of many models at once, on maps [models, channels, height, width, batch].

On a CPU, convolutions and pooling are the kernels of `kernels`; elsewhere they are grouped convolutions of
[batch, models · channels, height, width].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.trainers import kernels

Pair = tuple[int, int]

VECTOR = 16  # elements of 64 bytes, the longest vector and the alignment of a tensor


def as_images(maps: Tensor) -> Tensor:
    """Maps as images [batch, models · channels, height, width]."""
    return maps.permute(4, 0, 1, 2, 3).flatten(1, 2)


def as_maps(images: Tensor, models: int) -> Tensor:
    """Images [batch, models · channels, height, width] as maps."""
    return images.unflatten(1, (models, -1)).permute(1, 2, 3, 4, 0)


def convolution(maps: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair) -> Tensor:
    """Convolve each model's maps, already padded, with its weights.

    maps: [models, channels, height, width, batch], or [1, …] where all models see the same; weight: [models,
    outputs, channels, kernel height, kernel width]; bias: [models, outputs].
    """
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        bias = weight.new_zeros(weight.shape[:2]) if bias is None else bias
        return _Convolution.apply(maps, weight, bias, stride, dilation)
    return grouped_convolution(maps, weight, bias, stride, dilation)


def grouped_convolution(maps: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair) -> Tensor:
    """`convolution` as one grouped convolution: the obvious way, and the one for accelerators."""
    models = len(weight)
    flat = None if bias is None else bias.flatten()
    out = F.conv2d(as_images(maps), weight.flatten(0, 1), flat, stride, 0, dilation, models if len(maps) > 1 else 1)
    return as_maps(out, models)


def max_pool(maps: Tensor, size: int) -> Tensor:
    """The largest of each window of size × size."""
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        return _MaxPool.apply(maps, size)
    return as_maps(F.max_pool2d(as_images(maps), size), len(maps))


def linear(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """features [models or 1, inputs, batch], weight [models, outputs, inputs] → [models, outputs, batch].

    On a CPU a convolution of one pixel: what a library's batched product gives depends on the size of the batch.
    """
    if features.device.type == "cpu" and features.dtype == torch.float32:
        pixel = features[:, :, None, None]
        return convolution(pixel, weight[:, :, :, None, None], bias, (1, 1), (1, 1))[:, :, 0, 0]
    out = weight @ features
    return out if bias is None else out + bias[:, :, None]


def elementwise(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply an activation to the values [models, ...].

    Where a model's values do not fill whole vectors, one model at a time: the rest of a vector is computed by other
    code, which rounds otherwise, and whose values are in the rest must not depend on the number of models.
    """
    if values[0].numel() % VECTOR == 0:
        return function(values)
    return torch.cat([function(alone) for alone in values.split(1)])


def standardised(maps: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel of each model with mean 0 and variance 1 over a batch; that mean and variance [models, channels].

    A channel's row is what LayerNorm sees as a sample, which PyTorch vectorises and its BatchNorm of one image not.
    """
    rows = maps.flatten(2)
    out, mean, scale = torch.native_layer_norm(rows, rows.shape[2:], None, None, eps)
    return out.view(maps.shape), mean.detach()[..., 0], scale.detach()[..., 0].pow(-2) - eps


def per_channel(values: Tensor) -> Tensor:
    """Values [models, channels] as factors of maps."""
    return values[:, :, None, None, None]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, stride: Pair, dilation: Pair) -> Tensor:
        maps = maps.contiguous()
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return _convolve(maps, weight, bias, stride, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_maps = _maps_gradient(gradient, weight, maps, ctx.stride, ctx.dilation) if ctx.needs_input_grad[0] else None
        to_weight = _correlate(maps, gradient, weight.shape, ctx.stride, ctx.dilation)
        return to_maps, to_weight, gradient.sum((2, 3, 4)), None, None


def _convolve(maps: Tensor, weight: Tensor, bias: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    models, outputs, _, kernel_height, kernel_width = weight.shape
    height, width, batch = maps.shape[2:]
    rows = (height - dilation[0] * (kernel_height - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (kernel_width - 1) - 1) // stride[1] + 1
    out = maps.new_empty(models, outputs, rows, columns, batch)
    taps = weight.detach().flatten(2)
    offsets = _offsets(maps, weight.shape, dilation)
    taps = F.pad(taps, (0, len(offsets) - taps.shape[2])).contiguous()
    kernels.convolve(
        maps.detach().flatten(1).numpy(),
        taps.numpy(),
        bias.detach().contiguous().numpy(),
        offsets,
        stride[0] * width * batch,
        stride[1] * batch,
        _pieces(out, stride).numpy(),
    )
    return out


def _correlate(maps: Tensor, gradient: Tensor, shape: torch.Size, stride: Pair, dilation: Pair) -> Tensor:
    """Gradient of a weight of that shape."""
    width, batch = maps.shape[3:]
    offsets = _offsets(maps, shape, dilation)
    out = maps.new_empty(*shape[:2], len(offsets))
    kernels.correlate(
        maps.flatten(1).numpy(),
        _pieces(gradient, stride).numpy(),
        offsets,
        stride[0] * width * batch,
        stride[1] * batch,
        out.numpy(),
    )
    return out[:, :, : shape[2:].numel()].reshape(shape)


def _maps_gradient(gradient: Tensor, weight: Tensor, maps: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    """A convolution of the gradient, zeros between its elements where there is a stride, with the flipped weights."""
    models, outputs = gradient.shape[:2]
    _, channels, height, width, batch = maps.shape
    margins = [dilation[axis] * (weight.shape[3 + axis] - 1) for axis in (0, 1)]
    spread = gradient.new_zeros(models, outputs, height + margins[0], width + margins[1], batch)
    inner = spread[:, :, margins[0] : height, margins[1] : width]
    inner[:, :, :: stride[0], :: stride[1]][:, :, : gradient.shape[2], : gradient.shape[3]] = gradient
    turned = weight.detach().flip(3, 4).transpose(1, 2)
    result = _convolve(spread, turned, gradient.new_zeros(models, channels), (1, 1), dilation)
    return result if len(maps) == models else result.sum(0, keepdim=True)


def _offsets(maps: Tensor, shape: torch.Size, dilation: Pair) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each tap's input begins, in elements; filled up to a multiple of `TAPS` with taps of no weight."""
    height, width, batch = maps.shape[2:]
    channel, row, column = np.ix_(*(np.arange(size, dtype=np.int64) for size in shape[2:]))
    offsets = (((channel * height + row * dilation[0]) * width + column * dilation[1]) * batch).ravel()
    return np.pad(offsets, (0, -len(offsets) % kernels.TAPS))


def _pieces(maps: Tensor, stride: Pair) -> Tensor:
    """Maps as [models, channels, rows, pieces, elements]: a row's input is one piece only where nothing is skipped."""
    return maps.flatten(3).unsqueeze(3) if stride[1] == 1 else maps


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, size: int) -> Tensor:
        models, channels, height, width, batch = maps.shape
        out = maps.new_empty(models, channels, height // size, width // size, batch)
        which = torch.empty_like(out)
        flat = maps.detach().contiguous().flatten(0, 1).numpy()
        kernels.max_pool(flat, size, out.flatten(0, 1).numpy(), which.flatten(0, 1).numpy())
        ctx.save_for_backward(which)
        ctx.size, ctx.shape = size, maps.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (which,) = ctx.saved_tensors
        out = gradient.new_empty(ctx.shape)
        flat = gradient.contiguous().flatten(0, 1).numpy()
        kernels.max_unpool(flat, which.flatten(0, 1).numpy(), ctx.size, out.flatten(0, 1).numpy())
        return out, None
