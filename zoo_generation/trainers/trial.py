"""One batch, before anything is trained: whether a network can be, and whether a stack computes what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.datasets import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.spec import ModelSpec
from zoo_generation.trainers.dropout import Dropout, seed_dropout
from zoo_generation.trainers.models import Network, kept, load
from zoo_generation.trainers.randomness import EVALUATION_SEED, seeded
from zoo_generation.trainers.single import optimizer_of
from zoo_generation.trainers.stack import Stack, UnstackableError, first_line

IMAGES = 3
NEAR = {torch.float64: 1e-6, torch.float32: 0.25}
"""How far numbers may be apart, as a share of the largest of their kind.

In double precision only what computes something else is: rounding stays below 1e-10, also where BatchNorm divides by
the deviation of three values. In single precision, that of the stack's own kernels, such a division leaves three
digits, and a unit on the other side of a kink moves a gradient by a fiftieth: there only what is wrong altogether is.
"""
RANDOM = 0.05  # added to weights, so that biases and norms are not what they begin as

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

_PROVEN: set[tuple[Any, ...]] = set()
"""Of which modules, on which images, stacks have computed the same in this process. Of such modules only that nothing
but layers and operations can tell apart."""
OURS = ("torch.nn.", "zoo_generation.")


def why_alone(spec: ModelSpec, dataset: ImageDataset, device: str = "cpu") -> str | None:
    """Why models of that spec's `stack_key` are trained one at a time; None where they are stacked.

    Raises `InputError` where no zoo can be made of them: the network cannot be trained, or a zoo does not keep all that
    it computes with.
    """
    return _why_alone(Network.of(spec, dataset), dataset.size, spec.optimizer, device)


@lru_cache(maxsize=256)
def _why_alone(network: Network, size: int, optimizer: str, device: str) -> str | None:
    shape = network.channels, size, size
    _try(network, shape, optimizer, device)
    try:
        proven_stack([_built(network, seed, device) for seed in (0, 1)], shape, device)
    except UnstackableError as error:
        return str(error)
    return None


def proven_stack(modules: Sequence[nn.Module], shape: Shape, device: str) -> Stack:
    """A stack of modules that computes what each of them does, which is seen on a batch of images of that shape.

    Compared are the logits in training and in evaluation, the gradients, and what the state dict holds after both.
    Raises `UnstackableError` where any differs. The modules' weights change.
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
    except Exception as error:  # whatever a layer's form for many models raises on what it is not made for
        raise UnstackableError(f"it cannot be run in a stack: {first_line(error)}") from None
    for (trained, expected), found in zip(alone, together, strict=True):
        if unequal := set(trained) ^ set(stack.trained):
            raise UnstackableError(f"a stack trains other weights ('{min(unequal)}')")
        if far := [what for what, value in expected.items() if not _near(found[what], value, share)]:
            raise UnstackableError(f"a stack computes another {far[0]}")


def _built(network: Network, seed: int, device: str) -> nn.Module:
    module = network.build(seed, "kaiming_uniform")
    seed_dropout(module, torch.Generator(device).manual_seed(seed))
    return module.to(device)


def _stir(modules: Sequence[nn.Module]) -> None:
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape).to(parameter), alpha=RANDOM)


def _labels(logits: Tensor) -> Tensor:
    return torch.arange(IMAGES, device=logits.device) % logits.shape[1]


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items() if value.is_floating_point()}


def _computed(module: nn.Module, images: Tensor, shared: Tensor) -> tuple[list[str], dict[str, Tensor]]:
    """What a module computes in training on its images, and in evaluation on what all are shown, by what it is; and
    before it the names of the parameters that have a gradient."""
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
            F.cross_entropy(logits, _labels(logits)).backward()
    gradients = {name: value.grad.flatten() for name, value in module.named_parameters() if value.grad is not None}
    found["gradient"] = torch.cat([*gradients.values()])
    module.zero_grad(set_to_none=True)
    module.train()
    return [*gradients], found | {f"value of '{name}'": value for name, value in _state(module).items()}


def _computed_together(stack: Stack, states: list[dict[str, Tensor]], images: Tensor) -> list[dict[str, Tensor]]:
    weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    parameters = [weights[name].requires_grad_() for name in stack.trained]
    logits = stack(weights, images.permute(0, 2, 3, 4, 1), training=True)
    labels = _labels(logits.mT[0]).expand(len(states), -1)
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="none").mean(1).sum(), parameters)
    with torch.no_grad():
        shown = stack(weights, images[0].permute(1, 2, 3, 0)[None].contiguous(), training=False)
    values = {
        "output in training": logits.detach().mT,
        "output in evaluation": shown.mT,
        "gradient": torch.cat([gradient.flatten(1) for gradient in gradients], dim=1),
        **{f"value of '{name}'": value.detach() for name, value in weights.items()},
    }
    return [{what: value[model] for what, value in values.items()} for model in range(len(states))]


def _near(one: Tensor, other: Tensor, share: float) -> bool:
    if one.shape != other.shape:
        return False
    finite = other[other.isfinite()].abs()
    scale = float(finite.max()) if len(finite) else 0.0
    return torch.allclose(one.to(other), other, rtol=0, atol=share * scale, equal_nan=True)


def _attributes(module: nn.Module) -> dict[str, list[Any]]:
    """All that hangs on a module and those in it, whose forward passes may count or remember."""
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


def _try(network: Network, shape: Shape, optimizer: str, device: str) -> None:
    """Train a network for a step and evaluate it, and another of what a zoo keeps of it.

    Raises `InputError` where that fails, or they differ: the metrics of such a zoo would be of no model in it.
    """
    name = network.architecture
    try:
        model, other = (_built(network, seed, device) for seed in (0, 1))
    except InputError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise InputError(f"the architecture '{name}' cannot be built: {first_line(error)}") from None
    _check_entries(name, model, other)
    with seeded(EVALUATION_SEED, device), torch.enable_grad():
        images = torch.randn(IMAGES, *shape).to(device)
        logits = output_of(name, model, images, network.classes)
        try:
            step = optimizer_of(model, optimizer, 1e-3, 0.0)
            F.cross_entropy(logits, _labels(logits)).backward()
            step.step()
        except Exception as error:
            raise InputError(f"the architecture '{name}' cannot be trained: {first_line(error)}") from None
    load(other, kept(model.state_dict()))
    outputs = []
    for module in (model, other):
        with seeded(EVALUATION_SEED, device), torch.no_grad():
            outputs.append(output_of(name, module.eval(), images, network.classes))
    if not _near(outputs[0], outputs[1], NEAR[torch.float32]):
        raise InputError(
            f"the architecture '{name}' computes with more than a zoo keeps of it: a network that was trained, and a "
            "new one with the floating-point entries of its state dict, give other outputs; keep what it draws or "
            "counts in persistent buffers of floating-point numbers"
        )


def _check_entries(name: str, model: nn.Module, other: nn.Module) -> None:
    """Raise `InputError` unless all models of a network have the same entries, of finite numbers."""
    one, two = (kept(module.state_dict()) for module in (model, other))
    if not one:
        raise InputError(f"the architecture '{name}' has no weights, so that there is nothing to train")
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


def output_of(name: str, module: nn.Module, images: Tensor, classes: int) -> Tensor:
    """What a network returns for images [batch, channels, height, width]; raises `InputError` unless it is logits."""
    mode = "training" if module.training else "evaluation"
    try:
        output = module(images)
    except Exception as error:  # whatever a user's forward pass raises
        shape = " × ".join(map(str, images.shape[1:]))
        raise InputError(
            f"the architecture '{name}' cannot be run on images of {shape} in {mode}: {first_line(error)}"
        ) from None
    floats = isinstance(output, Tensor) and output.is_floating_point() and output.dim() == 2
    if floats and len(output) == len(images) and output.shape[1] >= classes:
        return output
    raise InputError(
        f"the architecture '{name}' must return logits, one floating-point tensor [images, classes], here "
        f"[{len(images)}, {classes}], and returns {_described(output)} in {mode}"
    )


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor {list(output.shape)} of {str(output.dtype).removeprefix('torch.')}"
    if isinstance(output, dict):
        return f"a dict of {', '.join(map(repr, output))}"
    many = f" of {len(output)}" if isinstance(output, tuple | list) else ""
    return f"a {type(output).__name__}{many}"
