"""The number of models in one stack, from the memory that they take."""

from __future__ import annotations

import psutil
import torch

from zoo_generation.data import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.machine import cores
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.module import kept
from zoo_generation.networks.program import sizes_of_outputs
from zoo_generation.training.models import network_of
from zoo_generation.training.spec import ModelSpec

CPU_STACK = 32  # models; more of them no longer save calls, and fall out of the cache
SHARE = 0.5  # of the available memory; the rest is for what the estimate leaves out
FLOAT_BYTES = 4
COPIES_OF_ACTIVATIONS = 3  # the value, what a layer stores with it, its gradient
COPIES_OF_WEIGHTS = 6  # the value, its gradient, the optimizer's two moments and temporaries


def check_memory(spec: ModelSpec, dataset: ImageDataset) -> None:
    """Raise `InputError` if this machine could not hold the weights of one such model while it is trained."""
    architecture = get_architecture(spec.architecture)
    layout = architecture.layout(channels=dataset.channels, classes=len(dataset.classes), width=spec.width)
    needed, there = FLOAT_BYTES * COPIES_OF_WEIGHTS * layout.size, psutil.virtual_memory().total
    if needed > there:
        raise InputError(
            f"a {spec.architecture} of width {spec.width:g} takes about {needed / 2**30:.0f} GiB to train, but this "
            f"machine has {there / 2**30:.0f}; lower the width"
        )


def stack_size_for(spec: ModelSpec, dataset: ImageDataset, device: str) -> int:
    """How many models to train at once with the free memory: on a CPU, this process's share by cores."""
    if device == "cpu":
        share = psutil.virtual_memory().available * torch.get_num_threads() // cores()
        return min(CPU_STACK, models_in_memory(spec, dataset, share))
    return models_in_memory(spec, dataset, torch.cuda.mem_get_info()[0])


def models_in_memory(spec: ModelSpec, dataset: ImageDataset, available: int) -> int:
    """How many models of that spec fit into that many bytes of memory in training, at least one."""
    activations, weights = _elements(spec, dataset)
    saved = len(spec.checkpoint_epochs) + 1  # checkpoints stay in memory until their shard is written
    per_model = FLOAT_BYTES * (activations * COPIES_OF_ACTIVATIONS + weights * (COPIES_OF_WEIGHTS + 2 * saved))
    return max(1, int(SHARE * available) // per_model)


def _elements(spec: ModelSpec, dataset: ImageDataset) -> tuple[int, int]:
    """Elements of all layers' outputs for one batch, counted on one image, and of the weights."""
    module = network_of(spec, dataset).build(spec.seed, spec.init)
    image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
    outputs = image.numel() + sum(sizes_of_outputs(module, image))
    return outputs * spec.batch_size, sum(value.numel() for value in kept(module.state_dict()).values())
