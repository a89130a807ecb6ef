"""Layers of many models at once, on maps [models, channels, height, width, batch].

On a CPU, convolutions and pooling are the kernels of `kernels`. Elsewhere convolutions are grouped ones of
[batch, models · channels, height, width], or, where a GPU is slow at these, batched matrix products of unfolded maps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.networks import kernels

Pair = tuple[int, int]

QUICK = 8  # channels, of which a GPU's grouped convolutions run quickly in multiples
VECTOR = 16  # elements of 64 bytes, the longest vector and the alignment of a tensor


def as_images(maps: Tensor) -> Tensor:
    """Maps as images [batch, models · channels, height, width]."""
    return maps.permute(4, 0, 1, 2, 3).flatten(1, 2)


def as_maps(images: Tensor, models: int) -> Tensor:
    """Images [batch, models · channels, height, width] as maps."""
    return images.unflatten(1, (models, -1)).permute(1, 2, 3, 4, 0)


def convolution(
    maps: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair, pool: int = 1
) -> Tensor:
    """Convolve each model's maps, already padded, with its weights; if `pool` is 2, keep the largest of each 2 × 2.

    maps: [models, channels, height, width, batch], or [1, …] if all models see the same; weight: [models,
    outputs, channels, kernel height, kernel width]; bias: [models, outputs]. On a CPU, in float32, weight and
    bias may have a last dimension of `kernels.EACH` images, both or neither, along which they are equal; their gradient
    is then that of each image alone. Such a convolution has a stride and a dilation of 1.
    """
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        bias = weight.new_zeros(*weight.shape[:2], *weight.shape[5:]) if bias is None else bias
        return _Convolution.apply(maps, weight, bias, stride, dilation, pool)
    slow = maps.device.type != "cpu" and any(channels % QUICK for channels in weight.shape[1:3])
    way = unfolded_convolution if slow and len(maps) == len(weight) > 1 else grouped_convolution
    return way(maps, weight, bias, stride, dilation, pool)


def unfolded_convolution(
    maps: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair, pool: int = 1
) -> Tensor:
    """`convolution` as a batched matrix product, for maps of each model's own.

    A GPU's library runs the groups of a grouped convolution one after another unless their channels are multiples of
    `QUICK`: it then takes up to nineteen times as long as this, though for a few shapes it is as quick.
    """
    if torch.is_autocast_enabled(maps.device.type):
        kind = torch.get_autocast_dtype(maps.device.type)
        maps, weight = maps.to(kind), weight.to(kind)
    out = _Unfolded.apply(maps, weight, stride, dilation)
    if bias is not None:
        out = out + per_channel(bias).to(out.dtype)
    return out if pool == 1 else F.max_pool3d(out, (pool, pool, 1))


def grouped_convolution(
    maps: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair, pool: int = 1
) -> Tensor:
    """`convolution` as one grouped convolution: the obvious way."""
    models = len(weight)
    flat = None if bias is None else bias.flatten()
    images = as_images(maps)
    if torch.is_autocast_enabled(maps.device.type):  # in bfloat16 a GPU's matrix units read channels last
        images = images.contiguous(memory_format=torch.channels_last)
    out = F.conv2d(images, weight.flatten(0, 1), flat, stride, 0, dilation, models if len(maps) > 1 else 1)
    return as_maps(out if pool == 1 else F.max_pool2d(out, pool), models)


def max_pool(maps: Tensor) -> Tensor:
    """The largest of each window of 2 × 2."""
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        return _MaxPool.apply(maps)
    return F.max_pool3d(maps, (2, 2, 1))


def linear(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """features [models or 1, inputs, batch], weight [models, outputs, inputs] → [models, outputs, batch].

    Weights may be those of each image, see `convolution`. On a CPU it is a convolution of one pixel: a library's
    batched product depends on the size of the batch.
    """
    if features.device.type == "cpu" and features.dtype == torch.float32:
        pixel = features[:, :, None, None]
        return convolution(pixel, weight[:, :, :, None, None], bias, (1, 1), (1, 1))[:, :, 0, 0]
    out = weight @ features
    return out if bias is None else out + bias[:, :, None]


def tanh(values: Tensor) -> Tensor:
    """The hyperbolic tangent of the values [models, ...]."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        return _Tanh.apply(values)
    return torch.tanh(values)


def elementwise(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply an activation to the values [models, ...].

    On a CPU, if a model's values do not fill whole vectors, models are taken one at a time: the rest of a vector is
    computed by other code, which rounds differently, and which model's values are in the rest must not depend on their
    number.
    """
    if values.device.type != "cpu" or values[0].numel() % VECTOR == 0:
        return function(values)
    return torch.cat([function(alone) for alone in values.split(1)])


def standardised(maps: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel of each model with mean 0 and variance 1 over a batch; that mean and variance [models, channels].

    A channel's row is one sample of LayerNorm, which PyTorch vectorises, as it does not do with BatchNorm of one image.
    """
    rows = maps.flatten(2)
    out, mean, scale = torch.native_layer_norm(rows, rows.shape[2:], None, None, eps)
    return out.view(maps.shape), mean.detach()[..., 0], scale.detach()[..., 0].pow(-2) - eps


def per_channel(values: Tensor) -> Tensor:
    """Values [models, channels] as factors of maps."""
    return values[:, :, None, None, None]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, stride: Pair, dilation: Pair, pool: int
    ) -> Tensor:
        ctx.each = weight.dim() == 6
        if ctx.each:
            weight, bias = weight[..., 0], bias[..., 0]
        maps = maps.contiguous()
        models, outputs = weight.shape[:2]
        height, width, batch = maps.shape[2:]
        rows = (height - dilation[0] * (weight.shape[3] - 1) - 1) // stride[0] + 1
        columns = (width - dilation[1] * (weight.shape[4] - 1) - 1) // stride[1] + 1
        out = maps.new_empty(models, outputs, rows // pool, columns // pool, batch)
        which = torch.empty_like(out) if pool > 1 else out
        offsets = _offsets(maps.shape, weight.shape, dilation)
        taps = F.pad(weight.detach().flatten(2), (0, len(offsets) - weight.shape[2:].numel()))
        row, step = stride[0] * width * batch, stride[1] * batch
        kernels.convolve(
            maps.detach().flatten(1).numpy(),
            taps.contiguous().numpy(),
            bias.detach().contiguous().numpy(),
            offsets,
            row,
            step,
            pool,
            out.numpy(),
            which.numpy(),
        )
        ctx.save_for_backward(maps, weight, *([which] if pool > 1 else []))
        ctx.geometry = stride, dilation, pool, offsets, row, step
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, *pooled = ctx.saved_tensors
        stride, dilation, pool, offsets, row, step = ctx.geometry
        gradient = gradient.contiguous()
        which = (pooled or [gradient])[0].numpy()
        if ctx.each:
            to_weight = _of_each(maps, gradient, which, weight.shape, pool)
        else:
            to_weight = maps.new_empty(*weight.shape[:2], len(offsets))
            images = maps.flatten(1).numpy()
            kernels.correlate(images, gradient.numpy(), which, offsets, row, step, pool, to_weight.numpy())
            to_weight = to_weight[:, :, : weight.shape[2:].numel()].reshape(weight.shape)
        to_bias = gradient.sum((2, 3)) if ctx.each else gradient.sum((2, 3, 4))
        to_maps = None
        if ctx.needs_input_grad[0]:
            to_maps = maps.new_empty(len(weight), *maps.shape[1:])
            turned = weight.detach().flip(4).transpose(1, 2).contiguous().numpy()
            flat = to_maps.flatten(3).numpy()
            kernels.convolve_back(gradient.numpy(), which, turned, stride, dilation, pool, flat)
            to_maps = to_maps if len(maps) == len(weight) else to_maps.sum(0, keepdim=True)
        return to_maps, to_weight, to_bias, None, None, None


def _of_each(maps: Tensor, gradient: Tensor, which: Any, shape: torch.Size, pool: int) -> Tensor:
    """The gradient of a convolution's weights for each image alone: [*shape, images]."""
    if maps.shape[2:4].numel() == shape[3:].numel() == 1:  # a linear layer
        return (gradient.flatten(2)[:, :, None] * maps.flatten(2)[:, None])[:, :, :, None, None]
    more = -shape[4] % kernels.TAPS
    wide = F.pad(maps, (0, 0, 0, more)).numpy()
    found = maps.new_empty(*shape[:4], shape[4] + more, kernels.EACH)
    kernels.correlate_each(wide, gradient.numpy(), which, pool, found.numpy())
    return found[:, :, :, :, : shape[4]]


class _Unfolded(torch.autograd.Function):
    """The columns, many times as large as the maps, are made again for the backward pass rather than kept.

    The backward pass can be differentiated too, as exact Hessians need.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.geometry = stride, dilation
        columns = _columns(maps, weight, stride, dilation)
        out = weight.flatten(2) @ columns.flatten(4).flatten(1, 3)
        return out.unflatten(2, columns.shape[4:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        stride, dilation = ctx.geometry
        columns = _columns(maps, weight, stride, dilation)
        shape, flat = columns.shape, gradient.flatten(2)
        to_weight = (flat @ columns.flatten(4).flatten(1, 3).transpose(1, 2)).view_as(weight)
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None, None
        back = (weight.flatten(2).transpose(1, 2) @ flat).view(shape)
        to_maps = torch.zeros_like(maps)
        for row, column in itertools.product(range(shape[2]), range(shape[3])):
            rows = slice(row * dilation[0], row * dilation[0] + stride[0] * (shape[4] - 1) + 1, stride[0])
            across = slice(column * dilation[1], column * dilation[1] + stride[1] * (shape[5] - 1) + 1, stride[1])
            to_maps[:, :, rows, across] += back[:, :, row, column]
        return to_maps, to_weight, None, None


def _columns(maps: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    """What each weight is multiplied with: [models, channels, kernel height, kernel width, height, width, batch]."""
    height, width = ((weight.shape[3 + i] - 1) * dilation[i] + 1 for i in (0, 1))
    windows = maps.unfold(2, height, stride[0]).unfold(3, width, stride[1])[..., :: dilation[0], :: dilation[1]]
    return windows.permute(0, 1, 5, 6, 2, 3, 4).contiguous()


@lru_cache
def _offsets(maps: torch.Size, weight: torch.Size, dilation: Pair) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each tap's input begins, in elements; filled up to a multiple of `TAPS` with taps of no weight."""
    height, width, batch = maps[2:]
    channel, row, column = np.ix_(*(np.arange(size, dtype=np.int64) for size in weight[2:]))
    offsets = (((channel * height + row * dilation[0]) * width + column * dilation[1]) * batch).ravel()
    return np.pad(offsets, (0, -len(offsets) % kernels.TAPS))


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        models, channels, height, width, batch = maps.shape
        out = maps.new_empty(models, channels, height // 2, width // 2, batch)
        which = torch.empty_like(out)
        rows = maps.detach().contiguous().flatten(3).flatten(0, 1).numpy()
        kernels.max_pool(rows, out.flatten(0, 1).numpy(), which.flatten(0, 1).numpy())
        ctx.save_for_backward(which)
        ctx.shape = maps.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (which,) = ctx.saved_tensors
        out = gradient.new_empty(ctx.shape)
        flat = gradient.contiguous().flatten(0, 1).numpy()
        kernels.max_unpool(flat, which.flatten(0, 1).numpy(), out.flatten(3).flatten(0, 1).numpy())
        return out


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        out = torch.empty_like(values, memory_format=torch.contiguous_format)
        kernels.tanh(values.detach().contiguous().flatten(1).numpy(), out.flatten(1).numpy())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, out)
