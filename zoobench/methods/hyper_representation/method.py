"""Hyper-representations as a method: it embeds models of one layout, reconstructs them, and generates new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.methods.course import Course
from zoobench.methods.hyper_representation.model import UnitAutoencoder
from zoobench.methods.learning import Recipe, identity_of, seeded, train
from zoobench.methods.learning.bounds import check_at_least, check_below_one, check_positive, check_within
from zoobench.methods.learning.examples import generator_of
from zoobench.methods.learning.matched import Checkpoints, Codes, Matched
from zoobench.methods.learning.saving import damaged, read, save, taken, under
from zoobench.methods.learning.training import Loss
from zoobench.methods.protocols import HERE, Execution
from zoobench.methods.sane.canonical import maps_within
from zoobench.methods.sane.loss import nt_xent
from zoobench.populations import Population, Tokenizer, TokenSet

AT_ONCE = 256  # models that are encoded or decoded together


@dataclass(frozen=True)
class HyperRepresentationConfig(Recipe):
    """See `Recipe` for the training. checkpoints: of each model that are learned from; width, heads, layers: of either
    transformer; latent: numbers per model.

    gamma: share of the contrastive loss between two views, at this temperature; the rest is reconstruction. A view is
    the matched model under one of `permutations` random symmetries (0: as it is; large models get fewer, see
    `sane.canonical`), with the share `erase` of its tokens erased. The models are matched either way.

    density: `independent` draws each latent dimension by itself, as published; `released` draws one model and one
    offset for all dimensions, as the released code does, which replays models. From the latents of the share `best` of
    each population's training checkpoints by validation accuracy, or, with source `anchors`, from those of the anchors;
    bandwidth: of the kernel.
    """

    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 3e-5
    checkpoints: Checkpoints = "all"
    width: int = 64
    heads: int = 4
    layers: int = 2
    latent: int = 64
    gamma: float = 0.05
    temperature: float = 0.1
    permutations: int = 0
    erase: float = 0.1
    density: Literal["independent", "released"] = "independent"
    source: Literal["zoo", "anchors"] = "zoo"
    best: float = 0.3
    bandwidth: float = 0.002

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "width", "heads", "layers", "latent")
        check_at_least(self, 0, "permutations", "bandwidth")
        check_positive(self, "temperature")
        check_within(self, 0, 1, "gamma")
        check_below_one(self, "erase")
        if self.width % self.heads:
            raise InputError(f"a width of {self.width} has no room for {self.heads} equal heads; take a multiple")
        if not 0 < self.best <= 1:
            raise InputError(f"'best' is {self.best:g}; take a share of the training models, above 0 and at most 1")


PRESETS = {
    "default": HyperRepresentationConfig(),
    "released": HyperRepresentationConfig(density="released"),
    "anchors": HyperRepresentationConfig(source="anchors"),
    "permuted": HyperRepresentationConfig(permutations=1000),
}


@dataclass(eq=False)
class HyperRepresentation:
    """A fitted autoencoder. latents: [models, latent] of the best training checkpoints; course: how the fit went; None
    if it was read from a folder."""

    config: HyperRepresentationConfig
    codes: Codes
    latents: Tensor
    course: Course | None = None

    def __post_init__(self) -> None:
        c, self.tokenizer = self.config, Tokenizer.of(self.codes.layout)
        self.model = UnitAutoencoder(self.tokenizer, c.width, c.heads, c.layers, c.latent).eval()

    @classmethod
    def fit(
        cls, tokens: TokenSet, seed: int, config: HyperRepresentationConfig, execution: Execution = HERE
    ) -> HyperRepresentation:
        """Train on the training models of one layout, and remember the latents of the best."""
        models = Matched.of(tokens, config.checkpoints)
        with seeded(seed):
            fitted = cls(config, Codes.of(models), torch.zeros(0, config.latent))
        identity = identity_of(tokens, seed, config)
        batch = fitted._loss(models, seed)
        fitted.course = train(fitted.model, batch, models.examples(), config, seed, identity, execution)
        known = ~models.held_out
        best = _best(models.accuracy[known], models.source[known], config.best)
        fitted.latents = fitted._encoded(fitted.codes.encode(models.weights[known][best]))
        return fitted

    def embed(self, population: Population) -> Tensor:
        """Latents [checkpoints, latent]."""
        return self._encoded(self.codes.of_population(population))

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D], matched, encoded and decoded. Weights outside tokens are the layers' means."""
        return self._decoded(self.embed(population))

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] from a kernel density over latents."""
        self.codes.check_anchors(anchors)
        latents = self.embed(anchors) if self.config.source == "anchors" else self.latents
        generator = torch.Generator().manual_seed(seed)
        wide = latents.shape[1] if self.config.density == "independent" else 1
        chosen = torch.randint(len(latents), (count, wide), generator=generator).expand(count, latents.shape[1])
        offset = self.config.bandwidth * torch.randn(count, wide, generator=generator)
        return self._decoded(latents.gather(0, chosen) + offset)

    def _loss(self, models: Matched, seed: int) -> Loss:
        """γ · NT-Xent between two views + (1 − γ) · squared error of both, in units of each layer's variance."""
        c, model, codes = self.config, self.model, self.codes
        generator = generator_of(seed, -1)
        count = maps_within(c.permutations, models.layout.size)
        maps = random_symmetries(models.layout, models.groups, count, generator) if count else None

        def view(rows: Tensor) -> Tensor:
            weights = models.weights[rows.cpu()]
            if maps is not None:
                chosen = torch.randint(count, (len(rows),))
                weights = weights.gather(1, maps[0][chosen]) * maps[1][chosen]
            return self.tokenizer.tokens(codes.encode(weights))

        def loss(group: int, rows: Tensor) -> Tensor:
            wanted = torch.cat([view(rows), view(rows)])
            seen = wanted * (torch.rand(wanted.shape[:2]) >= c.erase)[..., None]
            wanted, mask = wanted.to(rows.device), self.tokenizer.mask.to(rows.device)
            latents = model.encode(seen.to(rows.device))
            error = ((model.decode(latents) - wanted).square() * mask).sum() / (mask.sum() * len(wanted))
            first, second = model.projection(latents).chunk(2)
            return c.gamma * nt_xent(first, second, c.temperature) + (1 - c.gamma) * error

        return loss

    def _encoded(self, codes: Tensor) -> Tensor:
        """Latents [models, latent] of standardised weights [models, D]."""
        with torch.inference_mode():
            return torch.cat([self.model.encode(self.tokenizer.tokens(part)) for part in codes.split(AT_ONCE)])

    def _decoded(self, latents: Tensor) -> Tensor:
        """Weights [models, D] of latents [models, latent]."""
        base = torch.zeros(self.codes.layout.size)
        with torch.inference_mode():
            parts = [self.tokenizer.weights(self.model.decode(part), base) for part in latents.split(AT_ONCE)]
        return self.codes.decode(torch.cat(parts))

    def save(self, path: Path) -> None:
        learned = under("model", self.model.state_dict()) | under("codes", self.codes.tensors)
        learned["latents"] = self.latents
        save(path, "hyper_representation", self.config, self.codes.layout, self.codes.activation, learned)

    @classmethod
    def load(cls, path: Path) -> HyperRepresentation:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        config, layout, activation, found = read(path, "hyper_representation", HyperRepresentationConfig)
        try:
            fitted = cls(config, Codes.of_tensors(layout, activation, taken("codes", found)), found["latents"])
            fitted.model.load_state_dict(taken("model", found))
        except (KeyError, RuntimeError) as error:
            raise damaged(path, "hyper_representation", error) from None
        return fitted


def _best(accuracy: Tensor, source: Tensor, share: float) -> Tensor:
    """Rows of the best share of each population's checkpoints: accuracies [checkpoints], populations [checkpoints].

    All rows of a population whose accuracy was not measured. Datasets differ in accuracy, so each has its own best.
    """
    chosen = []
    for number in source.unique().tolist():
        rows = (source == number).nonzero().flatten()
        if bool(accuracy[rows].isfinite().all()):
            rows = rows[accuracy[rows].argsort(descending=True, stable=True)][: max(1, round(share * len(rows)))]
        chosen.append(rows)
    return torch.cat(chosen)
