"""Test on one batch, before training, whether a stack computes what its networks compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.networks.module import Network, first_line
from zoo_generation.networks.randomness import EVALUATION_SEED, Dropout, seed_dropout, seeded
from zoo_generation.networks.stack import Stack, UnstackableError

IMAGES = 3
NEAR = {torch.float64: 1e-6, torch.float32: 0.25}
"""How far numbers may be apart, as a share of the largest of their kind.

In double precision every other computation is found: rounding stays below 1e-10, even if BatchNorm divides by the
deviation of three values. In single precision, that of the stack's own kernels, such a division leaves three digits,
and a unit on the other side of a kink moves a gradient by a fiftieth: only gross errors are found.
"""
RANDOM = 0.05  # added to weights, so that biases and norms differ from their initial values

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

_PROVEN: set[tuple[Any, ...]] = set()
"""The modules and images for which a stack computed the same in this process. Only modules that their layers and
operations decide completely are remembered."""
OURS = ("torch.nn.", "zoo_generation.")


def proven_stack(modules: Sequence[nn.Module], shape: Shape, device: str) -> Stack:
    """A stack of modules that computes what each of them does, as one batch of images of that shape shows.

    It compares the logits in training and in evaluation, the gradients, and the state dict after both. Raises
    `UnstackableError` if any of these differs. The modules' weights change.
    """
    stack = Stack(modules)
    key = (stack.program, shape, device)
    known = all(type(layer).__module__.startswith(OURS) for module in modules for layer in module.modules())
    if known and key in _PROVEN:
        return stack
    try:
        with seeded(EVALUATION_SEED, device), torch.enable_grad():
            for dtype, share in NEAR.items():
                _stir([module.to(dtype) for module in modules])
                images = torch.randn(len(modules), IMAGES, *shape, dtype=dtype).to(device)
                _compare(stack, modules, images, share)
    finally:
        for module in modules:
            module.float()
    _PROVEN.add(key)
    return stack


def _compare(stack: Stack, modules: Sequence[nn.Module], images: Tensor, share: float) -> None:
    states = [_state(module) for module in modules]
    drawn = {layer.generator for module in modules for layer in module.modules() if type(layer) is Dropout}
    before = {generator: generator.get_state() for generator in drawn}
    alone = [_computed(module, own, images[0]) for module, own in zip(modules, images, strict=True)]
    for generator, state in before.items():
        generator.set_state(state)
    try:
        together = _computed_together(stack, states, images)
    except Exception as error:  # whatever a layer's form for many models raises on unsuitable arguments
        raise UnstackableError(f"it cannot be run in a stack: {first_line(error)}") from None
    for (trained, expected), found in zip(alone, together, strict=True):
        if unequal := set(trained) ^ set(stack.trained):
            raise UnstackableError(f"a stack trains other weights ('{min(unequal)}')")
        if far := [what for what, value in expected.items() if not near(found[what], value, share)]:
            raise UnstackableError(f"a stack computes another {far[0]}")


def built(network: Network, seed: int, device: str) -> nn.Module:
    """A module of the network on the device, with weights and dropout masks of the seed."""
    module = network.build(seed, "kaiming_uniform")
    seed_dropout(module, torch.Generator(device).manual_seed(seed))
    return module.to(device)


def _stir(modules: Sequence[nn.Module]) -> None:
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape).to(parameter), alpha=RANDOM)


def labels_for(logits: Tensor) -> Tensor:
    """Some labels [images] for logits [images, classes] of the batch."""
    return torch.arange(IMAGES, device=logits.device) % logits.shape[1]


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each image [..., batch]; a single output has no cross-entropy that depends on it."""
    if logits.shape[1] == 1:
        return logits[:, 0].square()
    return F.cross_entropy(logits, labels, reduction="none")


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items() if value.is_floating_point()}


def _computed(module: nn.Module, images: Tensor, shared: Tensor) -> tuple[list[str], dict[str, Tensor]]:
    """What a module computes, by name, in training on its own images and in evaluation on the shared ones.

    Before it, the names of the parameters that have a gradient.
    """
    module.zero_grad(set_to_none=True)
    found = {}
    for training in (True, False):
        module.train(training)
        attributes = _attributes(module)
        with torch.set_grad_enabled(training):
            logits = module(images if training else shared)
        if changed := _changed(attributes, _attributes(module)):
            raise UnstackableError(f"its forward pass changes its attribute '{changed}'")
        found[f"output in {'training' if training else 'evaluation'}"] = logits.detach()
        if training:
            _losses(logits, labels_for(logits)).mean().backward()
    gradients = {name: value.grad.flatten() for name, value in module.named_parameters() if value.grad is not None}
    found["gradient"] = torch.cat([*gradients.values()])
    module.zero_grad(set_to_none=True)
    module.train()
    return [*gradients], found | {f"value of '{name}'": value for name, value in _state(module).items()}


def _computed_together(stack: Stack, states: list[dict[str, Tensor]], images: Tensor) -> list[dict[str, Tensor]]:
    weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    parameters = [weights[name].requires_grad_() for name in stack.trained]
    logits = stack(weights, images.permute(0, 2, 3, 4, 1), training=True)
    labels = labels_for(logits.mT[0]).expand(len(states), -1)
    gradients = torch.autograd.grad(_losses(logits, labels).mean(1).sum(), parameters)
    with torch.no_grad():
        shown = stack(weights, images[0].permute(1, 2, 3, 0)[None].contiguous(), training=False)
    values = {
        "output in training": logits.detach().mT,
        "output in evaluation": shown.mT,
        "gradient": torch.cat([gradient.flatten(1) for gradient in gradients], dim=1),
        **{f"value of '{name}'": value.detach() for name, value in weights.items()},
    }
    return [{what: value[model] for what, value in values.items()} for model in range(len(states))]


def near(one: Tensor, other: Tensor, share: float) -> bool:
    """Whether two tensors differ by at most that share of the second's largest finite number; NaN equals NaN."""
    if one.shape != other.shape:
        return False
    finite = other[other.isfinite()].abs()
    scale = float(finite.max()) if len(finite) else 0.0
    return torch.allclose(one.to(other), other, rtol=0, atol=share * scale, equal_nan=True)


def _attributes(module: nn.Module) -> dict[str, list[Any]]:
    """All attributes of a module and of those in it, in which a forward pass may count or remember."""
    return {
        f"{name}.{key}".lstrip("."): list(value.values())
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, list)
        else [value]
        for name, layer in module.named_modules()
        for key, value in vars(layer).items()
    }


def _changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> str | None:
    for name in before.keys() | after.keys():
        one, other = before.get(name, []), after.get(name, [])
        if len(one) != len(other) or any(a is not b for a, b in zip(one, other, strict=True)):
            return name
    return None
