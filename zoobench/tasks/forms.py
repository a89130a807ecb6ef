"""The form of an answer: what a task asks for on a target, in which order, and how much of it.

The same form checks a method's answer and describes a submission: leaderboards write, bound and read files by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.populations import Population
from zoobench.tasks.answers import Answer, Predictions, Scores, Weights

ITEM, VALUES = ["model", "epoch", "property"], ["predicted", "predicted_class"]


@dataclass(frozen=True, eq=False)
class PredictionForm:
    """Properties of checkpoints.

    items: one row per requested checkpoint and property. Columns: checkpoint, the name under which it is asked for (see
    `Population.names`); model; epoch; property; kind, `number` or `class`. Checkpoints with the same weights share a
    name, and an answer for the name counts for all of them.
    """

    items: pd.DataFrame

    kind: ClassVar[Literal["predictions"]] = "predictions"

    @classmethod
    def of(cls, asked: Population, numbers: Sequence[str], classes: Sequence[str]) -> PredictionForm:
        """Each of the properties, numbers and classes, of each checkpoint."""
        rows = asked.table[["model_id", "epoch"]].rename(columns={"model_id": "model"})
        rows.insert(0, "checkpoint", asked.names)
        kinds = dict.fromkeys(numbers, "number") | dict.fromkeys(classes, "class")
        properties = pd.DataFrame({"property": list(kinds), "kind": list(kinds.values())})
        every = rows.merge(properties, how="cross")
        return cls(every.sort_values(["checkpoint", "property"], kind="stable", ignore_index=True))

    def of_properties(self, names: Sequence[str]) -> PredictionForm:
        """The items of these properties alone."""
        return PredictionForm(self.items[self.items["property"].isin(names)].reset_index(drop=True))

    @property
    def words(self) -> str:
        """The content of a submission, in words."""
        properties = ", ".join(self.items["property"].unique())
        return f"predictions of {properties} for {self.items['checkpoint'].nunique()} checkpoints"

    def check(self, answer: Answer) -> None:
        """Raise `InputError` unless the answer has one row for each item, of its kind."""
        if not isinstance(answer, Predictions):
            raise _other(self.words, answer)
        if missing := [name for name in (*ITEM, *VALUES) if name not in answer.table]:
            raise InputError(f"the answer has no column '{missing[0]}'; give {', '.join((*ITEM, *VALUES))}")
        wanted, given = (pd.MultiIndex.from_frame(table[ITEM]) for table in (self.items, answer.table))
        if given.has_duplicates:
            raise InputError(f"the answer has two rows for {_item(given[given.duplicated()][0])}; give one")
        if len(absent := wanted.difference(given)):
            raise InputError(f"the answer has no row for {_item(absent[0])}; give one for each that is asked for")
        kinds = self.items[[*ITEM, "kind"]].merge(answer.table[[*ITEM, *VALUES]], on=ITEM)
        empty = kinds["predicted"].isna().where(kinds["kind"] == "number", kinds["predicted_class"].isna())
        if empty.any():
            raise InputError(f"the answer says nothing of {_item(tuple(kinds.loc[empty, ITEM].iloc[0]))}")
        if (wrong := (kinds["kind"] == "number") & ~np.isfinite(kinds["predicted"].astype(float))).any():
            item = _item(tuple(kinds.loc[wrong, ITEM].iloc[0]))
            raise InputError(f"the answer has a number that is not finite for {item}; give a finite one")


@dataclass(frozen=True, eq=False)
class WeightForm:
    """Flat weights of models.

    models: how many are allowed; size: numbers per model; first, place: if each model answers for a requested
    checkpoint, the map to the order of the checkpoints' names and back, see `Population.order`; else None. beside: what
    is handed in with the models, numbers per model by name. layout: of the weights, None for that of the target.
    """

    models: range
    size: int
    first: NDArray[np.int64] | None = None
    place: NDArray[np.int64] | None = None
    beside: Mapping[str, int] = field(default_factory=dict)
    layout: Layout | None = None

    kind: ClassVar[Literal["weights"]] = "weights"

    @classmethod
    def made(cls, models: range, size: int, beside: Mapping[str, int] | None = None) -> WeightForm:
        """Of new models, the best first."""
        return cls(models, size, beside=beside or {})

    @classmethod
    def of_networks(cls, models: range, layout: Layout, beside: Mapping[str, int] | None = None) -> WeightForm:
        """Of networks that are not those of the target."""
        return cls(models, layout.size, beside=beside or {}, layout=layout)

    @classmethod
    def of_each(cls, asked: Population) -> WeightForm:
        """One model per checkpoint; a submission holds one per name, in the order of names."""
        first, place = asked.order
        return cls(range(len(first), len(first) + 1), asked.layout.size, first, place)

    @property
    def words(self) -> str:
        """The content of a submission, in words."""
        return f"weights [{counted(self.models)} models, {self.size}], float32"

    def tensors(self, name: str) -> dict[str, int]:
        """Numbers per model of each tensor of a submission, for models of that name."""
        return {name: self.size} | {f"{name}/{each}": size for each, size in self.beside.items()}

    def handed_in(self, judged: Tensor) -> Tensor:
        """Weights in the order of judging, from the order of a submission."""
        return judged if self.first is None else judged[torch.from_numpy(self.first)]

    def judged(self, handed_in: Tensor) -> Tensor:
        """Weights in the order of a submission, from the order of judging."""
        return handed_in if self.place is None else handed_in[torch.from_numpy(self.place)]

    def check(self, answer: Answer) -> None:
        """Raise `InputError` unless the answer, in the order of judging, has the right shape."""
        if not isinstance(answer, Weights):
            raise _other(self.words, answer)
        shape = tuple(answer.weights.shape)
        models = self.models if self.place is None else range(len(self.place), len(self.place) + 1)
        if len(shape) != 2 or shape[0] not in models or shape[1] != self.size:
            raise InputError(f"the answer has the shape {list(shape)}; give {self.words}")
        given = {name: list(each.shape) for name, each in answer.beside.items()}
        wanted = {name: [shape[0], size] for name, size in self.beside.items()}
        if given != wanted:
            raise InputError(f"beside the weights the answer has {_listed(given)}; give {_listed(wanted)}")


@dataclass(frozen=True, eq=False)
class ScoreForm:
    """A matrix of numbers; rows, columns: their names."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]

    kind: ClassVar[Literal["scores"]] = "scores"

    @property
    def words(self) -> str:
        """The content of a submission, in words."""
        return f"scores [{len(self.rows)} rows, {len(self.columns)} columns], float32"

    def check(self, answer: Answer) -> None:
        """Raise `InputError` unless the answer has these rows and columns, in this order, and finite float32 values."""
        if not isinstance(answer, Scores):
            raise _other(self.words, answer)
        if (answer.rows, answer.columns) != (self.rows, self.columns):
            raise InputError(f"the answer has other rows or columns, or in another order; give {self.words}")
        if tuple(answer.values.shape) != (len(self.rows), len(self.columns)) or answer.values.dtype != torch.float32:
            raise InputError(f"the answer is {answer.values.dtype} {list(answer.values.shape)}; give {self.words}")
        if not bool(answer.values.isfinite().all()):
            raise InputError("the answer has scores that are not finite; give a finite number for each")


Form = PredictionForm | WeightForm | ScoreForm


def counted(numbers: range) -> str:
    """A range in words: `10`, or `1 to 10`."""
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _listed(shapes: Mapping[str, list[int]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"


def _other(words: str, answer: object) -> InputError:
    return InputError(f"the answer is {type(answer).__name__}; give {words}")


def _item(item: tuple[object, ...]) -> str:
    model, epoch, name = item
    return f"{name} of model {model} after epoch {epoch}"
