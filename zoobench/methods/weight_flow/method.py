"""The flow as a method: fitted to models of one layout, it generates new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.course import Course
from zoobench.methods.learning import Recipe, identity_of, seeded, train
from zoobench.methods.learning.bounds import check_at_least, check_below_one
from zoobench.methods.learning.diffusion import PASSES, TimeNet, loss, sample
from zoobench.methods.learning.matched import SMALLEST, Checkpoints, Codes, Matched
from zoobench.methods.learning.saving import damaged, read, save, taken, under
from zoobench.methods.protocols import HERE, Execution
from zoobench.populations import Population, TokenSet

WATCHED, WATCHED_STEPS = 64, 10  # samples, and their steps, whose spread is in the curve


@dataclass(frozen=True)
class WeightFlowConfig(Recipe):
    """See `Recipe` for the training. checkpoints: of each model that are learned from; matching: of their units to the
    best model; components: of the weights, at most, 0 for the weights themselves; width: of the network.

    accuracy: whether the network is told each model's validation accuracy, and asked for the anchors' mean. around: the
    time in [0, 1) at which sampling begins, from an anchor with the noise of that time; 0 means from noise alone, as
    published; at 0.5 there is as much noise as data. sampling_steps: of Heun's method.
    """

    steps: int = 5000
    learning_rate: float = 5e-4
    weight_decay: float = 1e-5
    checkpoints: Checkpoints = "last"
    matching: bool = True
    components: int = 64
    width: int = 256
    accuracy: bool = False
    around: float = 0.0
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "components")
        check_at_least(self, 1, "sampling_steps")
        check_at_least(self, 2, "width")
        check_below_one(self, "around")


PRESETS = {
    "default": WeightFlowConfig(),
    "last": WeightFlowConfig(keep="last"),
    "accuracy": WeightFlowConfig(checkpoints="all", accuracy=True),
    "around": WeightFlowConfig(around=0.5),
}


@dataclass(eq=False)
class WeightFlow:
    """A fitted flow. asked: mean and deviation [2] of the validation accuracy of the training models; course: how the
    fit went; None if it was read from a folder."""

    config: WeightFlowConfig
    codes: Codes
    net: TimeNet
    asked: Tensor
    course: Course | None = None

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: WeightFlowConfig, execution: Execution = HERE) -> WeightFlow:
        """Train on the training models of one layout; keep the state of the least loss on held-out ones."""
        models = Matched.of(tokens, config.checkpoints, config.matching)
        codes = Codes.of(models, config.components)
        known = models.accuracy[~models.held_out]
        if config.accuracy and not bool(models.accuracy.isfinite().all()):
            raise InputError("'accuracy' needs the validation accuracy of all models; measure it, or leave it out")
        asked = torch.stack([known.mean(), known.std(correction=0).clamp(min=SMALLEST)])
        with seeded(seed):
            net = TimeNet(codes.size, config.width, int(config.accuracy))
        flow = cls(config, codes, net, asked)
        data, accuracy = codes.encode(models.weights), models.accuracy

        def of_batch(group: int, rows: Tensor) -> Tensor:
            on = rows.device
            told = flow._told(accuracy.to(on)[rows])
            return loss("flow", lambda x, time: net(x, time, told), data.to(on)[rows])

        identity = identity_of(tokens, seed, config)
        examples = models.examples(PASSES)
        flow.course = train(net, of_batch, examples, config, seed, identity, execution, watch=flow._spread)
        return flow

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D]; with `around`, each from an anchor drawn at random."""
        self.codes.check_anchors(anchors)
        generator = torch.Generator().manual_seed(seed)
        begin = None
        if self.config.around:
            chosen = torch.randint(len(anchors), (count,), generator=generator)
            begin = self.codes.of_population(anchors)[chosen]
        wanted = anchors.table["val_accuracy"].astype(float).mean() if self.config.accuracy else 0.0
        accuracy = torch.full((count,), float(wanted))
        return self.codes.decode(self._sampled(accuracy, generator, self.config.sampling_steps, begin))

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D], matched and projected onto the components: the most that the flow can reach."""
        return self.codes.decode(self.codes.of_population(population))

    def _told(self, accuracy: Tensor) -> Tensor | None:
        """What the network is told of accuracies [models]: [models, 1]. None if it is not told."""
        mean, deviation = self.asked.to(accuracy.device)
        return ((accuracy - mean) / deviation)[:, None] if self.config.accuracy else None

    def _sampled(self, accuracy: Tensor, generator: torch.Generator, steps: int, begin: Tensor | None = None) -> Tensor:
        """Codes [models, size] of models asked to have these accuracies [models]."""
        noise, told = torch.randn(len(accuracy), self.codes.size, generator=generator), self._told(accuracy)
        device = next(self.net.parameters()).device
        told = None if told is None else told.to(device)
        noise, begin = noise.to(device), None if begin is None else begin.to(device)
        field = lambda x, time: self.net(x, time, told)  # noqa: E731
        with torch.inference_mode():
            return sample("flow", field, noise, steps, generator, begin, self.config.around).cpu()

    def _spread(self) -> dict[str, float]:
        """The root mean square of samples' codes, which is 1 for the models that the basis is of."""
        drawn = self._sampled(self.asked[:1].expand(WATCHED), torch.Generator().manual_seed(0), WATCHED_STEPS)
        return {"spread": float(drawn.square().mean().sqrt())}

    def save(self, path: Path) -> None:
        learned = under("net", self.net.state_dict()) | under("codes", self.codes.tensors) | {"asked": self.asked}
        save(path, "weight_flow", self.config, self.codes.layout, self.codes.activation, learned)

    @classmethod
    def load(cls, path: Path) -> WeightFlow:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        config, layout, activation, found = read(path, "weight_flow", WeightFlowConfig)
        try:
            codes = Codes.of_tensors(layout, activation, taken("codes", found))
            net = TimeNet(codes.size, config.width, int(config.accuracy)).eval()
            net.load_state_dict(taken("net", found))
            return cls(config, codes, net, found["asked"])
        except (KeyError, RuntimeError) as error:
            raise damaged(path, "weight_flow", error) from None
