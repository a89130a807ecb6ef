"""Access to images is graded, granted in one place, and asking for more than a method declares is refused."""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.reaching import MEASURED, told
from numpy.typing import NDArray
from torch import Tensor

import zoobench as zb
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoo_generation.networks.capture import moments
from zoo_generation.networks.module import runnable_module
from zoobench.evaluation.cells import prepare
from zoobench.evaluation.evaluate import plan_of
from zoobench.methods import Access, InapplicableError, Method, Unlearned
from zoobench.methods.fitting import Fitted
from zoobench.methods.granting import granted
from zoobench.methods.registry import METHODS, SKILLS
from zoobench.populations import KEPT, Population, TokenSet, select_checkpoints
from zoobench.populations.population import OPEN
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.reconstruction import Reconstruction
from zoobench.testing import made_up
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

Array = NDArray[Any]

PACKAGE = Path(__file__).parents[2] / "zoobench"
MAY_GRANT = {
    "evaluation/cells.py",
    "methods/embedding.py",
    "methods/fitting.py",
    "methods/generation.py",
    "testing.py",
}


def calling(name: str, kind: type[ast.expr]) -> set[str]:
    """The files of the package that call something of this name: as an attribute, `x.name()`, or as a function."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        called = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        if any(
            isinstance(each, kind) and name in (getattr(each, "attr", ""), getattr(each, "id", "")) for each in called
        ):
            found.add(file.relative_to(PACKAGE).as_posix())
    return found


def test_only_the_engine_grants() -> None:
    """`Population.shown` is called by `granted` alone, and that by the engine and by three files of methods."""
    assert calling("shown", ast.Attribute) == {"methods/granting.py"}
    assert calling("granted", ast.Name) == MAY_GRANT and not calling("granted", ast.Attribute)


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
    with pytest.raises(InputError, match="take 1 or more"):
        population.evidence.moments(images=0)
    first = population.evidence.moments(images=40)
    some = ImageStore().of(population.table.iloc[0], "train").images[:40]
    slow = moments(population.weights, population.layout, runnable_module(population.table.iloc[0]), some)
    for name, grams in first.grams.items():
        torch.testing.assert_close(grams, slow.grams[name])
        assert first.counts[name] * 300 == found.counts[name] * 40
    table = population.table.assign(activation=["relu", "tanh"] * (len(population) // 2))
    mixed = Population.of("mixed", population.tokenizer, population.weights, table).shown(population.granted)
    both = mixed.evidence.moments()
    relu = torch.arange(len(population)) % 2 == 0
    for name, grams in found.grams.items():
        assert grams.shape[0] == len(population)
        torch.testing.assert_close(both.grams[name][relu], grams[relu])
    assert any((both.grams[name][~relu] != grams[~relu]).any() for name, grams in found.grams.items())


@dataclass(frozen=True)
class Spy(Unlearned):
    """A method that keeps its arguments."""

    def embed(self, population: Population) -> Tensor:
        GIVEN["embed"].append(population)
        return population.weights[:, :4]

    def reconstruct(self, population: Population) -> Tensor:
        GIVEN["reconstruct"].append(population)
        return population.weights

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        GIVEN["generate"].append(anchors)
        return anchors.weights[:count]


class Predicting(Spy):
    def predict(self, known: Sequence[Population], values: Array, *, asked: Population) -> Array:
        GIVEN["known"] += known
        GIVEN["asked"].append(asked)
        return np.resize(values, len(asked))


GIVEN: dict[str, list[Population]] = defaultdict(list)
KNOWN = {*OPEN, "split"}
SPY = Method("spy", Spy, learns=False, random=False)
PREDICTING = Method("predicting", Predicting, learns=False, random=False)


def read_digits(built: Path) -> Population:
    return TokenSet.load(select_checkpoints([Zoo(built / "zoos" / "digits-cnn_s")], first_epoch=0)).populations[0]


def check_given(population: Population) -> None:
    """What was given to each verb tells nothing that was measured, and holds no models that were not asked about."""
    nothing = population.weights[:0]
    for verb, columns in {
        "embed": KNOWN,
        "reconstruct": KNOWN,
        "asked": KNOWN,
        "known": KNOWN,
        "generate": {*KNOWN, "init", "val_accuracy"},
    }.items():
        for given in GIVEN[verb]:
            assert set(given.table) <= columns and not MEASURED & set(given.table), verb
            assert given.is_blind and not told(given, population.table, nothing), verb
    test = population.split("test").weights
    for given in (*GIVEN["known"], *GIVEN["generate"]):
        assert not told(given, population.table, test)
    for given in (*GIVEN["asked"], *GIVEN["reconstruct"]):
        assert not told(given, population.table, population.without("test").weights)


def test_the_engine_gives_blind_populations(built: Path, tmp_path: Path) -> None:
    """Each verb of a method that is measured, through the same cells that eval, studies and tracks measure."""
    GIVEN.clear()
    tasks = [PropertyPrediction(properties=("test_accuracy", "learning_rate")), Reconstruction()]
    tasks += [Generation(drawn=4, kept=2, rounds=2, selection_images=50)]
    zoos = [Zoo(built / "zoos" / "digits-cnn_s")]
    plan = plan_of([SPY, PREDICTING], zoos, tasks, baselines=False, seeds=[0], statuses=KEPT)
    cells = prepare(plan.origins, Workspace(tmp_path, device="cpu"))
    for cell in plan.cells:
        cells.measure(cell)
        assert len(cells.observations(cell)), cell.name
    assert set(GIVEN) == {"embed", "reconstruct", "generate", "known", "asked"}
    check_given(read_digits(built))


def test_an_answer_of_another_form_is_refused_in_a_sentence(built: Path, tmp_path: Path) -> None:
    """By the engine, whichever method gave it."""

    class Short(Unlearned):
        def reconstruct(self, population: Population) -> Tensor:
            return population.weights[:, 1:]

        def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
            return anchors.weights[:count, 1:]

    zoos = [Zoo(built / "zoos" / "digits-cnn_s")]
    tasks = [Reconstruction(), Generation(drawn=4, kept=2)]
    method = Method("short", Short, learns=False, random=False)
    plan = plan_of([method], zoos, tasks, baselines=False, seeds=[0], statuses=KEPT)
    cells = prepare(plan.origins, Workspace(tmp_path, device="cpu"))
    for cell, sentence in zip(plan.cells, (r"the answer has the shape \[", r"the method generated \["), strict=True):
        with pytest.raises(InputError, match=sentence):
            cells.measure(cell)
        assert not len(cells.observations(cell))


def test_embed_and_generate_give_blind_populations(built: Path, tmp_path: Path) -> None:
    """Of zoos, and of a population."""
    GIVEN.clear()
    path, workspace, population = built / "zoos" / "digits-cnn_s", Workspace(tmp_path), read_digits(built)
    spy = Fitted(SPY, None, Spy())
    tables = [zb.embed(spy, path, workspace=workspace), zb.embed(spy, population, workspace=workspace)]
    assert [len(table) for table in tables] == [len(population)] * 2
    made = zb.generate(spy, path, drawn=4, kept=2, rounds=2, workspace=workspace, out=tmp_path / "zoos" / "made")
    assert len(made.accuracies) == 2 and len(GIVEN["generate"]) == 2
    check_given(population)


@pytest.mark.parametrize("name", METHODS.own)
def test_a_method_that_runs_the_models_says_so(name: str) -> None:
    method = METHODS.get(name)
    if any(hasattr(method.kind, verb) for verb in ("merge", "transfer", "grow", "attribute", "trace", "extract")):
        assert not method.runs_models  # on inputs of its own: on images it may, by its access
        return
    own = Path(inspect.getfile(method.kind))
    files = [own] if name in SKILLS else own.parent.glob("*.py")
    runs = any(word in file.read_text() for file in files for word in ("runnable_module", "build_module"))
    assert method.runs_models == (runs and name != "random_membership")  # which shares a file with those that do
