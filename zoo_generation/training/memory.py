"""The number of models in one stack, from the memory that they take."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache

import psutil
import torch

from zoo_generation.data import ImageDataset, Split
from zoo_generation.errors import InputError
from zoo_generation.machine import cores
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.module import kept
from zoo_generation.networks.program import sizes_of_outputs
from zoo_generation.training.models import network_of, outputs_of
from zoo_generation.training.single import ModelTraining
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.stacked import StackTraining, stack_key
from zoo_generation.training.trial import why_alone

CPU_STACK = 32  # models; more of them no longer save calls, and fall out of the cache
SHARE = 0.5  # of the available memory; the rest is for what the estimate leaves out
GPU_STACK = 512  # models
GAIN = 1.1  # of the models trained per second, by which a stack of twice the size must be better to be tried further
PROBE_STEPS = 3  # timed, after as many that are not
FLOAT_BYTES = 4
COPIES_OF_ACTIVATIONS = 3  # the value, what a layer stores with it, its gradient
COPIES_OF_WEIGHTS = 6  # the value, its gradient, the optimizer's two moments and temporaries


def check_memory(spec: ModelSpec, dataset: ImageDataset) -> None:
    """Raise `InputError` if this machine could not hold the weights of one such model while it is trained."""
    architecture = get_architecture(spec.architecture)
    layout = architecture.layout(channels=dataset.channels, classes=outputs_of(spec, dataset), width=spec.width)
    needed, there = FLOAT_BYTES * COPIES_OF_WEIGHTS * layout.size, psutil.virtual_memory().total
    if needed > there:
        raise InputError(
            f"a {spec.architecture} of width {spec.width:g} takes about {needed / 2**30:.0f} GiB to train, but this "
            f"machine has {there / 2**30:.0f}; lower the width"
        )


def stack_size_for(spec: ModelSpec, dataset: ImageDataset, device: str) -> int:
    """How many models to train at once: on a CPU, what fits into this process's share of the free memory, by cores; on
    another device, what trains the most models per second and fits, and 1 if they cannot be stacked."""
    if device == "cpu":
        share = psutil.virtual_memory().available * torch.get_num_threads() // cores()
        return min(CPU_STACK, models_in_memory(spec, dataset, share))
    if why_alone(spec, dataset, device) is not None:
        return 1
    return fastest_stack(spec, dataset, device, min(GPU_STACK, models_in_memory(spec, dataset, free_memory(device))))


def free_memory(device: str) -> int:
    """Bytes."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else int(psutil.virtual_memory().available)


@cache
def _known_stacks() -> dict[object, int]:
    """The stack sizes that this process has found already."""
    return {}


def fastest_stack(spec: ModelSpec, dataset: ImageDataset, device: str, most: int) -> int:
    """The number of models, doubled up to `most`, at which a few steps train the most models per second.

    It is 1, the plain loop, if that is quicker than any stack: a step of a small stack takes more calls. It is measured
    once per shape, images and device in a process. Models are trained the same in any stack, except for rounding on a
    GPU.
    """
    key = stack_key(spec), dataset.name, device, most
    known = _known_stacks()
    if key not in known:
        alone, size, speed = _models_per_second(spec, dataset, device, 1), 1, 0.0
        while 2 * size <= most:
            twice = _models_per_second(spec, dataset, device, 2 * size)
            if twice < GAIN * speed:
                break
            size, speed = 2 * size, twice
        known[key] = size if speed > alone else 1
    return known[key]


def _models_per_second(spec: ModelSpec, dataset: ImageDataset, device: str, models: int) -> float:
    """How many models' steps are done per second in a stack of that size."""
    images = spec.batch_size * PROBE_STEPS
    few = replace(
        dataset, train=_first(dataset.train, images), val=_first(dataset.val, 1), test=_first(dataset.test, 1)
    )
    spec = spec.model_copy(update={"epochs": 2})
    training = ModelTraining(spec, few, device) if models == 1 else StackTraining([spec] * models, few, device)
    training.epoch()
    _wait(device)
    started = time.perf_counter()
    training.epoch()
    _wait(device)
    return models / (time.perf_counter() - started)


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


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
