"""Training networks beside trained models that stay as they are: what all methods of value share.

Source: Lu et al., Transferable post-training via inverse value learning, arXiv 2410.21027.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.module import Network
from zoo_generation.networks.program import device_of
from zoo_generation.networks.registry import known_activation
from zoo_generation.networks.stack import Stack, UnstackableError
from zoo_generation.networks.trial import built, proven_stack
from zoobench.methods.descent import Descent, Losses, Parameters, descend, steps_of
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.planes import layout_like, with_planes

AT_ONCE = 32
"""Networks that are trained as one stack; more fall out of a CPU's cache."""

SEEDS = 1000
"""Seeds of initial weights per seed of a method, one for each network."""

INIT = "kaiming_uniform"


@dataclass(frozen=True, eq=False)
class Beside:
    """What networks are trained beside. logits: of each base on each training image, [bases, images, classes], the same
    number of bases as of networks; planes: whether networks see them too; several: whether a network's base is drawn
    among all at each step, or always its own; norm: what a network's mean absolute logit costs, in nats."""

    logits: Tensor
    planes: bool = False
    several: bool = False
    norm: float = 0.0


@dataclass(frozen=True)
class ValueTraining(Unlearned):
    """A method that trains a network for each base, all as one stack, on the same images in the same order.

    epochs: passes over the images; learning_rate, weight_decay, batch_size: of Adam, without schedule, augmentation or
    dropout.
    """

    epochs: int = 10
    learning_rate: float = 0.003
    weight_decay: float = 0.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0 or self.weight_decay < 0:
            raise InputError(
                f"value learning was given {self.epochs} epochs, batches of {self.batch_size}, a learning_rate of "
                f"{self.learning_rate:g} and a weight_decay of {self.weight_decay:g}; take 1 or more epochs, batches "
                "of 1 or more, a learning_rate above 0, and a weight_decay of 0 or more"
            )

    def trained(
        self, bases: Population, seed: int, start: Tensor | None = None, beside: Beside | None = None
    ) -> Tensor:
        """Weights of networks like the bases after training, [bases, D], or [bases, D'] if they see planes.

        start: weights before training, drawn by the seed if None; beside: what is added to a network's own logits in
        the loss, None for nothing. A network whose training diverges comes back with all weights 0, and adds nothing.
        """
        planes = beside is not None and beside.planes
        networks = [_network(row, planes) for _, row in bases.table.iterrows()]
        layout, shown = layout_like(bases.row, planes), bases.evidence.labelled("train")
        if start is None:
            built = (each.build(SEEDS * seed + number, INIT) for number, each in enumerate(networks))
            start = torch.stack([layout.flatten(module.state_dict()) for module in built]).detach()
        found = torch.zeros_like(start)
        for _, rows in bases.table.groupby("activation"):
            for some in torch.tensor(rows.index.tolist()).split(AT_ONCE):
                stack = _stack([networks[each] for each in some.tolist()], shown.images.shape[-1], bases.name)
                state = {name: each.contiguous() for name, each in layout.unflatten(start[some]).items()}
                made = layout.flatten(self._descended(stack, state, some, shown, beside, seed)).cpu()
                found[some] = torch.where(made.isfinite().all(1, keepdim=True), made, 0.0)
        return found

    def _descended(
        self, stack: Stack, state: dict[str, Tensor], some: Tensor, shown: Images, beside: Beside | None, seed: int
    ) -> dict[str, Tensor]:
        """The stack's weights [networks, ...] by name after training; some: the numbers of its networks among all."""
        device = device_of("auto")
        state = {name: each.to(device) for name, each in state.items()}
        statistics = {name: each.clone() for name, each in state.items() if name not in stack.trained}
        images = Images(shown.images.to(device), shown.labels.to(device))
        losses = _losses(stack, statistics, some, images, beside, torch.Generator().manual_seed(seed))
        how = Descent(
            steps_of(len(shown.labels), self.batch_size, self.epochs),
            self.batch_size,
            self.learning_rate,
            self.weight_decay,
        )
        parameters = {name: state[name] for name in stack.trained}
        return statistics | descend(parameters, losses, len(shown.labels), how, seed)


def _losses(
    stack: Stack, statistics: Parameters, some: Tensor, shown: Images, beside: Beside | None, random: torch.Generator
) -> Losses:
    """The cross-entropy of labels with the sum of a network's logits and its base's, and what their size costs."""
    logits = None if beside is None else beside.logits.to(shown.images.device)

    def losses(parameters: Parameters, chosen: Tensor) -> Tensor:
        chosen = chosen.to(shown.images.device)
        seen, known = shown.images[chosen][None], torch.zeros(())
        if beside is not None and logits is not None:
            drawn = torch.randint(len(logits), (len(logits),), generator=random)[some] if beside.several else some
            known = logits[drawn.to(logits.device)][:, chosen]
            seen = with_planes(seen, known) if beside.planes else seen
        own = stack({**statistics, **parameters}, seen.permute(0, 2, 3, 4, 1), training=True).mT
        truth = shown.labels[chosen].expand(len(own), -1)
        loss = F.cross_entropy((own + known.to(own)).mT, truth, reduction="none").mean(1)
        return loss if beside is None else loss + beside.norm * own.abs().mean((1, 2))

    return losses


def _network(row: pd.Series, planes: bool) -> Network:
    """A network like the model of a row. Raises `InapplicableError` if its activation is not known."""
    activation, classes = known_activation(row["activation"]), int(row["classes"])
    if activation is None:
        raise InapplicableError(f"models of '{row['architecture']}' have no known activation, so none can be trained")
    channels = int(row["channels"]) + planes * classes
    return Network(str(row["architecture"]), channels, classes, activation, 0.0, float(row["width"]))


def _stack(networks: list[Network], size: int, name: str) -> Stack:
    """Raises `InapplicableError` if they cannot be run as one."""
    first = networks[0]
    try:
        device = device_of("auto")
        return proven_stack([built(each, 0, device) for each in networks], (first.channels, size, size), device)
    except UnstackableError as error:
        raise InapplicableError(f"networks like the models of {name} cannot be trained as one stack: {error}") from None
