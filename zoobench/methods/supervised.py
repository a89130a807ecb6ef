"""Networks that read networks: trained to predict what was measured of models, then asked for their features.

One network is trained for all properties at once, the numbers and every hyperparameter that varies, and embeds
checkpoints as its last hidden layer. So each property's reader needs no training of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.networks.program import device_of
from zoobench.methods.course import Course
from zoobench.methods.learning import Examples, Recipe, identity_of, seeded, train
from zoobench.methods.learning.bounds import check_at_least
from zoobench.methods.learning.saving import damaged
from zoobench.methods.protocols import HERE, Execution
from zoobench.populations import Population, TokenSet
from zoobench.populations.population import as_classes, varying_classes
from zoobench.zoo.schema import skills_among


@dataclass(frozen=True)
class ReaderConfig(Recipe):
    """How a network that reads networks is trained, see `Recipe`; and width: the number of its features."""

    steps: int = 600
    batch_size: int = 32
    weight_decay: float = 1e-2
    width: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "width")


Config = TypeVar("Config", bound=ReaderConfig)
Shape = TypeVar("Shape")


@dataclass(frozen=True, eq=False)
class Readable:
    """A population that a network can read.

    features: of the checkpoints of some rows [batch], as [batch, width]; at_once: how many fit into memory in training.
    """

    features: Callable[[Tensor], Tensor]
    at_once: int


@dataclass(eq=False)
class Supervised(ABC, Generic[Config, Shape]):
    """Base class of methods that train a network on what was measured of models, and embed by its features.

    config: its hyperparameters; shape: what the networks that it reads have in common, which decides its own layers;
    hidden: columns that it must not see, see `fit`; course: how its fit went, None if it was read from a folder.

    A subclass names itself and its types, and says how its network is built and how it reads a population.
    """

    config: Config
    shape: Shape
    hidden: tuple[str, ...] = ()
    course: Course | None = None

    name: ClassVar[str]
    config_type: ClassVar[type]
    shape_type: ClassVar[type]

    def __post_init__(self) -> None:
        self.network = self.build().eval()

    @classmethod
    @abstractmethod
    def shape_of(cls, populations: Sequence[Population], config: Config) -> Shape:
        """What the networks of the populations have in common. Raises `InapplicableError` if that is too little."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The network, with initial weights from PyTorch's default generator."""

    @abstractmethod
    def readable(self, population: Population, device: str) -> Readable:
        """The population, for the network on that device. Raises `InapplicableError` if the network cannot read it."""

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: Config, execution: Execution = HERE) -> Self:
        """Train on the training split; the state that is kept is the best on the models of the validation split.

        Where the activation varies it is a property to predict, and tasks hide it. Then it is hidden here too: a
        network that learned from signs chosen by the activation would later be given other ones.
        """
        populations = [each for each in tokens.populations if len(each)]
        activations = pd.concat([each.table["activation"] for each in populations])
        hidden = ("activation",) if activations.nunique(dropna=False) > 1 else ()
        shown = [each.known(hidden) if hidden else each for each in populations]
        with seeded(seed):
            made = cls(config, cls.shape_of(shown, config), hidden)
            targets = Targets.of([each.split("train").table for each in populations])
            heads = nn.Linear(config.width, targets.outputs)
        device = device_of(execution.device)
        parts = [made.readable(each, device) for each in shown]
        values = [tuple(part.to(device) for part in targets.values(each.table)) for each in populations]

        def loss(group: int, rows: Tensor) -> Tensor:
            numbers, classes = values[group]
            return targets.loss(heads(parts[group].features(rows)), numbers[rows], classes[rows])

        most = min(config.batch_size, *(each.at_once for each in parts))
        made.course = train(
            nn.ModuleList([made.network, heads]),
            loss,
            Examples.of(populations),
            replace(config, batch_size=most),
            seed,
            identity_of(tokens, seed, config),
            execution,
        )
        return made

    def to(self, device: str) -> None:
        """Compute on that device."""
        self.network.to(device)

    def embed(self, population: Population) -> Tensor:
        """Features [checkpoints, width]."""
        device = next(self.network.parameters()).device
        part = self.readable(population.known(self.hidden) if self.hidden else population, str(device))
        rows = torch.arange(len(population), device=device)
        with torch.no_grad():
            found = [part.features(some) for some in rows.split(part.at_once)]
        return torch.cat(found).cpu()

    def save(self, path: Path) -> None:
        shape: dict[str, Any] = asdict(self.shape)  # type: ignore[call-overload]
        card = {"method": self.name, "config": asdict(self.config), "shape": shape, "hidden": self.hidden}
        with directory_written_aside(path) as aside:
            save_file(self.network.state_dict(), aside / "network.safetensors")
            write_json(aside / "config.json", card)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        card = read_json(path / "config.json", f"the configuration of the fitted {cls.name}")
        try:
            config: Any = TypeAdapter(cls.config_type).validate_python(card["config"])
            hidden = TypeAdapter(tuple[str, ...]).validate_python(card.get("hidden", ()))  # an older folder has none
            made = cls(config, TypeAdapter(cls.shape_type).validate_python(card["shape"]), hidden)
            made.network.load_state_dict(load_file(path / "network.safetensors"))
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise damaged(path, cls.name, error) from None
        return made


@dataclass(frozen=True, eq=False)
class Targets:
    """What was measured of training models, as a network is trained to predict it.

    mean, deviation: of each number [numbers] float32; classes: the values of each hyperparameter that varies, by name.
    """

    mean: Tensor
    deviation: Tensor
    classes: dict[str, list[str]]

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame]) -> Targets:
        """From the tables of training models."""
        joined = pd.concat(tables, ignore_index=True)
        numbers = measured(joined)
        known = [column[~np.isnan(column)] for column in numbers.T]
        mean = [float(column.mean()) if len(column) else 0.0 for column in known]
        deviation = [float(column.std()) if len(column) else 0.0 for column in known]
        classes = {name: sorted(set(values)) for name, values in varying_classes(joined)}
        spread = torch.tensor([each if each > 0 else 1.0 for each in deviation])
        return cls(torch.tensor(mean), spread, classes)

    @property
    def outputs(self) -> int:
        """How many numbers a network is to give: one per number, one per class."""
        return len(self.mean) + sum(map(len, self.classes.values()))

    def values(self, table: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Standardized numbers [checkpoints, numbers], NaN if not recorded; and classes [checkpoints, hyperparameters]
        int64, -1 for a value that no training model has."""
        numbers = (torch.from_numpy(measured(table)).float() - self.mean) / self.deviation
        places = [
            [values.index(value) if value in values else -1 for value in as_classes(table[name])]
            for name, values in self.classes.items()
        ]
        return numbers, torch.tensor(places, dtype=torch.int64).reshape(len(places), len(table)).T

    def loss(self, outputs: Tensor, numbers: Tensor, classes: Tensor) -> Tensor:
        """The mean over properties of the squared error of numbers, and of the cross-entropy of classes as a share of
        that of guessing."""
        count = len(self.mean)
        known = ~numbers.isnan()
        error = (outputs[:, :count] - torch.where(known, numbers, outputs[:, :count].detach())).square()
        losses = [*(error.sum(0) / known.sum(0).clamp(min=1))]
        sizes = [len(values) for values in self.classes.values()]
        for at, logits in enumerate(outputs[:, count:].split(sizes, dim=1) if sizes else ()):
            told = (classes[:, at] >= 0).sum().clamp(min=1)
            entropy = F.cross_entropy(logits, classes[:, at], ignore_index=-1, reduction="sum")
            losses.append(entropy / told / float(np.log(sizes[at])))
        return torch.stack(losses).mean()


def measured(table: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Test accuracy, generalization gap, epoch, and strengths of skills [checkpoints, numbers]; NaN if not recorded."""
    gap = table["train_accuracy"] - table["test_accuracy"]
    columns = [table["test_accuracy"], gap, table["epoch"], *(table[name] for name in skills_among(table))]
    return np.stack([column.to_numpy(float) for column in columns], axis=1)
