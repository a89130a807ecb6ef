"""The zoos of a study: where each is, what its models are, and what it is in and out of distribution of."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.names import inside
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.training.spec import ZooSpec
from zoobench.populations import KEPT
from zoobench.studies.names import Relation
from zoobench.studies.study import Study
from zoobench.zoo import POPULATION, Zoo, split_models, zoo_path


@dataclass(frozen=True, eq=False)
class Source:
    """A zoo of one population.

    spec: what it is built from, none where it was there already; ids: of its models; checkpoints: how many it has, or
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

    @property
    def shape(self) -> tuple[str, float]:
        """Architecture and width."""
        return self.architecture, self.width

    @property
    def training_models(self) -> int:
        """How many models its training split has, where none fail."""
        return int((split_models(pd.Series(self.ids)) == "train").sum())

    def zoo(self) -> Zoo:
        return Zoo(self.path)


def sources_of(study: Study, zoos: Path) -> dict[str, Source]:
    """The study's zoos by name; those that are built from a spec lie in the folder `zoos`, by name and content.

    Raises `InputError` for a zoo of several populations; where two zoos have a model in common, which could then be in
    the training split of one and the test split of the other; and where a composition takes more models than there are.
    """
    sources = {name: _source(study, name, zoos) for name in study.zoos}
    for one, other in itertools.combinations(sources.values(), 2):
        if common := set(one.ids) & set(other.ids):
            raise InputError(
                f"the zoos '{one.name}' and '{other.name}' have {len(common)} models in common, which would be in two "
                "splits; give one of them another 'seed'"
            )
    for name, composition in study.all_compositions().items():
        for zoo in composition.zoos:
            check_enough(name, composition.share or 0, zoo, sources[zoo].training_models)
    return sources


def check_enough(composition: str, wanted: int, zoo: str, there: int) -> None:
    """Raise `InputError` where a composition wants more training models of a zoo than there are."""
    if wanted > there:
        raise InputError(
            f"the composition '{composition}' takes {wanted} training models of '{zoo}', which has {there}; ask for "
            "fewer, or give the zoo more seeds"
        )


def _source(study: Study, name: str, zoos: Path) -> Source:
    given = study.zoo(name)
    return _planned(name, given, zoos) if isinstance(given, ZooSpec) else _there(name, Zoo(zoo_path(given.path)))


def _planned(name: str, spec: ZooSpec, zoos: Path) -> Source:
    for each in spec.user_architectures():
        import_architecture(each)
    models = spec.models()
    _check_kinds(name, len({(each.dataset, each.architecture, each.width, each.image_size) for each in models}))
    ids, first = tuple(model.id for model in models), models[0]
    checkpoints = len(ids) * len([epoch for epoch in spec.saved_epochs if epoch])
    return Source(
        *(name, inside(zoos, f"{name}-{_key(ids, checkpoints)[:8]}"), spec, ids, checkpoints),
        *(first.dataset, first.architecture, first.width, first.image_size, first.train_images),
    )


def _there(name: str, zoo: Zoo) -> Source:
    kept = zoo.checkpoints[zoo.checkpoints["status"].isin(KEPT)]
    _check_kinds(name, len(kept[POPULATION].drop_duplicates()))
    row = kept.iloc[0]
    images = None if pd.isna(row["train_images"]) else int(row["train_images"])
    kind = (row["dataset"], row["architecture"], float(row["width"]), int(row["image_size"]), images)
    return Source(name, zoo.path, None, tuple(kept["model_id"].unique()), len(kept), *kind)


def _check_kinds(name: str, kinds: int) -> None:
    if kinds != 1:
        raise InputError(
            f"zoo '{name}' has {kinds} populations; a study's zoos have one dataset and one architecture each, so give "
            "each a zoo of its own"
        )


def _key(ids: Sequence[str], checkpoints: int) -> str:
    return hashlib.sha256(f"{checkpoints}:{','.join(sorted(ids))}".encode()).hexdigest()[:16]


def relation(target: str, zoos: Sequence[str], sources: Mapping[str, Source]) -> Relation:
    """What a target is to a composition of zoos."""
    if target in zoos:
        return "ID"
    dataset = any(sources[zoo].dataset == sources[target].dataset for zoo in zoos)
    architecture = any(sources[zoo].shape == sources[target].shape for zoo in zoos)
    if dataset and architecture:
        return "OOD zoo"
    if dataset:
        return "OOD architecture"
    return "OOD dataset" if architecture else "OOD both"
