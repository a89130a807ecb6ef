"""Per-example gradients of plain networks, layer by layer, from one forward and one backward pass over a batch.

The gradient by a layer's weight is the product of its input and the gradient by its output: for a linear layer one
product per image, for a convolution their sum over positions. Source: Goodfellow, arXiv 1510.01799.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.networks.kernels import EACH
from zoo_generation.networks.program import Program


def plain_layers(module: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The layers that have the parameters of these names; empty if one is neither linear nor a plain convolution."""
    layers = {name.rpartition(".")[0]: module.get_submodule(name.rpartition(".")[0]) for name in names}
    return layers if all(map(_is_plain, layers.values())) else {}


def layer_gradients(
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    names: Sequence[str],
    images: Tensor,
    output: Callable[[Tensor], Tensor],
) -> Tensor:
    """The gradient of each image's output by the parameters of these names, end to end: [images, P].

    layers: of `plain_layers`; output: of logits [images, classes], the sum over images of what is differentiated. It
    holds for networks whose parameters are used by calls of their layers alone, and whose images do not meet.
    """
    inputs, outputs = defaultdict(list), defaultdict(list)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            inputs[name].append(given[0].detach())
            outputs[name].append(out)

        return keep

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    last = torch.channels_last if images.dim() == 4 and images.device.type == "cpu" else torch.contiguous_format
    shown = torch.empty_like(images, memory_format=last).copy_(images)  # else a CPU takes its time to pool
    try:
        total = output(module(shown))
    finally:
        for hook in hooks:
            hook.remove()
    every = [out for name in layers for out in outputs[name]]
    found = iter(torch.autograd.grad(total, every, allow_unused=True))
    gradients: dict[str, Tensor] = {}
    for name, layer in layers.items():
        for given in inputs[name]:
            if (by_output := next(found)) is None:
                continue
            for kind, rows in _rows(layer, given, by_output).items():
                key = f"{name}.{kind}" if name else kind
                gradients[key] = gradients[key] + rows if key in gradients else rows
    parameters = dict(module.named_parameters())
    nothing = {name: images.new_zeros(len(images), parameters[name].numel()) for name in names if name not in gradients}
    return torch.cat([(gradients | nothing)[name] for name in names], dim=1)


def are_simple(layers: Collection[nn.Module]) -> bool:
    """Whether `stack_gradients` knows these layers of `plain_layers`; False if there are none.

    It knows linear layers and convolutions with a stride and dilation of 1, of which nothing is frozen.
    """
    frozen = any(not each.requires_grad for layer in layers for each in layer.parameters())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    return bool(layers) and not frozen and all({*layer.stride, *layer.dilation} == {1} for layer in convolutions)


def stack_gradients(
    program: Program, names: Sequence[str], images: Tensor, labels: Tensor, output: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """What `layer_gradients` gives, of all models of a stack at once: [models, images, P], images innermost in memory.

    output: of logits [models · images, classes], model after model, and their labels.
    """
    assert program.stack is not None
    state = {name: program.state[name].detach() for name in names}
    each = {name: value[..., None].expand(*value.shape, EACH).requires_grad_() for name, value in state.items()}
    weights, size = program.state | each, sum(value[0].numel() for value in state.values())
    found = images.new_empty(program.stack.models, size, len(images))
    for pixels, truth, into in zip(images.split(EACH), labels.split(EACH), found.split(EACH, 2), strict=True):
        maps = F.pad(pixels.permute(1, 2, 3, 0)[None], (0, EACH - len(pixels))).contiguous()
        logits = program.stack(weights, maps, training=False)[..., : len(pixels)]
        total = output(logits.mT.flatten(0, 1), truth.repeat(program.stack.models))
        rows = torch.autograd.grad(total, list(each.values()), allow_unused=True, materialize_grads=True)
        torch.cat([row.flatten(1, -2)[..., : len(pixels)] for row in rows], dim=1, out=into)
    return found.mT


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:  # not a subclass, which may do something else
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def _rows(layer: nn.Module, given: Tensor, by_output: Tensor) -> dict[str, Tensor]:
    """Gradients by `weight` and `bias`, flat, [images, elements]; both are given, whether or not it has a bias."""
    if isinstance(layer, nn.Conv2d):
        columns, by_output = _columns(layer, given), by_output.flatten(2)
    else:
        columns, by_output = (
            each.flatten(1, -2).mT if each.dim() > 2 else each[..., None] for each in (given, by_output)
        )
    return {"weight": (by_output @ columns.mT).flatten(1), "bias": by_output.sum(2)}


def _columns(layer: nn.Conv2d, given: Tensor) -> Tensor:
    """What each output of a convolution is a product with: [images, inputs * taps, places].

    It is what `F.unfold` gives, which takes several times as long.
    """
    assert not isinstance(layer.padding, str), "plain convolutions say by how much"
    padded = F.pad(given, [side for side in reversed(layer.padding) for _ in range(2)]) if any(layer.padding) else given
    images, inputs, *apart = padded.stride()
    places = [
        (size - gap * (taps - 1) - 1) // step + 1
        for size, gap, taps, step in zip(padded.shape[2:], layer.dilation, layer.kernel_size, layer.stride, strict=True)
    ]
    between, along = (
        [step * each for step, each in zip(steps, apart, strict=True)] for steps in (layer.dilation, layer.stride)
    )
    windows = padded.as_strided((*padded.shape[:2], *layer.kernel_size, *places), (images, inputs, *between, *along))
    return windows.reshape(len(given), -1, places[0] * places[1])
