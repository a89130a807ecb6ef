"""An autoencoder of weight vectors and a diffusion over its latents, as a method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from zoobench.methods.course import Course
from zoobench.methods.learning import Recipe, identity_of, joined, seeded, train
from zoobench.methods.learning.bounds import check_at_least, check_below_one, check_within
from zoobench.methods.learning.diffusion import DDPM_STEPS, PASSES, TimeNet, loss, sample
from zoobench.methods.learning.matched import Checkpoints, Codes, Matched, moments_of
from zoobench.methods.learning.saving import damaged, read, save, taken, under
from zoobench.methods.protocols import HERE, Execution
from zoobench.populations import Population, TokenSet


@dataclass(frozen=True)
class PDiffConfig(Recipe):
    """See `Recipe` for the training of the diffusion. autoencoder_steps: of the autoencoder's, trained first in
    the same way; checkpoints: of each model that are learned from; matching: of their units to the best model; hidden,
    latent: widths of the autoencoder; width: of the diffusion's network.

    weight_noise: added to the standardised weights that the autoencoder reads; latent_noise: to the latents that it
    decodes. around: the time in [0, 1) at which sampling begins, from an anchor's latent with the noise of that time; 0
    means from noise alone, as published; at 0.75 there is as much noise as data. sampling_steps: of ancestral sampling,
    at most `DDPM_STEPS`; from later on, at most those that are left.
    """

    steps: int = 5000
    weight_decay: float = 2e-6
    keep: Literal["best", "last"] = "last"
    autoencoder_steps: int = 2000
    checkpoints: Checkpoints = "last"
    matching: bool = True
    hidden: int = 512
    latent: int = 64
    width: int = 256
    weight_noise: float = 1e-3
    latent_noise: float = 0.1
    around: float = 0.0
    sampling_steps: int = DDPM_STEPS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "autoencoder_steps", "hidden", "latent")
        check_at_least(self, 2, "width")
        check_at_least(self, 0, "weight_noise", "latent_noise")
        check_within(self, 1, DDPM_STEPS, "sampling_steps")
        check_below_one(self, "around")


PRESETS = {"default": PDiffConfig(), "unmatched": PDiffConfig(matching=False), "around": PDiffConfig(around=0.75)}


class VectorAutoencoder(nn.Module):
    """Vectors to latents and back, by MLPs of one hidden layer."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, size))


@dataclass(eq=False)
class PDiff:
    """A fitted p-diff. latents: mean and deviation [2, latent] of the training models' latents; course: how the fit
    went; None if it was read from a folder."""

    config: PDiffConfig
    codes: Codes
    autoencoder: VectorAutoencoder
    latents: Tensor
    net: TimeNet
    course: Course | None = None

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: PDiffConfig, execution: Execution = HERE) -> PDiff:
        """Train on the training models of one layout, first the autoencoder, then the diffusion over its latents."""
        models = Matched.of(tokens, config.checkpoints, config.matching)
        codes, identity = Codes.of(models), identity_of(tokens, seed, config)
        with seeded(seed):
            fitted = cls._new(config, codes, torch.zeros(2, config.latent))
        autoencoder, data = fitted.autoencoder, codes.encode(models.weights)

        def reconstruction(group: int, rows: Tensor) -> Tensor:
            wanted = data.to(rows.device)[rows]
            latents = autoencoder.encoder(wanted + config.weight_noise * torch.randn_like(wanted))
            decoded = autoencoder.decoder(latents + config.latent_noise * torch.randn_like(latents))
            return (decoded - wanted).square().mean()

        first = train(
            autoencoder,
            reconstruction,
            models.examples(),
            replace(config, steps=config.autoencoder_steps),
            seed,
            identity,
            execution,
            name="autoencoder",
        )
        with torch.no_grad():
            latents = autoencoder.encoder(data)
        known = latents[~models.held_out]
        fitted.latents = moments_of(known)
        standard = (latents - fitted.latents[0]) / fitted.latents[1]

        def of_batch(group: int, rows: Tensor) -> Tensor:
            return loss("ddpm", fitted.net, standard.to(rows.device)[rows])

        second = train(
            fitted.net, of_batch, models.examples(PASSES), config, seed, identity, execution, name="diffusion"
        )
        fitted.course = joined([first, second])
        return fitted

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D]; with `around`, each from an anchor drawn at random."""
        self.codes.check_anchors(anchors)
        generator = torch.Generator().manual_seed(seed)
        begin = None
        with torch.inference_mode():
            if self.config.around:
                chosen = torch.randint(len(anchors), (count,), generator=generator)
                latents = self.autoencoder.encoder(self.codes.of_population(anchors))[chosen]
                begin = (latents - self.latents[0]) / self.latents[1]
            noise = torch.randn(count, self.config.latent, generator=generator)
            steps, around = self.config.sampling_steps, self.config.around
            drawn = sample("ddpm", self.net, noise, steps, generator, begin, around)
            return self.codes.decode(self.autoencoder.decoder(drawn * self.latents[1] + self.latents[0]))

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D], matched, encoded and decoded: the most that the diffusion can reach."""
        with torch.inference_mode():
            latents = self.autoencoder.encoder(self.codes.of_population(population))
            return self.codes.decode(self.autoencoder.decoder(latents))

    def save(self, path: Path) -> None:
        nets = under("net", self.net.state_dict()) | under("autoencoder", self.autoencoder.state_dict())
        learned = nets | under("codes", self.codes.tensors) | {"latents": self.latents}
        save(path, "p_diff", self.config, self.codes.layout, self.codes.activation, learned)

    @classmethod
    def load(cls, path: Path) -> PDiff:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        config, layout, activation, found = read(path, "p_diff", PDiffConfig)
        try:
            fitted = cls._new(config, Codes.of_tensors(layout, activation, taken("codes", found)), found["latents"])
            fitted.autoencoder.load_state_dict(taken("autoencoder", found))
            fitted.net.load_state_dict(taken("net", found))
        except (KeyError, RuntimeError) as error:
            raise damaged(path, "p_diff", error) from None
        return fitted

    @classmethod
    def _new(cls, config: PDiffConfig, codes: Codes, latents: Tensor) -> PDiff:
        """Untrained."""
        autoencoder = VectorAutoencoder(codes.size, config.hidden, config.latent).eval()
        return cls(config, codes, autoencoder, latents, TimeNet(config.latent, config.width).eval())
