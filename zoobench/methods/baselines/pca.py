"""Principal components of flat weights: the linear autoencoder that a learned one should beat.

Source: Pearson, On lines and planes of closest fit to systems of points in space, 1901.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.networks.architectures import Layout
from zoobench.methods.learning.saving import damaged
from zoobench.methods.protocols import HERE, Execution, InapplicableError
from zoobench.populations import Population, TokenSet
from zoobench.zoo.schema import entries_of, layout_of


@dataclass(frozen=True)
class PcaConfig:
    """components: the largest number per layout.

    128 is the width of the embedding of SANE's preset `tiny`, so that probes on both read equally many numbers. SANE
    reconstructs from more: this many numbers for each token.
    """

    components: int = 128

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InputError(f"pca was given {self.components} components; take 1 or more")


PCA_PRESETS = {"default": PcaConfig()}


@dataclass(frozen=True, eq=False)
class Basis:
    """The mean [D] of some checkpoints, and their principal components [components, D], of length 1."""

    mean: Tensor
    components: Tensor

    @classmethod
    def of(cls, weights: Tensor, components: int) -> Basis:
        """From weights [checkpoints, D], two or more.

        Centred but not scaled: with scaling, an error in a weight that hardly varies would count as much as one in a
        weight that varies, but the weights themselves are reconstructed. A full decomposition, without randomness.
        """
        from sklearn.decomposition import PCA

        count, size = weights.shape
        fitted = PCA(min(components, count - 1, size), svd_solver="full").fit(weights.numpy())
        mean, vectors = (torch.from_numpy(part).float().contiguous() for part in (fitted.mean_, fitted.components_))
        return cls(mean, vectors)

    def scores(self, weights: Tensor) -> Tensor:
        """[checkpoints, components] of weights [checkpoints, D]"""
        return (weights - self.mean) @ self.components.T

    def weights(self, scores: Tensor) -> Tensor:
        """[checkpoints, D] of scores [checkpoints, components]"""
        return scores @ self.components + self.mean


@dataclass(frozen=True, eq=False)
class Pca:
    """One basis per layout of the training models."""

    config: PcaConfig
    bases: dict[Layout, Basis]

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: PcaConfig, execution: Execution = HERE) -> Pca:
        """Fit to the training split. Populations of a layout are taken together; a single checkpoint spans nothing."""
        weights: dict[Layout, list[Tensor]] = {}
        for population in tokens.split("train").populations:
            weights.setdefault(population.layout, []).append(population.weights)
        joined = {layout: torch.cat(parts) for layout, parts in weights.items()}
        bases = {layout: Basis.of(rows, config.components) for layout, rows in joined.items() if len(rows) > 1}
        return cls(config, bases)

    def embed(self, population: Population) -> Tensor:
        """Scores [checkpoints, components of all layouts], 0 for the components of other layouts: those mean something
        else, so a probe for several layouts needs a weight for each of them."""
        own = self._basis(population)
        blocks = [
            own.scores(population.weights) if basis is own else torch.zeros(len(population), len(basis.components))
            for basis in self.bases.values()
        ]
        return torch.cat(blocks, dim=1)

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D], projected onto the components."""
        own = self._basis(population)
        return own.weights(own.scores(population.weights))

    def save(self, path: Path) -> None:
        parts: dict[str, Tensor] = {}
        for number, basis in enumerate(self.bases.values()):
            parts |= {f"{number}.mean": basis.mean, f"{number}.components": basis.components}
        layouts = [entries_of(layout) for layout in self.bases]
        with directory_written_aside(path) as aside:
            save_file(parts, aside / "bases.safetensors")
            write_json(aside / "config.json", {"method": "pca", "config": asdict(self.config), "layouts": layouts})

    @classmethod
    def load(cls, path: Path) -> Pca:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        card = read_json(path / "config.json", "the configuration of the fitted pca")
        try:
            config = TypeAdapter(PcaConfig).validate_python(card["config"])
            layouts = [layout_of(entries) for entries in card["layouts"]]
            parts = load_file(path / "bases.safetensors")
            bases = [Basis(parts[f"{at}.mean"], parts[f"{at}.components"]) for at in range(len(layouts))]
        except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise damaged(path, "pca", error) from None
        return cls(config, dict(zip(layouts, bases, strict=True)))

    def _basis(self, population: Population) -> Basis:
        """Raises `InapplicableError` for a layout that was not fitted."""
        if population.layout not in self.bases:
            raise InapplicableError(
                f"this pca was fitted to fewer than two checkpoints of the layout of {population.name}, so it has no "
                "components for it; fit it to a zoo that has such models, or take another method"
            )
        return self.bases[population.layout]
