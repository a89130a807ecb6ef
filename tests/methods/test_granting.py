"""Access to images is graded, granted in one place, and asking for more than a method declares is refused."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from helpers.reaching import MEASURED, told

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoobench.methods import Access, InapplicableError, Method, Unlearned
from zoobench.methods.granting import granted
from zoobench.methods.sampling import Draw, choose_anchors, generate
from zoobench.populations import Population
from zoobench.populations.population import OPEN
from zoobench.testing import made_up

PACKAGE = Path(__file__).parents[2] / "zoobench"
MAY_GRANT = {"methods/fitting.py", "methods/embedding.py", "methods/generation.py", "testing.py"}


def called(file: Path, name: str) -> bool:
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return any(getattr(call, "attr", getattr(call, "id", "")) == name for call in calls)


def test_only_the_engine_grants() -> None:
    """`.shown` of a population is called by `granted` alone, and that by the engine and by three files of methods."""
    files = {file.relative_to(PACKAGE).as_posix(): file for file in PACKAGE.rglob("*.py")}
    assert {name for name, file in files.items() if called(file, "shown") and "zoo/" not in name} <= {
        "methods/granting.py",
        *(name for name, file in files.items() if "zoo_generation.text import" in file.read_text()),
    }
    granting = {name for name, file in files.items() if called(file, "granted")}
    assert "methods/embedding.py" in granting
    assert all(name in MAY_GRANT or name.startswith("evaluation/") for name in granting), granting


class Mine(Unlearned):
    pass


def seen(access: Access, allowed: Access = Access.LABELS):  # type: ignore[no-untyped-def]
    return granted(Method("mine", Mine, access=access), made_up(), allowed, ImageStore())


def test_evidence_gives_what_was_declared_and_no_more() -> None:
    with pytest.raises(AccessError, match=r"access to weights asked for images; declare access=Access\.IMAGES"):
        seen(Access.WEIGHTS).evidence.images()
    with pytest.raises(AccessError, match="asked for images with labels"):
        seen(Access.IMAGES).evidence.labelled()
    with pytest.raises(AccessError, match="asked for statistics"):
        made_up().evidence.moments()  # nothing was granted
    images = seen(Access.IMAGES).evidence.images()
    assert images.shape == (300, 1, 28, 28) and images.dtype == torch.float32
    labelled = seen(Access.LABELS).evidence.labelled("val")
    assert len(labelled.images) == len(labelled.labels) > 0
    for access in (Access.IMAGES, Access.LABELS):
        with pytest.raises(AccessError, match="'train' and 'val' only"):
            seen(access).evidence.images("test")  # type: ignore[arg-type]


def test_parts_and_blind_ones_keep_the_access() -> None:
    population = seen(Access.IMAGES)
    for part in (population.split("test").blind(), population.known(), population.split("train").alone().as_anchors()):
        assert part.evidence.access == Access.IMAGES and len(part.evidence.images("val"))
    with pytest.raises(InputError, match="a population without models"):
        population.select(population.splits == 9).evidence.images()


def test_a_method_that_needs_more_than_is_allowed_is_left_out() -> None:
    with pytest.raises(InapplicableError, match="mine needs images, and here a method may see weights"):
        seen(Access.IMAGES, Access.WEIGHTS)


def test_moments_are_those_of_each_model_under_its_own_activation() -> None:
    population = seen(Access.STATISTICS)
    found = population.evidence.moments()
    table = population.table.assign(activation=["relu", "tanh"] * (len(population) // 2))
    mixed = Population.of("mixed", population.tokenizer, population.weights, table).shown(population.granted)
    both = mixed.evidence.moments()
    relu = torch.arange(len(population)) % 2 == 0
    for name, grams in found.grams.items():
        assert grams.shape[0] == len(population)
        torch.testing.assert_close(both.grams[name][relu], grams[relu])
    assert any((both.grams[name][~relu] != grams[~relu]).any() for name, grams in found.grams.items())


class Drawer(Unlearned):
    """A generator that keeps what it is given."""

    def generate(self, anchors: Population, count: int, seed: int) -> torch.Tensor:
        GIVEN.append(anchors)
        return anchors.weights[:count]


GIVEN: list[Population] = []


def test_generators_see_anchors_without_what_was_measured_of_them() -> None:
    """In every round, but for the validation accuracy that they were chosen by."""
    GIVEN.clear()
    population = seen(Access.WEIGHTS)
    anchors = choose_anchors(population, 3)
    drawn = generate(Drawer(), anchors, Draw(drawn=2, kept=2, rounds=2), 0, ImageStore())
    assert len(drawn.weights) == 2 and len(GIVEN) == 2
    for given in GIVEN:
        assert set(given.table) <= {*OPEN, "init", "val_accuracy", "split"} and not MEASURED & set(given.table)
    assert not told(GIVEN[0], population.table, population.split("test").weights)
