"""Test with one training step whether a network can be trained, and whether in a stack."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from zoo_generation.data import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.networks.module import Network, first_line, kept, load, output_of
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.networks.registry import ARCHITECTURES
from zoo_generation.networks.stack import UnstackableError
from zoo_generation.networks.trial import IMAGES, NEAR, Shape, built, labels_for, near, proven_stack
from zoo_generation.training.models import network_of
from zoo_generation.training.single import optimizer_of
from zoo_generation.training.spec import ModelSpec


def why_alone(spec: ModelSpec, dataset: ImageDataset, device: str = "cpu") -> str | None:
    """Why models of that spec's `stack_key` are trained one at a time; None if they are stacked.

    Raises `InputError` if no zoo can be made of them: the network cannot be trained, or computes with something that a
    zoo does not keep.
    """
    return _why_alone(network_of(spec, dataset), dataset.size, spec.optimizer, device)


@lru_cache(maxsize=256)
def _why_alone(network: Network, size: int, optimizer: str, device: str) -> str | None:
    shape = network.channels, size, size
    _try(network, shape, optimizer, device)
    try:
        proven_stack([built(network, seed, device) for seed in (0, 1)], shape, device)
    except UnstackableError as error:
        return str(error)
    return None


def _try(network: Network, shape: Shape, optimizer: str, device: str) -> None:
    """Train another's network for one step, and compare it with a new one that has the weights a zoo keeps of it.

    Raises `InputError` if that fails, or if the two differ: the metrics of such a zoo would not be those of its models.
    """
    name = network.architecture
    try:
        model, other = (built(network, seed, device) for seed in (0, 1))
    except InputError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise InputError(f"the architecture '{name}' cannot be built: {first_line(error)}") from None
    _check_entries(name, model, other)
    with seeded(EVALUATION_SEED, device), torch.enable_grad():
        images = torch.randn(IMAGES, *shape).to(device)
        logits = output_of(name, model, images, network.classes)
        if name in ARCHITECTURES.own:  # they keep all that they compute with; and PyTorch's optimizers load for seconds
            return
        try:
            step = optimizer_of(model, optimizer, 1e-3, 0.0)
            F.cross_entropy(logits, labels_for(logits)).backward()
            step.step()
        except Exception as error:
            raise InputError(f"the architecture '{name}' cannot be trained: {first_line(error)}") from None
    load(other, kept(model.state_dict()))
    outputs = []
    for module in (model, other):
        with seeded(EVALUATION_SEED, device), torch.no_grad():
            outputs.append(output_of(name, module.eval(), images, network.classes))
    if not near(outputs[0], outputs[1], NEAR[torch.float32]):
        raise InputError(
            f"the architecture '{name}' computes with more than a zoo keeps of it: a network that was trained, and a "
            "new one with the floating-point entries of its state dict, give other outputs; keep what it draws or "
            "counts in persistent buffers of floating-point numbers"
        )


def _check_entries(name: str, model: nn.Module, other: nn.Module) -> None:
    """Raise `InputError` unless all models of a network have the same entries, of finite numbers."""
    one, two = (kept(module.state_dict()) for module in (model, other))
    if not one:
        raise InputError(f"the architecture '{name}' has no weights, so there is nothing to train")
    if differing := [
        key for key in one.keys() | two.keys() if key not in one or key not in two or one[key].shape != two[key].shape
    ]:
        raise InputError(
            f"the architecture '{name}' has other entries with another seed ('{min(differing)}'); models of a zoo "
            "differ in nothing but numbers"
        )
    if infinite := [key for key, value in one.items() if not bool(value.isfinite().all())]:
        raise InputError(
            f"the architecture '{name}' holds numbers that are not finite in '{infinite[0]}' before any training, and "
            "a zoo holds finite ones; register such a buffer with persistent=False"
        )
