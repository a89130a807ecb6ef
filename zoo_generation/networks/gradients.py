"""Derivatives of many networks by their parameters: per-example gradients, and second derivatives of their loss.

Networks are in evaluation mode: BatchNorm uses its running statistics, which are not parameters, and dropout drops
nothing. Second derivatives use PyTorch's own operations, because the compiled kernels of stacks have only a first one;
per-example gradients of linear layers and convolutions with a stride of 1 use these kernels on a CPU, in single
precision. Parameters are in the order of the flat vector, without entries that have no gradient; `positions` gives
their places in the flat vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.architectures.layout import LayoutEntry
from zoo_generation.networks.kernels import EACH
from zoo_generation.networks.layerwise import are_simple, layer_gradients, plain_layers, stack_gradients
from zoo_generation.networks.module import first_line
from zoo_generation.networks.program import Program, norms_of, sizes_of_outputs
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.networks.trial import IMAGES, near
from zoo_generation.progress import QUIET, Progress

Turn = Callable[[Tensor], Tensor]
"""What makes P numbers of each of some gradients, [images, parameters] to [images, P], such as a `Projection`."""

Of = Literal["loss", "logit", "margin"]
"""What is differentiated: the cross-entropy with an image's label; the label's logit; or its margin, see `margins`."""

GRADIENT_ELEMENTS = 2**23  # of per-example gradients in memory at once, beside the result
LARGEST_BATCH = 64  # images
STACK_BATCH = 256  # images of a stack that are projected at once; more save no calls
GRAPH_ELEMENTS = 2**26  # of layers' outputs in graphs that stay in memory; a graph holds several times as many
APART = 1e-3  # how far, as a share of the largest, an image's logits may be from those that it has among others
AGREE = 1e-5  # how far, as a share of the largest, gradients by layers may be from those image by image


def positions(layout: Layout, module: nn.Module) -> Tensor:
    """Where the parameters [P] are in the flat vector [D]: int64, ascending. Statistics and frozen weights are not."""
    return torch.cat([torch.arange(entry.span.start, entry.span.stop) for entry in _trained(layout, module)])


def per_example(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    of: Of = "loss",
    project: Turn | Sequence[Turn] | None = None,
    *,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> Tensor:
    """The gradient by its parameters of each model's output for each image alone: [models, images, P].

    weights: [models, D], float32, or float64 to compute in double precision; module: a network of the layout, whose
    weights change; project: what turns gradients into fewer numbers P, so that they are never all in memory, the same
    for all models or one for each. Raises `InputError` for a network that draws random numbers in evaluation, whose
    images depend on one another, or that torch.func cannot differentiate.
    """
    if of not in get_args(Of):
        raise unknown("output to differentiate", of, get_args(Of))
    trained = _trained(layout, module)
    names, size = [entry.name for entry in trained], sum(entry.numel for entry in trained)

    def output(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return _output(functional_call(module, parameters, (image[None],)), label[None], of)

    def image_by_image(pixels: Tensor, truth: Tensor) -> Tensor:
        parameters = {name: value.detach() for name, value in module.named_parameters() if name in names}
        gradients = vmap(grad(output), (None, 0, 0))(parameters, pixels, truth)
        return torch.cat([gradients[name].flatten(1) for name in names], dim=1)[None]

    def layer_by_layer(pixels: Tensor, truth: Tensor) -> Tensor:
        return layer_gradients(module, layers, names, pixels, lambda logits: _output(logits, truth, of))[None]

    def all_models(pixels: Tensor, truth: Tensor) -> Tensor:
        return stack_gradients(program, names, pixels, truth, lambda logits, labels: _output(logits, labels, of))

    layers = plain_layers(module, names)
    known = device == "cpu" and weights.dtype == torch.float32 and are_simple(layers.values())
    many = len(images.labels) >= EACH and size * STACK_BATCH <= GRADIENT_ELEMENTS
    turns = [project] * len(weights) if project is None or callable(project) else project
    step, found = progress.stage("gradients"), list[Tensor]()
    with _program(module, layout, images, device, weights.dtype, alone=not (known and many)) as given:
        program, shown, labels = given
        chunk = program.chunks(shown[:1]).models if program.stack else 1
        in_stack = program.stack is not None
        batch = STACK_BATCH if in_stack else min(LARGEST_BATCH, max(1, GRADIENT_ELEMENTS // size))
        for rows in torch.arange(len(weights)).split(min(chunk, GRADIENT_ELEMENTS // (size * batch)) or 1):
            program.load(weights[rows].to(device))
            _check_independent(program, shown)
            if layers and not in_stack and not found:  # unlike in a stack, weights may be used without calling layers
                few = shown[:IMAGES], labels[:IMAGES]
                layers = layers if near(layer_by_layer(*few), image_by_image(*few), AGREE) else {}
            gradients = all_models if in_stack else layer_by_layer if layers else image_by_image
            parts, chosen = [list[Tensor]() for _ in rows], [turns[number] for number in rows.tolist()]
            for pixels, truth in zip(shown.split(batch), labels.split(batch), strict=True):
                for own, turn, flat in zip(parts, chosen, gradients(pixels, truth), strict=True):
                    own.append((flat if turn is None else turn(flat)).cpu())
            found += map(torch.cat, parts)
            step(len(found), len(weights))
    return torch.stack(found)


def hessian_vector(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    vectors: Tensor,
    *,
    device: str = "cpu",
) -> Tensor:
    """Each model's Hessian times its vectors, exactly: float64 [models, P], or [vectors, models, P].

    The Hessian is that of the mean cross-entropy over the images, by the parameters. vectors: [models, P], or [vectors,
    models, P], of which all share the first derivative. Models run in a stack if it computes the same. At a kink (ReLU,
    max-pooling) it is the Hessian of the side that PyTorch takes. Raises `InputError` as `per_example` does.
    """
    size = len(positions(layout, module))
    if vectors.shape[-2:] != (len(weights), size) or vectors.dim() not in (2, 3):
        raise InputError(
            f"vectors are of shape {list(vectors.shape)}; give [{len(weights)}, {size}], or several of that shape"
        )
    many = vectors.double().reshape(-1, len(weights), size)

    def multiplied(rows: Tensor, product: HessianProduct) -> Tensor:
        return product(many[:, rows]).cpu()

    found = of_hessians(weights.double(), layout, module, images, multiplied, device=device)
    return torch.cat(found, dim=1).reshape(vectors.shape)


def of_hessians(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    ask: Callable[[Tensor, HessianProduct], Tensor],
    *,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> list[Tensor]:
    """What `ask` finds for some models after others, given their numbers [some] and the product with their Hessians.

    The Hessian is that of `hessian_vector`. It is computed in double precision for float64 weights, and otherwise in
    single precision, which takes half the time; then models run one by one on a CPU. The first derivative is made once
    for all that `ask` multiplies if memory allows. Raises `InputError` as `per_example` does.
    """
    trained = _trained(layout, module)
    step, found = progress.stage("curvature"), []
    # On a CPU the kernels of stacks in single precision have no second derivative; for BatchNorm see `accuracy`.
    alone = device == "cpu" and (weights.dtype == torch.float32 or bool(norms_of(module)))
    with _program(module, layout, images, device, weights.dtype, alone=alone) as (program, shown, labels):
        chunks = program.chunks(shown[:1])
        batches = list(zip(shown.split(LARGEST_BATCH), labels.split(LARGEST_BATCH), strict=True))
        kept = sum(sizes_of_outputs(program.module, shown[:1])) * len(shown) * chunks.models <= GRAPH_ELEMENTS
        for rows in torch.arange(len(weights)).split(chunks.models):
            program.load(weights[rows].to(device))
            _check_independent(program, shown)
            found.append(ask(rows, HessianProduct(program, _leaves(program, trained), batches, kept)))
            step(int(rows[-1]) + 1, len(weights))
    return found


class HessianProduct:
    """The Hessians of some models' mean cross-entropy over batches of images, as a function of vectors.

    kept: whether the first derivatives stay in memory, with the graph that they are differentiated through.
    """

    def __init__(
        self, program: Program, parameters: list[Tensor], batches: list[tuple[Tensor, Tensor]], kept: bool
    ) -> None:
        self.program, self.parameters, self.batches = program, parameters, batches
        self.images = sum(len(truth) for _, truth in batches)
        self.gradients = [self._gradient(*batch) for batch in batches] if kept else None

    def __call__(self, vectors: Tensor) -> Tensor:
        """The products with vectors [vectors, models, P], of that shape, in the precision of the weights."""
        given = vectors.to(self.parameters[0])
        total = torch.zeros_like(given)
        for number, batch in enumerate(self.batches):
            gradient = self.gradients[number] if self.gradients else self._gradient(*batch)
            for place, vector in enumerate(given):
                # of all models at once, since no model's loss depends on the others
                second = torch.autograd.grad(gradient, self.parameters, vector, retain_graph=True, allow_unused=True)
                total[place] += self._flat(second) / self.images
        return total

    def _gradient(self, images: Tensor, labels: Tensor) -> Tensor:
        """The gradients [models, P] of the summed cross-entropy, which can be differentiated again."""
        logits = self.program(images)
        loss = F.cross_entropy(logits, labels.expand(len(logits), -1), reduction="sum")
        return self._flat(torch.autograd.grad(loss, self.parameters, create_graph=True, allow_unused=True))

    def _flat(self, values: Sequence[Tensor | None]) -> Tensor:
        """Derivatives by each parameter as [models, P]; zeros where nothing depends on it."""
        models = self.program.stack.models if self.program.stack else 1
        pairs = zip(values, self.parameters, strict=True)
        parts = [torch.zeros_like(like) if value is None else value for value, like in pairs]
        return torch.cat([part.reshape(models, -1) for part in parts], dim=1)


def gauss_newton(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    *,
    device: str = "cpu",
) -> Tensor:
    """Each model's Gauss-Newton matrix of the mean cross-entropy over the images, exactly: float64 [models, P, P].

    It is the mean over images of Jᵀ (diag p − p pᵀ) J, where J are the derivatives of an image's logits and p their
    probabilities: the Fisher information, and the Hessian without the curvature of the logits. Labels are not read. Of
    use for small networks. Raises `InputError` as `per_example` does.
    """
    trained = _trained(layout, module)
    names, size = [entry.name for entry in trained], sum(entry.numel for entry in trained)

    def logits(parameters: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
        out = functional_call(module, parameters, (image[None],))[0]
        return out, out

    found = []
    with _program(module, layout, images, device, torch.float64, alone=True) as (program, shown, _):
        for each in weights.double().to(device).split(1):
            program.load(each)
            _check_independent(program, shown)
            parameters = {name: value.detach() for name, value in module.named_parameters() if name in names}
            total = torch.zeros(size, size, dtype=torch.float64, device=device)
            classes = program(shown[:1]).shape[1]
            for pixels in shown.split(min(LARGEST_BATCH, max(1, GRADIENT_ELEMENTS // (size * classes)))):
                jacobians, out = vmap(jacrev(logits, has_aux=True), (None, 0))(parameters, pixels)
                rows = torch.cat([jacobians[name].flatten(2) for name in names], dim=2)  # [images, classes, P]
                shares = out.softmax(1)[:, :, None]
                rows = (rows - (shares * rows).sum(1, keepdim=True)) * shares.sqrt()
                total += rows.flatten(0, 1).T @ rows.flatten(0, 1)
            found.append(total.cpu() / len(shown))
    return torch.stack(found)


def _trained(layout: Layout, module: nn.Module) -> list[LayoutEntry]:
    """Entries of the layout that are parameters with a gradient; of those that share a tensor, the first."""
    names = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    if found := [entry for entry in layout if entry.name in names]:
        return found
    raise InputError("the network has no parameters with a gradient; let one have requires_grad")


def _output(logits: Tensor, labels: Tensor, of: Of) -> Tensor:
    """The sum over images of what is differentiated, of logits [images, classes]."""
    if of == "loss":
        return F.cross_entropy(logits, labels, reduction="sum")
    return logits.gather(1, labels[:, None]).sum() if of == "logit" else margins(logits, labels).sum()


def _leaves(program: Program, trained: list[LayoutEntry]) -> list[Tensor]:
    """The tensors that a program computes with, of these entries, as what gradients are by: [models, *shape] each."""
    if program.stack is None:
        parameters = dict(program.module.named_parameters())
        return [parameters[entry.name] for entry in trained]
    return [program.state[entry.name].requires_grad_() for entry in trained]


@contextmanager
def _program(
    module: nn.Module, layout: Layout, images: Images, device: str, dtype: torch.dtype, *, alone: bool
) -> Iterator[tuple[Program, Tensor, Tensor]]:
    """A program, and the images and labels for it, in that precision; in the end the module is in float32.

    Raises `InputError` for what PyTorch cannot differentiate; random numbers are those of evaluation.
    """
    try:
        with seeded(EVALUATION_SEED, device), torch.enable_grad():
            program = Program(module, layout, images.images[:1].to(device), device, alone=alone)
            module.to(dtype)
            yield program, images.images.to(device, dtype).contiguous(), images.labels.to(device)
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"the network cannot be differentiated image by image: {first_line(error)}") from error
    finally:
        module.float()


@torch.no_grad()
def _check_independent(program: Program, images: Tensor) -> None:
    """Raise `InputError` where what a network makes of an image depends on the others of its batch, or on chance."""
    shown = images[:IMAGES]
    together = program(shown)
    alone = torch.cat([program(image) for image in shown.split(1)], dim=2)
    if not near(alone, together, APART):
        raise InputError(
            "the network cannot be differentiated image by image: its logits for an image depend on the other images "
            "of the batch, or on random numbers; take one whose BatchNorm has running statistics"
        )
