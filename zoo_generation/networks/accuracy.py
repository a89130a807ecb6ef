"""Evaluate populations of flat weights, many models at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.program import Program, norms_of
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.progress import QUIET, Progress


def accuracies(weights: Tensor, layout: Layout, module: nn.Module, images: Images, device: str = "cpu") -> Tensor:
    """Accuracy in [0, 1] of each of the models [models, D] on the images, as float64 [models].

    A model whose weights are not finite counts as wrong on every image.
    """
    return evaluate(weights, layout, module, images, device)[1]


@torch.no_grad()
def accuracies_among(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    classes: Sequence[int],
    device: str = "cpu",
) -> Tensor:
    """Accuracy in [0, 1] of each of the models [models, D] among some of their classes, as float64 [models].

    Only images of these classes count, and the logits of all others are left out, as if the model had learned no other
    class. Models that know more classes than they were asked about are thus comparable with those that do not. A model
    whose weights are not finite counts as wrong on every image. Raises `InputError` if no image is of these classes.
    """
    kept = torch.tensor(sorted(set(classes)), dtype=torch.int64, device=images.labels.device)
    rows = torch.isin(images.labels, kept).nonzero().flatten()
    if not len(rows):
        raise InputError(f"none of {len(images.labels)} images is of the classes {kept.tolist()}; name others")
    shown = Images(images.images[rows], images.labels[rows])
    accuracy = torch.zeros(len(weights), dtype=torch.float64)

    def right(logits: Tensor, truth: Tensor) -> Tensor:
        named = kept.to(logits.device)
        return (named[logits[:, named].argmax(1)] == truth).sum(1)

    for places, parts in _measured(weights, layout, module, shown, device, right, QUIET):
        accuracy[places] = torch.stack(parts).sum(0).double().cpu() / len(rows)
    return accuracy


@torch.no_grad()
def evaluate(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy, nats, and accuracy in [0, 1] of each of the models [models, D], as float64 [models].

    Models run in stacks as large as memory allows, on the device `cpu` or `cuda`. They run one by one if the network
    has a layer that stacks do not know, if it is wide, and on a CPU if it has BatchNorm, since a stack is no quicker.
    The results are those of one by one, within float tolerance. A model whose weights are not finite counts as wrong on
    every image, and its loss is not a number. `progress` is told how many models are done.
    """
    loss = torch.full((len(weights),), torch.nan, dtype=torch.float64)
    accuracy = torch.zeros_like(loss)

    def sums(logits: Tensor, truth: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, truth, reduction="none").double().sum(1)
        return torch.stack([losses, (logits.argmax(1) == truth).sum(1).double()])

    for rows, parts in _measured(weights, layout, module, images, device, sums, progress):
        loss[rows], accuracy[rows] = torch.stack(parts).sum(0).cpu()
    return loss / len(images.labels), accuracy / len(images.labels)


@torch.no_grad()
def mistakes(weights: Tensor, layout: Layout, module: nn.Module, images: Images, device: str = "cpu") -> Tensor:
    """Which images [models, images] each of the models [models, D] classifies wrongly, as `evaluate` runs them.

    A model whose weights are not finite is wrong on every image.
    """
    wrong = torch.ones(len(weights), len(images.labels), dtype=torch.bool)
    for rows, parts in _measured(
        weights, layout, module, images, device, lambda logits, truth: logits.argmax(1) != truth, QUIET
    ):
        wrong[rows] = torch.cat(parts, dim=1).cpu()
    return wrong


@torch.no_grad()
def logits(weights: Tensor, layout: Layout, module: nn.Module, images: Tensor, device: str = "cpu") -> Tensor:
    """Logits [models, images, classes] float32, on the CPU, of the models [models, D], as `evaluate` runs them.

    images: normalised, [images, channels, height, width]. Those of a model whose weights are not finite are NaN.
    """
    classes = module.to("cpu").eval()(images[:1]).shape[1]
    found = torch.full((len(weights), len(images), classes), torch.nan)
    unlabelled = Images(images, torch.zeros(len(images), dtype=torch.int64))
    for rows, parts in _measured(weights, layout, module, unlabelled, device, lambda each, _: each.cpu(), QUIET):
        found[rows] = torch.cat(parts, dim=2).mT.float()
    return found


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images are classified correctly, bool [..., images]; none whose logits are not finite.

    logits: [..., images, classes]; labels: [images] int64.
    """
    return (logits.argmax(-1) == labels) & logits.isfinite().all(-1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """The log-odds of the label, [..., images]: its logit minus the logarithm of the sum of the exponentials of the
    others (Park et al., arXiv 2303.14186, section 3). logits: [..., images, classes]; labels: [images] int64.

    >>> margins(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0]))
    tensor([0.3069])
    """
    own = torch.arange(logits.shape[-1], device=logits.device) == labels[..., None]
    return (logits * own).sum(-1) - logits.masked_fill(own, -torch.inf).logsumexp(-1)


def _measured(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    device: str,
    measure: Callable[[Tensor, Tensor], Tensor],
    progress: Progress,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """For some of the finite models after others: their rows among all, and what is measured of each batch of images.

    measure: of logits [models, classes, images] and labels [models, images].
    """
    shown, labels = images.images.to(device), images.labels.to(device)
    # On a CPU the library's own kernels join BatchNorm with the layers around it, and are as quick alone.
    program = Program(module, layout, shown[:1], device, alone=device == "cpu" and bool(norms_of(module)))
    finite = weights.isfinite().all(1).nonzero().flatten()
    if not len(finite):
        return
    chunks, step = program.chunks(shown[:1]), progress.stage("evaluating")
    batches = list(zip(shown.split(chunks.batch), labels.split(chunks.batch), strict=True))
    done = len(weights) - len(finite)
    for rows in finite.split(chunks.models):
        program.load(weights[rows].to(device))
        with seeded(EVALUATION_SEED, device):
            parts = []
            for some, truth in batches:
                logits = program(some)
                parts.append(measure(logits, truth.expand(len(logits), -1)))
        yield rows.cpu(), parts
        done += len(rows)
        step(done, len(weights))


@torch.no_grad()
def condition_batch_norm(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    passes: int = 3,
    batch: int = 100,
    device: str = "cpu",
) -> Tensor:
    """Set each model's BatchNorm statistics by forward passes over training images, without gradients.

    Returns new weights [models, D] on the device of those given, or these if the network has no BatchNorm. Statistics
    are plain averages over `passes` batches, or over fewer if there are not enough images.
    Source: Schürholt et al., SANE, arXiv 2406.09997, section 3.3, which takes about 50 passes; three are enough
    for narrow ResNets.
    """
    if not norms_of(module):
        return weights
    batches = images.images[: passes * batch].to(device).split(batch)
    program = Program(module, layout, batches[0][:1], device)
    conditioned = weights.clone()
    finite = weights.isfinite().all(1).nonzero().flatten()
    models = program.chunks(batches[0][:1]).models
    for rows in finite.split(models):
        program.load(weights[rows].to(device))
        with seeded(EVALUATION_SEED, device):
            program.average_statistics(batches)
        conditioned[rows] = program.weights().to(weights)
    return conditioned
