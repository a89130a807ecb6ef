"""A zoo as known before it is opened or built: its path and its populations."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.kept import tell
from zoo_generation.names import inside
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.spec import ModelSpec, ZooSpec
from zoobench.zoo.building import build_zoo
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.splits import families_of, split_models, splits_of
from zoobench.zoo.store import Zoo
from zoobench.zoo.workspace import Workspace


@dataclass(frozen=True)
class Kind:
    """The kind and the ids of a population's models.

    train_images: number of images they were trained on, None if it is not limited or not known; ids: of the models;
    checkpoints: how many they have, or will have; channels: of their images, None for the dataset's own;
    training_models: number of models in its training split, if none of them fail.
    """

    dataset: str
    architecture: str
    width: float
    image_size: int
    train_images: int | None
    ids: frozenset[str]
    checkpoints: int
    channels: int | None = None
    training_models: int = 0

    @classmethod
    def of(cls, table: pd.DataFrame) -> Kind:
        """From a table of checkpoints of one population, one row per checkpoint."""
        row = table.iloc[0]
        images = None if pd.isna(row["train_images"]) else int(row["train_images"])
        shape = (row["dataset"], row["architecture"], float(row["width"]), int(row["image_size"]))
        training = table.loc[splits_of(table) == "train", "model_id"].nunique()
        return cls(*shape, images, frozenset(table["model_id"]), len(table), int(row["channels"]), training)

    @property
    def shape(self) -> tuple[str, float]:
        """Architecture and width."""
        return self.architecture, self.width

    @property
    def words(self) -> dict[str, str]:
        """What distinguishes it from other populations, as words, by property."""
        return {
            "dataset": self.dataset,
            "architecture": self.architecture,
            "width": f"w{self.width:g}",
            "image_size": f"{self.image_size}px",
        }


@dataclass(frozen=True, eq=False)
class Source:
    """An existing zoo, or one that is built from a spec before it is used.

    name: in tables; spec: None if it exists already; kinds: its populations.
    """

    name: str
    path: StoragePath
    spec: ZooSpec | None
    kinds: tuple[Kind, ...]

    @classmethod
    def there(cls, name: str, zoo: Zoo, statuses: Collection[str]) -> Source:
        """An existing zoo, with its models that have one of the statuses."""
        table = zoo.checkpoints[zoo.checkpoints["status"].isin(statuses)]
        kinds = tuple(Kind.of(rows) for _, rows in table.groupby(POPULATION, sort=True))
        if not kinds:
            raise InputError(f"the zoo {zoo.path} has no models that are {' or '.join(statuses)}; take another zoo")
        return cls(name, zoo.path, None, kinds)

    @classmethod
    def planned(cls, name: str, spec: ZooSpec, folder: Path) -> Source:
        """A zoo to build from a spec, in a folder of its own whose name depends on its content."""
        for each in spec.user_architectures():
            import_architecture(each)
        models = spec.models()

        def saved(model: ModelSpec) -> int:
            return len([epoch for epoch in (model.checkpoint_epochs if model.parent else spec.saved_epochs) if epoch])

        shapes = sorted({_shape(each) for each in models})
        kinds = []
        for shape in shapes:
            of_kind = [each for each in models if _shape(each) == shape]
            rows = [(each.id, each.parent, each.subset_seed) for each in of_kind]
            ids, parents, subsets = (pd.Series(column, dtype=object) for column in zip(*rows, strict=True))
            training = int((split_models(families_of(ids, parents, subsets)) == "train").sum())
            first, checkpoints = of_kind[0], sum(map(saved, of_kind))
            known = frozenset(ids)
            kinds.append(Kind(*shape, first.train_images, known, checkpoints, first.channels, training))
        listed = ",".join(sorted(each.id for each in models))
        content = hashlib.sha256(f"{sum(map(saved, models))}:{listed}".encode()).hexdigest()
        return cls(name, inside(folder, f"{name}-{content[:8]}"), spec, tuple(kinds))

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of all its models."""
        return frozenset(each for kind in self.kinds for each in kind.ids)

    def zoo(self) -> Zoo:
        """The zoo, opened."""
        return Zoo(self.path)

    def build(self, workspace: Workspace | None = None, progress: Progress = QUIET) -> Zoo:
        """The zoo, after training the missing models of its spec; see `build_zoo`."""
        if self.spec is None:
            return self.zoo()
        check_card(self.path, self.spec)
        return build_zoo(self.spec, self.path, workspace, progress)


def check_apart(sources: Iterable[Source]) -> None:
    """Raise `InputError` if two zoos have a model in common: it could be in the training split of one and in the test
    split of the other."""
    for one, other in itertools.combinations(sources, 2):
        if common := one.ids & other.ids:
            raise InputError(
                f"the zoos '{one.name}' and '{other.name}' have {len(common)} models in common, which would be in two "
                "splits; give one of them another 'seed'"
            )


def check_card(path: StoragePath, spec: ZooSpec) -> None:
    """Remove the card of a zoo under a name made of its spec if it differs: the build writes it again."""
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


def _shape(model: ModelSpec) -> tuple[str, str, float, int]:
    return model.dataset, model.architecture, model.width, model.image_size
