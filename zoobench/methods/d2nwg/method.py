"""D2NWG as a method: trained in three stages, it generates models for the dataset that it is shown images of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoobench.methods.course import Course
from zoobench.methods.d2nwg.model import HEADS, SIDE, DatasetEncoder, VariationalAutoencoder
from zoobench.methods.learning import Recipe, identity_of, joined, seeded, train
from zoobench.methods.learning.bounds import check_at_least, check_positive, check_within
from zoobench.methods.learning.diffusion import DDPM_STEPS, PASSES, TimeNet, loss, sample
from zoobench.methods.learning.matched import Checkpoints, Codes, Matched, moments_of
from zoobench.methods.learning.saving import damaged, read, save, taken, under
from zoobench.methods.protocols import HERE, Execution
from zoobench.populations import Population, TokenSet

ANCHORS = 5  # models whose mean latent is the condition in training, as there are anchors in generation

Condition = Literal["images", "anchors", "none"]


@dataclass(frozen=True)
class D2nwgConfig(Recipe):
    """See `Recipe` for the training of the diffusion. autoencoder_steps, encoder_steps: of the two models that are
    trained first, in the same way; checkpoints: of each model that are learned from; hidden, latent: widths of the
    autoencoder; kl: weight of its divergence; width: of the diffusion's network.

    condition: the code of a set of `images` of the target's training split (needs access to images), the mean latent of
    the `anchors`, or `none`; set_images: images in a set; code: numbers in its code; temperature: of the contrastive
    loss that aligns codes with the latents of models. sampling_steps: of ancestral sampling.
    """

    steps: int = 5000
    keep: Literal["best", "last"] = "last"
    autoencoder_steps: int = 2000
    encoder_steps: int = 500
    checkpoints: Checkpoints = "last"
    hidden: int = 512
    latent: int = 64
    kl: float = 1e-6
    width: int = 256
    condition: Condition = "images"
    set_images: int = 64
    code: int = 64
    temperature: float = 1.0
    sampling_steps: int = DDPM_STEPS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "autoencoder_steps", "encoder_steps", "hidden", "latent", "set_images")
        check_at_least(self, 2, "width")
        check_at_least(self, 0, "kl")
        check_positive(self, "temperature")
        check_within(self, 1, DDPM_STEPS, "sampling_steps")
        if self.code < HEADS or self.code % HEADS:
            raise InputError(f"'code' is {self.code}; take a multiple of {HEADS}")

    @property
    def told(self) -> int:
        """Numbers that the diffusion is told."""
        return {"images": self.code, "anchors": self.latent, "none": 0}[self.condition]


class Aligned(nn.Module):
    """The dataset encoder, and a linear map of models' latents to its codes."""

    def __init__(self, channels: int, config: D2nwgConfig) -> None:
        super().__init__()
        self.encoder = DatasetEncoder(channels, config.code)
        self.of_latents = nn.Linear(config.latent, config.code)


@dataclass(eq=False)
class D2nwg:
    """A fitted D2NWG. latents: mean and deviation [2, latent] of the training models' latents; aligned: None unless it
    is conditioned on images; course: how the fit went; None if it was read from a folder."""

    config: D2nwgConfig
    codes: Codes
    latents: Tensor
    channels: int
    course: Course | None = None

    def __post_init__(self) -> None:
        c = self.config
        self.autoencoder = VariationalAutoencoder(self.codes.size, c.hidden, c.latent).eval()
        self.aligned = Aligned(self.channels, c).eval() if c.condition == "images" else None
        self.net = TimeNet(c.latent, c.width, c.told).eval()

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: D2nwgConfig, execution: Execution = HERE) -> D2nwg:
        """Train on the training models of one layout: autoencoder, then dataset encoder, then diffusion."""
        models = Matched.of(tokens, config.checkpoints)
        populations = {each.name: each for each in tokens.populations}
        channels = int(populations[models.names[0]].table["channels"].iloc[0])
        with seeded(seed):
            fitted = cls(config, Codes.of(models), torch.zeros(2, config.latent), channels)
        images = [_shown(populations[name]) for name in models.names if config.condition == "images"]
        identity = identity_of(tokens, seed, config)
        standard = fitted.codes.encode(models.weights)
        courses = [
            train(
                fitted.autoencoder,
                fitted._reconstruction(standard),
                models.examples(),
                replace(config, steps=config.autoencoder_steps),
                seed,
                identity,
                execution,
                name="autoencoder",
            )
        ]
        with torch.no_grad():
            latents, _ = fitted.autoencoder.encode(standard)
        known = latents[~models.held_out]
        fitted.latents = moments_of(known)
        latents = (latents - fitted.latents[0]) / fitted.latents[1]
        if fitted.aligned is not None:
            courses.append(
                train(
                    fitted.aligned,
                    fitted._alignment(latents, models.source, images),
                    models.examples(),
                    replace(config, steps=config.encoder_steps),
                    seed,
                    identity,
                    execution,
                    name="encoder",
                )
            )
        diffusion = fitted._diffusion(latents, models, images)
        examples = models.examples(PASSES)
        courses.append(train(fitted.net, diffusion, examples, config, seed, identity, execution, name="diffusion"))
        if fitted.aligned is not None:
            fitted.aligned.to("cpu")
        fitted.course = joined(courses)
        return fitted

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] for the anchors' dataset: each draw is told of another set of its images, or of the
        anchors' mean latent."""
        self.codes.check_anchors(anchors)
        generator = torch.Generator().manual_seed(seed)
        c = self.config
        with torch.inference_mode():
            told = None
            if self.aligned is not None:
                images = _shown(anchors)
                sets = torch.randint(len(images), (count, c.set_images), generator=generator)
                told = self.aligned.encoder(images[sets])
            elif c.condition == "anchors":
                mean, _ = self.autoencoder.encode(self.codes.of_population(anchors))
                told = ((mean.mean(0) - self.latents[0]) / self.latents[1]).expand(count, -1)
            noise = torch.randn(count, c.latent, generator=generator)
            field = lambda x, time: self.net(x, time, told)  # noqa: E731
            drawn = sample("ddpm", field, noise, c.sampling_steps, generator)
            return self.codes.decode(self.autoencoder.decoder(drawn * self.latents[1] + self.latents[0]))

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D], matched, encoded and decoded: the most that the diffusion can reach."""
        with torch.inference_mode():
            mean, _ = self.autoencoder.encode(self.codes.of_population(population))
            return self.codes.decode(self.autoencoder.decoder(mean))

    def _reconstruction(self, standard: Tensor) -> Callable[[int, Tensor], Tensor]:
        """Squared error of the standardised weights, and the divergence of latents from a standard Gaussian."""

        def loss_of(group: int, rows: Tensor) -> Tensor:
            wanted = standard.to(rows.device)[rows]
            mean, spread = self.autoencoder.encode(wanted)
            decoded = self.autoencoder.decoder(mean + (spread / 2).exp() * torch.randn_like(mean))
            divergence = (mean.square() + spread.exp() - 1 - spread).sum(1).mean() / 2
            return (decoded - wanted).square().mean() + self.config.kl * divergence

        return loss_of

    def _alignment(self, latents: Tensor, source: Tensor, images: list[Tensor]) -> Callable[[int, Tensor], Tensor]:
        """Contrastive: a model's latent is to be nearer to the code of images of its own population than to those of
        others: two populations of one dataset have codes of the same images."""
        assert self.aligned is not None
        aligned, c = self.aligned, self.config

        def loss_of(group: int, rows: Tensor) -> Tensor:
            known = torch.stack([_some(each, c.set_images) for each in images]).to(rows.device)
            ours = F.normalize(aligned.of_latents(latents.to(rows.device)[rows]), dim=1)
            return F.cross_entropy(ours @ aligned.encoder(known).T / c.temperature, source.to(rows.device)[rows])

        return loss_of

    def _diffusion(self, latents: Tensor, models: Matched, images: list[Tensor]) -> Callable[[int, Tensor], Tensor]:
        """The noise in latents, told of sets of images, or of the mean latent of some training models, of each model's
        own population."""
        training = [latents[(models.source == number) & ~models.held_out] for number in range(len(models.names))]

        def loss_of(group: int, rows: Tensor) -> Tensor:
            told, of = None, models.source.to(rows.device)[rows]
            if self.aligned is not None:
                sets = torch.stack([_some(each, self.config.set_images) for each in images]).to(rows.device)
                with torch.no_grad():
                    told = self.aligned.to(rows.device).encoder(sets)[of]
            elif self.config.condition == "anchors":
                told = torch.stack([_some(each, ANCHORS).mean(0) for each in training]).to(rows.device)[of]
            return loss("ddpm", lambda x, time: self.net(x, time, told), latents.to(rows.device)[rows])

        return loss_of

    def save(self, path: Path) -> None:
        parts = {"autoencoder": self.autoencoder, "net": self.net}
        if self.aligned is not None:
            parts["aligned"] = self.aligned
        learned = under("codes", self.codes.tensors) | {"latents": self.latents}
        learned["channels"] = torch.tensor([self.channels])
        for name, each in parts.items():
            learned |= under(name, each.state_dict())
        save(path, "d2nwg", self.config, self.codes.layout, self.codes.activation, learned)

    @classmethod
    def load(cls, path: Path) -> D2nwg:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        config, layout, activation, found = read(path, "d2nwg", D2nwgConfig)
        try:
            codes = Codes.of_tensors(layout, activation, taken("codes", found))
            fitted = cls(config, codes, found["latents"], int(found["channels"]))
            fitted.autoencoder.load_state_dict(taken("autoencoder", found))
            fitted.net.load_state_dict(taken("net", found))
            if fitted.aligned is not None:
                fitted.aligned.load_state_dict(taken("aligned", found))
        except (KeyError, RuntimeError) as error:
            raise damaged(path, "d2nwg", error) from None
        return fitted


def _shown(population: Population) -> Tensor:
    """Training images [images, channels · SIDE²], averaged down to `SIDE` pixels."""
    return F.adaptive_avg_pool2d(population.evidence.images("train"), SIDE).flatten(1)


def _some(rows: Tensor, count: int) -> Tensor:
    """That many rows, drawn at random from PyTorch's generator."""
    return rows[torch.randint(len(rows), (count,))]
