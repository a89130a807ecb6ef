"""`check_method` passes the built-in methods and the template, and finds each way in which one can be wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoobench.methods import Method, Unlearned
from zoobench.methods.registry import METHODS, get_method
from zoobench.populations import Population
from zoobench.testing import ContractError, check_method

FEW = {"images": 20, "permutations": 99}


@pytest.mark.parametrize("name", METHODS.own)
def test_built_in_methods_keep_the_contract(name: str) -> None:
    """However short its trainings and samplings are, and however few images it is shown."""
    config = get_method(name).config(None)
    fields = vars(config) if config else {}
    lengths = [field for field in fields if field == "steps" or field.endswith("_steps")]
    few = {field: count for field, count in FEW.items() if isinstance(fields.get(field), int)}
    check_method(get_method(name), **few | dict.fromkeys(lengths, 2) | ({"batch_size": 4} if lengths else {}))


def test_the_template_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "templates" / "method")
    monkeypatch.delitem(sys.modules, "my_forest", raising=False)
    import my_forest  # type: ignore[import-not-found]

    check_method(my_forest.METHOD, trees=5)


class Restless(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.weights + torch.rand(1)


class Curious(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.evidence.images()


class Peeping(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.evidence.images("test")  # type: ignore[arg-type]


class Reading(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.table.val_accuracy


class Social(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.weights - population.weights[0]


class Short(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.weights[:1]


class Double(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.weights.double()


class Foreign(Unlearned):
    def embed(self, population: Population) -> Any:
        return population.weights.numpy()


class Narrow(Unlearned):
    def generate(self, anchors: Population, count: int, seed: int) -> Any:
        return anchors.weights[:, 1:]


class Deaf(Unlearned):
    def predict(self, known: Any, values: Any, asked: Population) -> Any:
        return np.zeros(len(asked))


@dataclass(frozen=True)
class Forgetful(Unlearned):
    shift: int = 0

    def embed(self, population: Population) -> Any:
        return population.weights + self.shift

    @classmethod
    def load(cls, path: Path) -> Any:
        return cls()


class Useless(Unlearned):
    pass


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Restless, "another answer when it is asked again"),
        (Curious, "asked for more than its Method declares: a method with access to weights asked for images"),
        (Peeping, "asked for more than its Method declares: a method asked for 'test' images"),
        (Reading, r"embed\(\) reads the column 'val_accuracy', which tasks hide"),
        (Social, "when others stand beside it, or in another order"),
        (Short, "let it give one for each"),
        (Double, "let it give torch.float32"),
        (Foreign, "gave a ndarray; let it give a torch tensor"),
        (Narrow, r"generate\(\) gave shape"),
        (Deaf, "another kind than the values"),
        (Useless, "can do nothing that a task asks for"),
    ],
)
def test_what_is_wrong_is_told(kind: type[Unlearned], sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_method(Method("mine", kind, {"default": kind()}, learns=False))


def test_what_is_not_saved_is_found() -> None:
    with pytest.raises(ContractError, match=r"after load\(\) than before save\(\)"):
        check_method(Method("mine", Forgetful, {"default": Forgetful(shift=1)}, learns=False))
