"""Many models' forward passes as one tensor program, and how many models it takes at once."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_generation.architectures import Layout
from zoo_generation.errors import InputError, unknown
from zoo_generation.trainers.dropout import seed_dropout
from zoo_generation.trainers.stack import Stack, UnstackableError

CPU_MODELS = 8  # at once, at most; more save no calls
CPU_ELEMENTS = 2**20  # of a layer's output for all of them: larger ones fall out of the cache, and are new memory
GPU_MODELS = 256
GPU_SHARE = 0.05  # of the free memory for one layer's output: there are copies of it, in other orders
SMALLEST_BATCH = 64  # images, where there are as many
LARGEST_BATCH = 500  # images
FLOAT_BYTES = 4
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Chunks:
    """How many models, and how many images, are run at once."""

    models: int
    batch: int


class Program:
    """Forward passes of models that differ in nothing but weights: a stack, or one by one where there can be none.

    Dropout drops nothing, also while BatchNorm is in training mode.
    """

    def __init__(self, module: nn.Module, layout: Layout, device: str) -> None:
        self.module = _without_dropout(module).to(device).eval()
        self.layout = layout
        self.norms = [layer for layer in self.module.modules() if isinstance(layer, _BatchNorm)]
        for norm in self.norms:
            norm.momentum = 1.0  # a stack asks for one; which, is decided where statistics are averaged
        try:
            self.stack: Stack | None = Stack([self.module])
        except UnstackableError:
            self.stack = None

    def state(self, weights: Tensor) -> dict[str, Tensor]:
        """Flat weights [models, D] as copies [models, *shape] by name, in the order in memory that kernels ask for."""
        parts = self.layout.unflatten(weights)
        return {name: part.clone(memory_format=torch.contiguous_format) for name, part in parts.items()}

    def __call__(self, state: dict[str, Tensor], images: Tensor) -> Tensor:
        """Logits [models, classes, batch] of a `state` on images [batch, channels, height, width]."""
        models = len(next(iter(state.values())))
        if self.stack is None:
            alone = ({name: value[model] for name, value in state.items()} for model in range(models))
            return torch.stack([functional_call(self.module, each, (images,)).T for each in alone])
        self.stack.models = models
        maps = images.permute(1, 2, 3, 0)[None].contiguous()  # all models see the same
        return self.stack(state, maps, training=self.module.training)

    def average_statistics(self, state: dict[str, Tensor], batches: tuple[Tensor, ...]) -> None:
        """Make BatchNorm's running statistics, in place, plain averages over the batches."""
        self.module.train()
        for seen, images in enumerate(batches):
            for norm in self.norms:
                norm.momentum = 1 / (seen + 1)
            self(state, images)
        self.module.eval()

    def chunks(self, image: Tensor) -> Chunks:
        """Chunks that keep layers' outputs in a CPU's cache, or in a share of a GPU's free memory; `image` [1, ...].

        One model at a time where a stack of two would not fit: its layers are wide enough to keep the machine busy.
        """
        elements, most = CPU_ELEMENTS, CPU_MODELS
        if image.device.type != "cpu":
            elements, most = int(torch.cuda.mem_get_info()[0] * GPU_SHARE) // FLOAT_BYTES, GPU_MODELS
        pooled = set() if self.stack is None else self.stack.pooled
        largest = _largest_output(self.module, image, pooled)
        models = min(most, elements // (largest * SMALLEST_BATCH))
        if self.stack is None or models < 2:
            self.stack = None
            return Chunks(1, LARGEST_BATCH)
        return Chunks(models, min(LARGEST_BATCH, elements // (largest * models)))


def device_of(name: str) -> str:
    """`cpu` or `cuda`, of which `auto` takes the latter where there is one. Raises `InputError` for another name."""
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("the device 'cuda' was asked for, and PyTorch finds none; take --device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def _without_dropout(module: nn.Module) -> nn.Module:
    """A copy without dropout, in the form that a stack knows."""
    module = copy.deepcopy(module)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    seed_dropout(module, torch.Generator())
    return module


@torch.no_grad()
def _largest_output(module: nn.Module, image: Tensor, pooled: set[str]) -> int:
    """Elements of the largest of all layers' outputs for one image [1, ...], save those that are pooled at once."""
    sizes = [image.numel()]
    layers = [layer for name, layer in module.named_modules() if not list(layer.children()) and name not in pooled]
    hooks = [layer.register_forward_hook(lambda _, __, output: sizes.append(output.numel())) for layer in layers]
    module(image)
    for hook in hooks:
        hook.remove()
    return max(sizes)
