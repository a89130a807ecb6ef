"""Generate from all training models of a population, matched to the best of them, without a neural network.

Sources: Zeng et al., arXiv 2506.07998, section 4 (means of 16 models, a Gaussian for each weight); Ainsworth et al.,
Git Re-Basin, arXiv 2209.04836 (matching).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoobench.methods.baselines.generators import BANDWIDTH
from zoobench.methods.baselines.pca import Basis
from zoobench.methods.density import draw
from zoobench.methods.protocols import HERE, Execution, InapplicableError
from zoobench.populations import Population, TokenSet
from zoobench.populations.population import OPEN
from zoobench.populations.symmetries import matched_to_best

SOUP = 16  # models in a mean, as in Zeng et al.
COMPONENTS = 64  # of the Gaussian over principal components


@dataclass(frozen=True)
class SplitConfig:
    """share: of each population's training models, the best by validation accuracy; the others are left out."""

    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"a share of {self.share} of the training models was asked for; take one above 0, up to 1")


SPLIT_PRESETS = {"default": SplitConfig(), "best": SplitConfig(0.3)}


@dataclass(frozen=True, eq=False)
class MatchedModels:
    """Matched weights of training models [models, D], each at its best checkpoint, by what the models are: the values
    of their `OPEN` columns."""

    config: SplitConfig
    matched: dict[str, Tensor]

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: SplitConfig, execution: Execution = HERE) -> Self:
        """Match the training models of each population and activation. Populations of two models or fewer are left
        out, because they have no spread."""
        matched: dict[str, Tensor] = {}
        for population in tokens.split("train").populations:
            for _, rows in population.table.groupby("activation", dropna=False):
                best = rows.sort_values("val_accuracy", ascending=False, kind="stable").drop_duplicates("model_id")
                kept = best.head(max(1, round(config.share * len(best))))
                if len(kept) > 2:
                    models = population.select(population.table.index.isin(kept.index))
                    matched[_kind(models)] = matched_to_best(models)
        return cls(config, matched)

    def save(self, path: Path) -> None:
        parts = {str(number): each for number, each in enumerate(self.matched.values())}
        with directory_written_aside(path) as aside:
            save_file(parts, aside / "models.safetensors")
            write_json(aside / "config.json", {"config": asdict(self.config), "kinds": list(self.matched)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        card = read_json(path / "config.json", "the configuration of the matched models")
        try:
            config = TypeAdapter(SplitConfig).validate_python(card["config"])
            parts = load_file(path / "models.safetensors")
            return cls(config, {kind: parts[str(number)] for number, kind in enumerate(card["kinds"])})
        except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"the matched models {path} are damaged ({reason}); fit them again") from None

    def _models_like(self, anchors: Population) -> Tensor:
        """The matched models [models, D] of the anchors' population. Raises `InapplicableError` if it has none."""
        if (kind := _kind(anchors)) not in self.matched:
            raise InapplicableError(
                f"this method was fitted to fewer than three models like the anchors of {anchors.name}; fit it to a "
                "zoo that has more, or take another method"
            )
        return self.matched[kind]


class Soup(MatchedModels):
    """Means of `SOUP` training models drawn at random, or of half of them if there are not twice as many."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]"""
        models = self._models_like(anchors)
        generator = torch.Generator().manual_seed(seed)
        members = torch.rand(count, len(models), generator=generator).argsort(1)[:, : min(SOUP, len(models) // 2)]
        weight = torch.zeros(count, len(models)).scatter(1, members, 1 / members.shape[1])
        return weight @ models


class WeightGaussian(MatchedModels):
    """A Gaussian for each weight, independent of the others, with its mean and deviation over the training models."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]"""
        models = self._models_like(anchors)
        noise = torch.randn(count, models.shape[1], generator=torch.Generator().manual_seed(seed))
        return models.mean(0) + models.std(0) * noise


class PcaGaussian(MatchedModels):
    """A Gaussian over the scores of the training models on their first `COMPONENTS` principal components."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]"""
        models = self._models_like(anchors)
        basis = Basis.of(models, COMPONENTS)
        deviation = basis.scores(models).std(0)
        noise = torch.randn(count, len(deviation), generator=torch.Generator().manual_seed(seed))
        return basis.weights(deviation * noise)


class SplitDensity(MatchedModels):
    """A joint kernel density in weight space over the training models, as `weight_density` is over the anchors."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]"""
        models = self._models_like(anchors)
        generator = torch.Generator().manual_seed(seed)
        return draw(models[:, None], count, "joint", BANDWIDTH, True, generator)[:, 0]


def _kind(population: Population) -> str:
    """What the models of a population are: the values of their `OPEN` columns, whatever part of the images they saw."""
    row = population.table.iloc[0]
    return ", ".join(f"{name} {row[name]}" for name in OPEN if name in row and name != "data_part")
