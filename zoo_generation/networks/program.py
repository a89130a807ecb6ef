"""Many models' forward passes as one tensor program, and how many models it takes at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import load
from zoo_generation.networks.randomness import seed_dropout
from zoo_generation.networks.stack import Stack, UnstackableError
from zoo_generation.networks.trial import proven_stack

CPU_MODELS = 8  # at once, at most; more save no calls
CPU_ELEMENTS = 2**20  # of a layer's output for all of them: larger ones fall out of the cache, and are new memory
GPU_MODELS = 256
GPU_SHARE = 0.05  # of the free memory for one layer's output: there are copies of it, in other orders
SMALLEST_BATCH = 64  # images, if there are as many
LARGEST_BATCH = 500  # images
FLOAT_BYTES = 4
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Chunks:
    """How many models, and how many images, are run at once."""

    models: int
    batch: int


class Program:
    """Forward passes of models that differ in nothing but weights, in evaluation mode.

    Models run in a stack, or one by one if their network cannot be stacked or if `alone` asks for it. The module itself
    is used: its weights become those of the models. `image` [1, channels, height, width] is an example of its images.
    """

    def __init__(self, module: nn.Module, layout: Layout, image: Tensor, device: str, *, alone: bool = False) -> None:
        seed_dropout(module, torch.Generator(device))
        self.module = module.to(device).eval()
        self.layout = layout
        self.stack: Stack | None = None
        self.norms = norms_of(module)
        if not alone:
            with _momentum(self.norms, 1.0):  # a stack needs some momentum; `average_statistics` sets its own
                try:
                    _, channels, height, width = image.shape
                    self.stack = proven_stack([self.module], (channels, height, width), device)
                except UnstackableError:
                    pass
        self.state: dict[str, Tensor] = {}

    def load(self, weights: Tensor) -> None:
        """Take up models [models, D], or one model [1, D] without a stack. Tied entries become their mean."""
        parts = self.layout.unflatten(with_ties(weights, self.layout, self.module))
        if self.stack is None:
            load(self.module, {name: part[0] for name, part in parts.items()})
        else:  # copies, in the order in memory that kernels ask for
            self.stack.models = len(weights)
            self.state = {name: part.clone(memory_format=torch.contiguous_format) for name, part in parts.items()}
        self.module.eval()

    def weights(self) -> Tensor:
        """The models' weights [models, D] as they are now."""
        if self.stack is None:
            return self.layout.flatten(self.module.state_dict())[None]
        return self.layout.flatten(self.state)

    def __call__(self, images: Tensor, *, averaging: bool = False) -> Tensor:
        """Logits [models, classes, batch] on images [batch, channels, height, width]."""
        if self.stack is None:
            return self.module(images).T[None]
        maps = images.permute(1, 2, 3, 0)[None].contiguous()  # all models see the same
        return self.stack(self.state, maps, training=averaging)

    def average_statistics(self, batches: tuple[Tensor, ...]) -> None:
        """Make BatchNorm's running statistics plain averages over the batches; all else is as in evaluation."""
        self.module.train()
        training = [norm for norm in self.norms if norm.training]  # a network may keep some in evaluation mode
        self.module.eval()
        for norm in training:
            norm.train()
        for seen, images in enumerate(batches):
            with _momentum(self.norms, 1 / (seen + 1)):
                self(images, averaging=True)
        self.module.eval()

    def chunks(self, image: Tensor) -> Chunks:
        """Chunks that keep layers' outputs in a CPU's cache, or in a share of a GPU's free memory; `image` [1, ...].

        One model at a time if a stack of two would not fit: its layers are wide enough to keep the machine busy.
        """
        elements, most = CPU_ELEMENTS, CPU_MODELS
        if image.device.type != "cpu":
            elements, most = int(torch.cuda.mem_get_info()[0] * GPU_SHARE) // FLOAT_BYTES, GPU_MODELS
        pooled = set() if self.stack is None else self.stack.pooled
        largest = max(image.numel(), *sizes_of_outputs(self.module, image, pooled))
        models = min(most, elements // (largest * SMALLEST_BATCH))
        if self.stack is None or models < 2:
            self.stack = None
            return Chunks(1, LARGEST_BATCH)
        return Chunks(models, min(LARGEST_BATCH, elements // (largest * models)))


def device_of(name: str) -> str:
    """The device `cpu` or `cuda` of a name; `auto` is `cuda` if there is one. Raises `InputError` for another name."""
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("the device 'cuda' was asked for, and PyTorch finds none; use --device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def norms_of(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of a module."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def _momentum(norms: Sequence[_BatchNorm], momentum: float) -> Iterator[None]:
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = momentum
        yield
    finally:
        for norm, each in zip(norms, before, strict=True):
            norm.momentum = each


def with_ties(weights: Tensor, layout: Layout, module: nn.Module) -> Tensor:
    """Weights [models, D] in which tied entries, which are one tensor of the module, are equal: each is their mean."""
    names = defaultdict(list)
    for name, value in module.state_dict(keep_vars=True).items():
        if name in layout:
            names[id(value)].append(name)
    for tied in (each for each in names.values() if len(each) > 1):
        first = weights[:, layout[tied[0]].span]
        mean = first + torch.stack([weights[:, layout[name].span] - first for name in tied]).mean(0)
        weights = weights.clone()
        for name in tied:
            weights[:, layout[name].span] = mean  # the same to the bit if they were equal
    return weights


@torch.no_grad()
def sizes_of_outputs(module: nn.Module, images: Tensor, but: Set[str] = frozenset()) -> list[int]:
    """Elements of the output of every layer in evaluation mode, except layers of these names."""
    sizes: list[int] = []

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        sizes.append(sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor)))

    layers = [layer for name, layer in module.named_modules() if not list(layer.children()) and name not in but]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    module.eval()(images)
    for hook in hooks:
        hook.remove()
    return sizes
