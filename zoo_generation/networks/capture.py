"""Inputs of the weight layers (convolutions and linear layers) of many networks, and moments of these inputs.

Networks are in evaluation mode: BatchNorm uses its running statistics, dropout drops nothing. They run in a stack, or
one by one if their network cannot be stacked; the results are the same within float tolerance.

The inputs of a layer are a matrix [inputs, rows] that its weight is multiplied by. A linear layer has one row per
image. A convolution's inputs are its unfolded patches: channels · kernel height · kernel width, in the order of its
weight, with zero padding; it has one row per output position and image, the image innermost. `weight.flatten(1) @
inputs` is the output without the bias. Patches of a grouped convolution have the channels of all groups, one group
after the other. A layer that is called several times has the rows of all its calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.grams import Sums, rows_of, sums_of
from zoo_generation.networks.program import Program
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.networks.stack import WEIGHT_LAYERS, padded
from zoo_generation.progress import QUIET, Progress

INPUT_ELEMENTS = 2**22  # of a layer's inputs in memory at once, unless those of one image are more

Layers = Mapping[str, nn.Module]
See = Callable[[str, nn.Module, Tensor], None]
"""Receives a layer's name, the layer, and its inputs for 1 or all models as in `rows_of`, which are only valid during
the call."""


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of the inputs of each weight layer, float64, by the layer's name.

    grams: the mean over rows of x xᵀ, [models, inputs, inputs]; means: of x, [models, inputs]; counts: rows, which are
    as many for every model. RegMean (Jin et al., arXiv 2212.09849) asks for the Gram matrices, REPAIR (Jordan et al.,
    arXiv 2211.08403) for `outputs`.
    """

    grams: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    counts: Mapping[str, int]

    @property
    def inputs(self) -> dict[str, int]:
        """How many inputs each layer has, in the order in which layers run."""
        return {name: self.means[name].shape[1] for name in self.counts}

    def with_bias(self, layer: str) -> Tensor:
        """The Gram matrices of (x, 1), [models, inputs + 1, inputs + 1], to solve for a weight and its bias at once."""
        return self.grouped(layer, 1, bias=True)[:, 0]

    def grouped(self, layer: str, groups: int, *, bias: bool) -> Tensor:
        """The Gram matrices of the inputs x of each group of a grouped convolution, or of (x, 1) if it has a `bias`.

        [models, groups, inputs of a group, inputs of a group], with one more input for the bias.
        """
        gram = self.grams[layer].unflatten(2, (groups, -1)).unflatten(1, (groups, -1))
        gram = gram.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
        if not bias:
            return gram
        mean = self.means[layer].unflatten(1, (groups, -1))
        last = torch.cat([mean, torch.ones_like(mean[..., :1])], dim=2)
        return torch.cat([torch.cat([gram, mean[..., None]], dim=3), last[:, :, None]], dim=2)

    def outputs(self, layer: str, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [models, outputs], float64, of what the layer makes of its inputs.

        weight: [models, outputs, *shape]; bias: [models, outputs]. Nothing is run: they follow from the moments.
        """
        mean = self.means[layer]
        weight = weight.double().flatten(2)
        groups = mean.shape[1] // weight.shape[2]
        weight, centre = weight.unflatten(1, (groups, -1)), mean.unflatten(1, (groups, -1))
        covariance = self.grouped(layer, groups, bias=False) - centre[..., None] * centre[:, :, None]
        output = (weight @ centre[..., None])[..., 0].flatten(1)
        variance = ((weight @ covariance) * weight).sum(-1).flatten(1)
        return output if bias is None else output + bias, variance.clamp(min=0).sqrt()


@torch.no_grad()
def capture(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Tensor,
    layers: Collection[str] | None = None,
    *,
    batch: int = 64,
    device: str = "cpu",
) -> Iterator[dict[str, Tensor]]:
    """Yield the inputs [models, inputs, rows] of each weight layer, by its name, for some images at a time.

    weights: [models, D]; module: a network of the layout, whose weights change; images: normalised, [images, channels,
    height, width]; layers: names of some layers, None for all that run. Takes the memory of the patches of all layers
    for all models at once. Raises `InputError` for a layer that is not there or does not run.
    """
    program = Program(module, layout, images[:1].to(device), device)
    chosen = _chosen(module, layers)
    for shown in images.to(device).split(batch):
        parts: dict[str, list[Tensor]] = {}
        for each in weights.to(device).split(1 if program.stack is None else len(weights)):
            program.load(each)
            seen: dict[str, list[Tensor]] = {}

            def keep(
                name: str,
                layer: nn.Module,
                values: Tensor,
                models: int = len(each),
                seen: dict[str, list[Tensor]] = seen,
            ) -> None:
                seen.setdefault(name, []).append(rows_of(layer, values).clone().expand(models, -1, -1))

            _run(program, shown, chosen, keep)
            _check_ran(layers, seen)
            for name, calls in seen.items():
                parts.setdefault(name, []).append(calls[0] if len(calls) == 1 else torch.cat(calls, dim=2))
        yield {name: found[0] if len(found) == 1 else torch.cat(found) for name, found in parts.items()}


@torch.no_grad()
def moments(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Tensor,
    layers: Collection[str] | None = None,
    *,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> Moments:
    """Moments of the inputs of each weight layer, computed from `capture` while only sums are kept.

    Sums are taken in double precision. Arguments are those of `capture`. Models run in chunks, so that any number does;
    the result takes inputs² numbers per model and layer. `progress` is told of models.
    """
    program = Program(module, layout, images[:1].to(device), device)
    chunks = program.chunks(images[:1].to(device))
    chosen = _chosen(module, layers)
    parts: list[_Chunk] = []
    step = progress.stage("moments")
    for each in weights.split(chunks.models):
        program.load(each.to(device))
        size = 0

        def measure(name: str, layer: nn.Module, values: Tensor) -> None:
            nonlocal size
            size = max(size, sums_of(layer, values).size(values))

        _run(program, images[:1].to(device), chosen, measure)
        parts.append(_Chunk(len(each)))
        for shown in images.split(max(1, min(chunks.batch, INPUT_ELEMENTS // (size or 1)))):
            _run(program, shown.to(device), chosen, parts[-1].add)
        _check_ran(layers, parts[-1].sums)
        step(sum(part.models for part in parts), len(weights))
    counts = parts[0].counts
    return Moments(
        {name: torch.cat([part.mean(name, "second") for part in parts]) for name in counts},
        {name: torch.cat([part.mean(name, "first") for part in parts]) for name in counts},
        counts,
    )


class _Chunk:
    """Sums over rows of some models' inputs, by layer and shape of inputs, which may differ where it is called twice;
    those that all models share are summed once."""

    def __init__(self, models: int) -> None:
        self.models = models
        self.sums: dict[str, dict[torch.Size, Sums]] = {}

    def add(self, name: str, layer: nn.Module, values: Tensor) -> None:
        of_layer = self.sums.setdefault(name, {})
        of_layer.setdefault(values.shape[:-1], sums_of(layer, values)).add(values)

    @property
    def counts(self) -> dict[str, int]:
        return {name: sum(each.count for each in of_layer.values()) for name, of_layer in self.sums.items()}

    def mean(self, name: str, which: Literal["first", "second"]) -> Tensor:
        total: Tensor = sum(getattr(each, which)() for each in self.sums[name].values())
        mean = total.cpu() / self.counts[name]
        return mean.expand(self.models, *mean.shape[1:])


def _chosen(module: nn.Module, layers: Collection[str] | None) -> Layers:
    found = {name: layer for name, layer in module.named_modules() if isinstance(layer, WEIGHT_LAYERS)}
    for name in layers or ():
        if name not in found:
            raise unknown("weight layer", name, found)
    return found if layers is None else {name: found[name] for name in layers}


def _check_ran(layers: Collection[str] | None, seen: Collection[str]) -> None:
    if absent := [name for name in layers or () if name not in seen]:
        raise InputError(f"the layer '{absent[0]}' has no inputs, since it does not run; leave it out")


def _run(program: Program, images: Tensor, layers: Layers, see: See) -> None:
    """Run the models that are loaded on images [batch, …], and show the inputs of their layers."""
    stack = program.stack
    hooks = []
    if stack is None:
        hooks = [
            layer.register_forward_pre_hook(partial(_show, see, name), with_kwargs=True)
            for name, layer in layers.items()
        ]
    else:

        def watch(name: str, values: Tensor) -> None:
            if name in layers:
                layer = layers[name]
                see(name, layer, padded(layer, values) if isinstance(layer, nn.Conv2d) else values)

        stack.watch = watch
    try:
        with seeded(EVALUATION_SEED, images.device.type):
            program(images)
    finally:
        if stack is not None:
            stack.watch = None
        for hook in hooks:
            hook.remove()


def _show(see: See, name: str, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Show the inputs of a plain module's layer, which is called with images [batch, …] or features [..., inputs]."""
    values = args[0] if args else kwargs["input"]
    if isinstance(layer, nn.Conv2d):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        around = F.pad(values, layer._reversed_padding_repeated_twice, mode)
        see(name, layer, around.permute(1, 2, 3, 0)[None])
    else:
        see(name, layer, values.reshape(-1, values.shape[-1]).T[None])
