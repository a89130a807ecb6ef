"""Many modules of the same shape as one tensor program.

A module is traced once (torch.fx); each of its layers then runs for all models together: maps are [models, channels,
height, width, batch], features [models, features, batch].
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoo_generation.networks.layers import (
    as_images,
    as_maps,
    convolution,
    elementwise,
    linear,
    max_pool,
    per_channel,
    standardised,
    tanh,
)
from zoo_generation.networks.module import first_line
from zoo_generation.networks.randomness import Dropout, keep
from zoo_generation.networks.registry import ACTIVATIONS as REGISTERED
from zoo_generation.networks.threads import kernels_as_torch

WEIGHT_LAYERS = (nn.Conv2d, nn.Linear)
ELEMENTWISE = (nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Hardtanh, nn.Identity)
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
ARITHMETIC = {operator.add, operator.mul, operator.sub, torch.add, torch.mul, torch.sub}
ACTIVATIONS = {torch.relu, torch.tanh, torch.sigmoid, F.relu, F.gelu, F.silu, F.elu}
FLATTEN = {torch.flatten, "flatten"}


class UnstackableError(Exception):
    """A module cannot be stacked, and is trained alone; the message names what stacks do not know."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) is Dropout or super().is_leaf_module(m, module_qualified_name)


class Stack(fx.Interpreter):
    """Runs the weights of several modules that differ in nothing but weights and dropout.

    Raises `UnstackableError` if the forward pass cannot be traced, differs between training and evaluation, or has a
    layer that is not known. `trial.proven_stack` tests whether a stack computes what its modules compute.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        module = modules[0]
        kernels_as_torch()
        graph = _traced(module)
        if len(list(module.named_parameters())) < len(list(module.named_parameters(remove_duplicate=False))):
            raise UnstackableError("two of its layers share a weight")
        if any(map(_hooks, module.modules())) or any(map(_gradient_hooks, module.parameters())):
            raise UnstackableError("it has hooks")
        for node in graph.nodes:
            _check(node, module)
        reached = _reached(graph)
        trained = [_trained(each, reached) for each in modules]
        if any(names != trained[0] for names in trained):
            raise UnstackableError("which of its weights are frozen differs between models")
        program = type(module), repr(module), str(graph), tuple(trained[0])
        pooled = _join_pooling(graph, module)
        super().__init__(fx.GraphModule(module, graph))
        self.program = program
        """All that decides what it computes, except weights: layers and operations."""
        self.pooled = pooled
        self.trained = trained[0]
        """Names of the parameters that a gradient reaches; the others stay as they are."""
        self.layers = dict(module.named_modules())
        self.modules = modules
        self.models = len(modules)
        self.weights: Mapping[str, Tensor] = {}
        self.training = False
        self.watch: Callable[[str, Tensor], None] | None = None
        """Is given the name and the input, not yet padded, of each convolution and linear layer before it runs."""

    def __call__(self, weights: Mapping[str, Tensor], maps: Tensor, *, training: bool) -> Tensor:
        """Logits [models, classes, batch].

        weights: parameters and buffers by name, [models, *shape] each, those of convolutions and linear layers maybe of
        each image, see `convolution`; running statistics change in training. maps: [models, channels, height, width,
        batch], or [1, …] if all models see the same images.
        """
        self.weights, self.training = weights, training
        return self.run(maps)

    def run_node(self, n: fx.Node) -> Any:
        """Run a node without the interpreter's records for error messages, which take as long as a small layer."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer, values = self.layers[target], args[0]
        weight, bias = self.weights.get(f"{target}.weight"), self.weights.get(f"{target}.bias")
        if self.watch is not None and isinstance(layer, WEIGHT_LAYERS):
            self.watch(target, values)
        if isinstance(layer, nn.Conv2d):
            assert weight is not None
            return _grouped(layer, padded(layer, values), weight, bias, 2 if target in self.pooled else 1)
        if isinstance(layer, nn.Linear):
            assert weight is not None
            return linear(values, weight, bias)
        if isinstance(layer, nn.BatchNorm2d):
            return self._batch_norm(target, layer, values, weight, bias)
        if isinstance(layer, Dropout):
            return self._drop(target, values)
        if isinstance(layer, nn.Flatten):
            return values.flatten(1, -2)
        if isinstance(layer, POOLING):
            return _pooled(layer, values)
        return tanh(values) if isinstance(layer, nn.Tanh) else elementwise(layer, values)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target in FLATTEN:
            return args[0].flatten(1, -2)
        if target is torch.tanh:
            return tanh(args[0])
        if target in ACTIVATIONS:
            return elementwise(lambda values: target(values, *args[1:], **kwargs), args[0])
        return target(*args, **kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[0].flatten(1, -2)

    def _batch_norm(
        self, name: str, layer: nn.BatchNorm2d, maps: Tensor, weight: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        mean, variance = self.weights.get(f"{name}.running_mean"), self.weights.get(f"{name}.running_var")
        maps = maps.expand(self.models, -1, -1, -1, -1)
        if self.training or mean is None or variance is None:
            maps, batch_mean, batch_variance = standardised(maps, layer.eps)
            if self.training and mean is not None and variance is not None:
                count = maps[0, 0].numel()
                if count == 1:
                    raise InputError(
                        f"BatchNorm (layer '{name}') cannot be trained on a batch of one image with maps of one pixel; "
                        "choose another batch_size or train_images, so that the last batch has more images than one"
                    )
                mean.lerp_(batch_mean, layer.momentum or 0.0)
                variance.lerp_(batch_variance * (count / (count - 1)), layer.momentum or 0.0)
        else:
            scale = (variance + layer.eps).rsqrt()
            shift = -mean * scale
            if weight is not None and bias is not None:
                scale, shift = scale * weight, torch.addcmul(bias, shift, weight)
            return torch.addcmul(per_channel(shift), maps, per_channel(scale))  # one pass over the maps
        if weight is None or bias is None:
            return maps
        return torch.addcmul(per_channel(bias), maps, per_channel(weight))

    def _drop(self, name: str, values: Tensor) -> Tensor:
        layers = [cast(Dropout, module.get_submodule(name)) for module in self.modules]
        if not self.training or not any(layer.p and layer.training for layer in layers):
            return values
        alone = (values.shape[-1], *values.shape[1:-1])
        masks = [
            keep(alone, layer.p, layer.generator) if layer.p else torch.ones(alone, device=values.device)
            for layer in layers
        ]
        mask = torch.stack(masks).movedim(1, -1)
        return values.mul_(mask) if layers[0].inplace else values * mask


def _traced(module: nn.Module) -> fx.Graph:
    """The operations of a forward pass, which must be the same in training and in evaluation."""
    modes = {layer: layer.training for layer in module.modules()}
    graphs = []
    try:
        for training in (False, True):
            module.train(training)
            if other := [name for name, layer in module.named_modules() if layer.training != training]:
                raise UnstackableError(f"its layer '{other[0]}' does not change between training and evaluation")
            with torch.set_grad_enabled(training):
                graphs.append(_Tracer().trace(module))
    except UnstackableError:
        raise
    except Exception as error:  # whatever a user's own forward pass raises on a proxy
        raise UnstackableError(f"its forward pass cannot be traced: {first_line(error)}") from None
    finally:
        for layer, training in modes.items():
            layer.training = training
    shown, trained = (
        [(node.op, str(node.target), str(node.args), str(node.kwargs)) for node in g.nodes] for g in graphs
    )
    if shown != trained:
        raise UnstackableError("its forward pass is another in training than in evaluation")
    return graphs[1]


def _hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)


def _gradient_hooks(parameter: Tensor) -> bool:
    return bool(parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None))


def _reached(graph: fx.Graph) -> set[str]:
    """Names of the layers that the output depends on."""
    found: set[fx.Node] = set()
    waiting = [node for node in graph.nodes if node.op == "output"]
    while waiting:
        node = waiting.pop()
        found.add(node)
        waiting += [each for each in node.all_input_nodes if each not in found]
    return {str(node.target) for node in found if node.op == "call_module"}


def _trained(module: nn.Module, layers: Iterable[str]) -> list[str]:
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and name.rpartition(".")[0] in layers
    ]


def _check(node: fx.Node, module: nn.Module) -> None:
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if problem := _problem(layer):
            raise UnstackableError(f"{problem} (layer '{node.target}')")
    elif node.op == "call_function" and node.target not in ARITHMETIC | ACTIVATIONS | FLATTEN:
        raise UnstackableError(f"the function {getattr(node.target, '__name__', node.target)} is not known")
    elif node.op == "call_method" and node.target not in FLATTEN:
        raise UnstackableError(f"the tensor method {node.target} is not known")
    elif node.op == "get_attr":
        raise UnstackableError(f"the parameter '{node.target}' belongs to no layer")
    if node.op != "call_module" and node.target in ARITHMETIC | ACTIVATIONS | FLATTEN and not _plain(node):
        name = getattr(node.target, "__name__", node.target)
        raise UnstackableError(f"{name}{node.args}, of these arguments, is not known")


def _plain(node: fx.Node) -> bool:
    """Whether a function is applied to whole values: flatten from dimension 1, arithmetic on values and numbers."""
    if node.target in FLATTEN:
        return (*node.args[1:], *node.kwargs.values()) in ((1,), (1, -1))
    return all(isinstance(argument, fx.Node | float | int | str) for argument in (*node.args, *node.kwargs.values()))


def _problem(layer: nn.Module) -> str | None:
    """What stacks do not know about a layer; None if they know it."""
    kind = type(layer)
    if isinstance(layer, nn.Conv2d) and kind is nn.Conv2d:  # not a subclass, which may do something else
        return None if layer.padding_mode == "zeros" else f"padding mode {layer.padding_mode} is not known"
    if isinstance(layer, nn.BatchNorm2d) and kind is nn.BatchNorm2d:
        return "BatchNorm without momentum is not known" if layer.momentum is None else None
    if isinstance(layer, nn.Flatten) and kind is nn.Flatten:
        return None if (layer.start_dim, layer.end_dim) == (1, -1) else "only flattening all is known"
    known = kind in (nn.Linear, Dropout, *ELEMENTWISE, *POOLING) or _is_activation(layer)
    return None if known else f"{kind.__name__} is not known"


def _is_activation(layer: nn.Module) -> bool:
    """Whether a layer is a registered activation, of a package maybe, without weights of its own."""
    return type(layer) in REGISTERED.loaded() and not layer.state_dict()


def padded(layer: nn.Conv2d, maps: Tensor) -> Tensor:
    """Maps with the convolution's zero padding, which torch keeps as left, right, top, bottom for any form of it."""
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    return F.pad(maps, (0, 0, left, right, top, bottom)) if left or right or top or bottom else maps


def _grouped(layer: nn.Conv2d, maps: Tensor, weight: Tensor, bias: Tensor | None, pool: int) -> Tensor:
    """A convolution of groups, as if each group were a model; then the largest of each 2 × 2 if `pool` is 2."""
    groups, models = layer.groups, len(weight)
    if groups > 1:
        maps = maps.expand(models, -1, -1, -1, -1).unflatten(1, (groups, -1)).flatten(0, 1)
        weight = weight.unflatten(1, (groups, -1)).flatten(0, 1)
        bias = None if bias is None else bias.unflatten(1, (groups, -1)).flatten(0, 1)
    stride, dilation = layer.stride, layer.dilation
    out = convolution(maps, weight, bias, (stride[0], stride[1]), (dilation[0], dilation[1]), pool)
    return out if groups == 1 else out.unflatten(0, (models, groups)).flatten(1, 2)


def _pooled(layer: nn.Module, maps: Tensor) -> Tensor:
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return maps.mean((2, 3), keepdim=True)
    if _halves(layer):
        return max_pool(maps)
    return as_maps(layer(as_images(maps)), len(maps))


def _halves(layer: nn.Module) -> bool:
    """Whether it is max-pooling with windows of 2 × 2 side by side."""
    if not isinstance(layer, nn.MaxPool2d):
        return False
    size, stride, padding, dilation = (
        _pair(of) for of in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    )
    return (size, stride, padding, dilation, layer.ceil_mode) == ((2, 2), (2, 2), (0, 0), (1, 1), False)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


def _join_pooling(graph: fx.Graph, module: nn.Module) -> set[str]:
    """Take pooling that alone reads a convolution's output out of the graph; return the names of the convolutions."""
    layers = {node: module.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
    calls = Counter(str(node.target) for node in layers)
    pooled = set()
    for node, layer in layers.items():
        before = node.args[0]
        if not (_halves(layer) and isinstance(before, fx.Node) and isinstance(layers.get(before), nn.Conv2d)):
            continue
        if len(before.users) == 1 and calls[str(before.target)] == 1:
            pooled.add(str(before.target))
            node.replace_all_uses_with(before)
            graph.erase_node(node)
    return pooled
