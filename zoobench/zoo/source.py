"""A zoo that a plan draws on: one that will be built from a spec, or one that is there."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.kept import tell
from zoo_generation.names import inside
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.spec import ZooSpec
from zoobench.zoo.building import build_zoo
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.splits import split_models
from zoobench.zoo.store import Zoo
from zoobench.zoo.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Source:
    """A zoo of one population, known before it is built.

    spec: what it is built from, None if it was there already; ids: of its models; checkpoints: how many it has, or
    will have.
    """

    name: str
    path: StoragePath
    spec: ZooSpec | None
    ids: tuple[str, ...]
    checkpoints: int
    dataset: str
    architecture: str
    width: float
    image_size: int
    train_images: int | None

    @classmethod
    def planned(cls, name: str, spec: ZooSpec, zoos: Path) -> Source:
        """The zoo of a spec; it lies in the folder `zoos`, under a name that says what its models are.

        Raises `InputError` if the spec is of several populations.
        """
        for architecture in spec.user_architectures():
            import_architecture(architecture)
        models = spec.models()
        _check_kinds(name, len({(each.dataset, each.architecture, each.width, each.image_size) for each in models}))
        ids, first = tuple(model.id for model in models), models[0]
        checkpoints = len(ids) * len([epoch for epoch in spec.saved_epochs if epoch])
        return cls(
            *(name, inside(zoos, f"{name}-{_key(ids, checkpoints)[:8]}"), spec, ids, checkpoints),
            *(first.dataset, first.architecture, first.width, first.image_size, first.train_images),
        )

    @classmethod
    def there(cls, name: str, zoo: Zoo, statuses: Collection[str]) -> Source:
        """A zoo that is there, of which models of these statuses count; raises `InputError` unless it has exactly one
        population."""
        kept = zoo.checkpoints[zoo.checkpoints["status"].isin(statuses)]
        _check_kinds(name, len(kept[POPULATION].drop_duplicates()))
        row = kept.iloc[0]
        images = None if pd.isna(row["train_images"]) else int(row["train_images"])
        kind = (row["dataset"], row["architecture"], float(row["width"]), int(row["image_size"]), images)
        return cls(name, zoo.path, None, tuple(kept["model_id"].unique()), len(kept), *kind)

    @property
    def shape(self) -> tuple[str, float]:
        """Architecture and width."""
        return self.architecture, self.width

    @property
    def training_models(self) -> int:
        """How many models its training split has if none fails."""
        return int((split_models(pd.Series(self.ids)) == "train").sum())

    def zoo(self) -> Zoo:
        """The zoo as it lies there."""
        return Zoo(self.path)

    def build(self, workspace: Workspace | None = None, progress: Progress = QUIET) -> Zoo:
        """The zoo, after the models that it lacks of its spec are trained; see `build_zoo`."""
        if self.spec is None:
            return self.zoo()
        check_card(self.path, self.spec)
        return build_zoo(self.spec, self.path, workspace, progress)


def check_apart(sources: Iterable[Source]) -> None:
    """Raise `InputError` if two zoos have a model in common: it could be in the training split of one and in the test
    split of the other."""
    for one, other in itertools.combinations(sources, 2):
        if common := set(one.ids) & set(other.ids):
            raise InputError(
                f"the zoos '{one.name}' and '{other.name}' have {len(common)} models in common, which would be in two "
                "splits; give one of them another 'seed'"
            )


def check_card(path: StoragePath, spec: ZooSpec) -> None:
    """Remove the card of a zoo under a name made of its spec, if the card has another: the build writes it again."""
    card = path / "zoo.json"
    if not card.exists():
        return
    try:
        written = Zoo(path).card.get("spec") == spec.model_dump(mode="json")
    except InputError:
        written = False
    if not written:
        tell(f"{card} is not what was written, and is made again")
        card.unlink()


def _check_kinds(name: str, kinds: int) -> None:
    if kinds != 1:
        raise InputError(
            f"zoo '{name}' has {kinds} populations; a zoo that is compared has one dataset and one architecture, so "
            "give each a zoo of its own"
        )


def _key(ids: Sequence[str], checkpoints: int) -> str:
    return hashlib.sha256(f"{checkpoints}:{','.join(sorted(ids))}".encode()).hexdigest()[:16]
