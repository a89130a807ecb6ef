"""Growth that is learned: a few steps on the loss of the large network, which is made of the small one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import condition_batch_norm
from zoo_generation.networks.flops import TRAINING, counted
from zoo_generation.networks.program import device_of
from zoo_generation.networks.randomness import seed_dropout
from zoo_generation.networks.stack import UnstackableError
from zoo_generation.networks.trial import proven_stack
from zoobench.methods.descent import Descent, Parameters, descend
from zoobench.methods.growth.enlargement import Enlargement, State
from zoobench.methods.protocols import Grown, InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.target import Target

PASSES, BATCH = 3, 100  # batches of images, of which BatchNorm's statistics are taken in the end


@dataclass(frozen=True)
class LearnedGrowth(Unlearned):
    """Trains what large weights are made of, for all models at once, on the training images and labels.

    steps: of Adam at the learning rate, each on `batch_size` images; 25 by default, where the papers take 100 before
    hundreds of thousands: small networks are trained for some hundred steps, and 100 would be a fifth of that. Rates
    were chosen by validation images, on training models of two zoos. BatchNorm's statistics are taken anew afterwards.
    """

    steps: int = 25
    learning_rate: float = 0.03
    batch_size: int = 32

    def __post_init__(self) -> None:
        self._how()

    def start(self, plan: Enlargement, seed: int) -> dict[str, Tensor]:
        """Parameters before the first step, by name [models, ...]."""
        raise NotImplementedError

    def built(self, plan: Enlargement, parameters: Parameters) -> State:
        """Weights of the large network of parameters: a differentiable function."""
        raise NotImplementedError

    def labels(self, plan: Enlargement, images: Images) -> Tensor:
        """What the loss asks for: classes [images], or probabilities [models, images, classes]."""
        return images.labels

    def further(self, plan: Enlargement) -> float:
        """Operations on an image in a step besides those of training the large network."""
        return 0.0

    def grow(self, small: Population, target: Target, seed: int) -> Grown:
        """See `Grower`."""
        plan, images = Enlargement.of(small, target), small.evidence.labelled("train")
        start, labels = self.start(plan, seed), self.labels(plan, images)
        run = _LargeModels(target, images.images)

        def losses(parameters: Parameters, chosen: Tensor) -> Tensor:
            logits = run(self.built(plan, parameters), chosen)
            truth = labels[chosen].expand(len(logits), -1) if labels.dim() == 1 else labels[:, chosen].mT
            return F.cross_entropy(logits, truth, reduction="none").mean(-1)

        found = descend(start, losses, len(images.labels), self._how(), seed)
        weights = target.layout.flatten(self.built(plan, found))
        weights = torch.where(weights.isfinite().all(1, keepdim=True), weights, 0.0)  # of an operator that diverged
        made = condition_batch_norm(weights, target.layout, target.module(), images, PASSES, BATCH)
        return Grown(made, self._gigaflops(plan, found, made is not weights))

    def _how(self) -> Descent:
        return Descent(self.steps, self.batch_size, self.learning_rate)

    def _gigaflops(self, plan: Enlargement, parameters: Parameters, conditioned: bool) -> float:
        """Of each model: making and training the large weights, a backward pass counting as two forward ones."""
        building = TRAINING * counted(lambda: self.built(plan, parameters)) / len(plan.small)
        image = plan.large.operations
        step = building + self.batch_size * (TRAINING * image + self.further(plan))
        return (self.steps * step + (PASSES * BATCH * image if conditioned else 0.0)) / 1e9


class _LargeModels:
    """Many models of a target, with weights that are functions of others, on training images."""

    def __init__(self, target: Target, images: Tensor) -> None:
        self.device = device_of("auto")
        channels, height, width = images.shape[1:]
        try:
            module = target.module().to(self.device)
            seed_dropout(module, torch.Generator(self.device))  # there is none, but stacks know no other layer for it
            self.stack = proven_stack([module], (channels, height, width), self.device)
        except UnstackableError as error:
            name = target.row["architecture"]
            raise InapplicableError(f"an operator is learned for many models at once, and of {name} {error}") from None
        self.images = images.to(self.device)

    def __call__(self, state: State, chosen: Tensor) -> Tensor:
        """Logits [models, classes, batch] in training, on the images of these numbers, on the CPU."""
        here = {name: _own(name, value.to(self.device)) for name, value in state.items()}
        self.stack.models = len(next(iter(here.values())))
        maps = self.images[chosen.to(self.device)].permute(1, 2, 3, 0)[None].contiguous()
        return self.stack(here, maps, training=True).cpu()


def _own(name: str, value: Tensor) -> Tensor:
    """Statistics change in training, and are no function of parameters."""
    return value.detach().clone() if "running_" in name else value
