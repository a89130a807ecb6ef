"""New models from SANE's latent space: around anchors, or from a Gaussian, for the anchors' population or another.

Sources: Schürholt et al., arXiv 2209.14733, section 3; Schürholt, Mahoney & Borth, arXiv 2406.09997, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.density import Density, Gaussian, Kernel, draw
from zoobench.methods.sane.canonical import canonical
from zoobench.methods.sane.codec import Codec, in_pieces
from zoobench.methods.sane.config import SaneConfig
from zoobench.populations import Population
from zoobench.populations.target import Target, corresponding, with_new_classifier


@dataclass(frozen=True)
class SaneSampling:
    """How SANE samples; None means as in SANE's configuration.

    density, bandwidth, relative: of the kernel around anchors, see `density.draw`; gaussian: the source of latents
    without anchors, either `standard` or `fitted` to latents of training models.
    """

    density: Density | None = None
    bandwidth: float | None = None
    relative: bool | None = None
    gaussian: Literal["standard", "fitted"] | None = None

    def kernel(self, config: SaneConfig) -> Kernel:
        """The kernel; values left as None come from the configuration."""
        return Kernel(
            self.density or config.density,
            config.bandwidth if self.bandwidth is None else self.bandwidth,
            config.relative_bandwidth if self.relative is None else self.relative,
        )


@dataclass(frozen=True, eq=False)
class Sampler:
    """A trained SANE that generates models of one target; a `Generator`.

    kernel: the density around anchors; gaussian: the source of latents if there are no anchors.
    """

    codec: Codec
    target: Target
    kernel: Kernel
    gaussian: Gaussian

    @classmethod
    def of(
        cls, codec: Codec, target: Target, kernel: Kernel | None = None, gaussian: Gaussian | None = None
    ) -> Sampler:
        """A sampler; by default with the kernel of SANE's configuration, and a standard Gaussian."""
        c = codec.config
        kernel = kernel or Kernel(c.density, c.bandwidth, c.relative_bandwidth)
        return cls(codec, target, kernel, gaussian or Gaussian.standard(c.latent))

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] of the target, on the codec's device.

        The anchors are models of the target, or of a population whose tokens differ from the target's only in the
        classifier, as on another dataset: if that has another number of classes, the classifier is a new model's.
        Without anchors (a population without models) latents come from the Gaussian. Raises `InputError` if neither is
        possible.
        """
        generator = torch.Generator(self.codec.device).manual_seed(seed)
        tokenizer = self.target.tokenizer
        if not len(anchors):
            latents = self.gaussian.draw(count, len(tokenizer), generator)
            return self.codec.decode(tokenizer, latents)
        kernel, c = self.kernel, self.codec.config
        if kernel.relative and len(anchors) < 2:
            raise InputError(
                "a bandwidth relative to the anchors' spread needs two of them; add one, or take --absolute"
            )
        places = corresponding(anchors.tokenizer, self.target)
        if places is None:
            raise InputError(f"models of {anchors.name} cannot be anchors for {self.target.name}: their layers differ")
        latents = self.codec.encode(anchors.tokenizer, canonical(anchors, self.codec.references, c.flips))
        latents = latents[:, places.to(latents.device)]
        drawn = draw(latents, count, kernel.density, kernel.bandwidth, kernel.relative, generator)
        same = anchors.layout == tokenizer.layout
        weights = self.codec.decode(tokenizer, drawn, base=anchors.weights.mean(0) if same else None)
        if int(anchors.table["classes"].iloc[0]) == int(self.target.row["classes"]):
            return weights
        return with_new_classifier(weights, self.target, seed)


def fitted_gaussian(codec: Codec, populations: Iterable[Population]) -> Gaussian:
    """The Gaussian of all tokens' latents of these models, the ones that SANE was trained on."""
    return Gaussian.fitted(_latents(codec, populations))


def _latents(codec: Codec, populations: Iterable[Population]) -> Iterator[Tensor]:
    for population in populations:
        for piece in in_pieces(population):
            yield codec.encode(population.tokenizer, canonical(piece, codec.references, codec.config.flips))
