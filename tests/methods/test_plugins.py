"""Methods of other packages: the template as it is installed, and each way in which one can be wrong."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Install
from helpers.measuring import observed, values
from tasks.test_tasks import LARGE, SMALL, population

from zoo_generation.errors import InputError
from zoobench.methods import InapplicableError, Unlearned
from zoobench.methods.registry import baselines, get_method, method_names
from zoobench.populations import Population, TokenSet
from zoobench.studies.study import Study
from zoobench.tasks.base import Setting
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo.workspace import Workspace

PLAIN = """
from zoobench.methods import Method, Unlearned

class Plain(Unlearned):
    def embed(self, population):
        return population.weights

class Useless(Unlearned):
    pass

class Forgetful:
    fit = load = classmethod(lambda cls, *_: cls())
    embed = Plain.embed

METHOD = Method("mine", Plain)
USELESS, FORGETFUL = Method("mine", Useless), Method("mine", Forgetful)
SANE, ODD = Method("sane", Plain), Method("../mine", Plain)
"""


def test_what_is_kept_is_of_the_code_as_it_is(template: None, tmp_path: Path) -> None:
    method = get_method("my_forest")
    before = method.identity(None)
    assert method.identity(None) == before != method.identity(1)
    (tmp_path / "my_forest.py").write_text((tmp_path / "my_forest.py").read_text() + "# changed\n")
    assert method.identity(None) != before


TYPED = """
import sys
import ray.cloudpickle
import zoobench as zb

SCALE, weights = 2, 1

def scaled(values):
    return values * SCALE

class Typed(zb.Unlearned):
    def embed(self, population):
        return (lambda values: scaled(values))(population.weights) if "a" in {"a", "b", "c"} else None

METHOD = zb.Method("typed", Typed)
print(METHOD.identity(None))
if sys.argv[1:]:
    ray.cloudpickle.dump(METHOD, open(sys.argv[1], "wb"))
"""
SENT = "import sys, ray.cloudpickle; print(ray.cloudpickle.load(open(sys.argv[1], 'rb')).identity(None))"


@pytest.mark.faults
def test_a_method_typed_into_a_notebook_is_known_by_its_code_in_every_process(tmp_path: Path) -> None:
    def told(text: str, *arguments: object) -> str:
        command = [sys.executable, "-c", text, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    typed = told(TYPED, tmp_path / "method")
    assert told(SENT, tmp_path / "method") == typed  # as it comes to one of Ray's workers
    module: dict[str, Any] = {"__name__": "typed_here"}
    texts = [TYPED, TYPED.replace("SCALE, weights = 2", "SCALE, weights = 3"), TYPED.replace("* SCALE", "+ SCALE")]
    texts.append(TYPED.replace("weights = 2, 1", "weights = 2, 5"))  # not used: `.weights` is an attribute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [""])
        for text in texts:
            exec(text.replace("print(", "found = ("), module)
            module.setdefault("all", []).append(module["found"])
    first, scale, sign, unused = module["all"]
    assert len({first, scale, sign}) == 3 and unused == first


def test_the_template_predicts_and_is_kept(template: None, tmp_path: Path) -> None:
    method, task = get_method("my_forest"), PropertyPrediction()
    assert method.random and not method.learns and "my_forest" in method_names() and method not in baselines()
    config = method.config(None, {"trees": "30"})
    drawn = population("a", 24, SMALL, 0)
    table = drawn.table.assign(test_accuracy=drawn.weights.mean(1).double().numpy())  # which the forest can see
    target = Population.of("a", drawn.tokenizer, drawn.weights, table)
    setting = Setting(target, (target,), seed=0)
    rows = []
    for seed in (0, 1):
        learned = method.fit(TokenSet(4, (target.split("train"),)), seed, config)
        learned.save(tmp_path / "kept")
        assert learned == method.load(tmp_path / "kept") and (learned.trees, learned.seed) == (30, seed)
        rows.append(observed(task, learned, setting))
    assert not rows[0].equals(rows[1])  # another seed, another forest
    assert values(task, rows[0])["r2:test_accuracy"] > 0.8
    assert set(rows[0]["model"]) == set(target.split("test").table["model_id"])
    assert set(rows[0]["predicted_class"].dropna()) <= {"0.1", "0.01"}
    with pytest.raises(InapplicableError, match="same number of layers"):
        two = LARGE.of_shapes({"weight": (3, 4), "bias": (3,)})
        PropertyPrediction("sources").ask(learned, Setting(population("b", 24, two, 1), (target,)))
    (tmp_path / "kept" / "settings.json").write_text('{"trees": "many"}')
    with pytest.raises(InputError, match="is damaged"):
        method.load(tmp_path / "kept")


def test_a_study_takes_it_by_name(template: None) -> None:
    zoo = {"datasets": "digits", "seeds": 4, "epochs": 2}
    content = {"name": "s", "zoos": {"digits": zoo}, "combine": "alone"}
    chosen = {"my_forest": {"preset": "large", "set": {"seed": 3}}}
    longer = {"longer": {"zoos": "digits", "set": {"steps": 10}}}
    study = Study(**content, methods=chosen | {"sane": {}}, compositions=longer)
    assert study.config("my_forest").trees == 1000
    with pytest.raises(ValueError, match="unknown hyperparameter 'tree'"):
        Study(**content, methods={"my_forest": {"set": {"tree": 3}}})


@pytest.mark.parametrize(
    ("entry_point", "sentence"),
    [
        ("absent:METHOD", "of the package others cannot be imported (ModuleNotFoundError: No module named 'absent')"),
        ("broken:METHOD", "of the package others cannot be imported (ZeroDivisionError: division by zero)"),
        ("plain:NOTHING", "of the package others cannot be imported (AttributeError: module 'plain' has no"),
        ("plain:Plain", "(plain:Plain) is of type type, not a zoobench.methods.Method; name one"),
        ("plain:SANE", "calls itself 'sane'; give the entry point and the Method one name"),
        ("plain:USELESS", "let its class be an Embedder, Predictor, TablePredictor, Generator, Reconstructor, "),
        ("plain:FORGETFUL", "lacks save(); a method has fit, save and load"),
    ],
)
def test_what_is_no_method_is_told_in_one_sentence(install: Install, entry_point: str, sentence: str) -> None:
    install("others", {"mine": entry_point}, plain=PLAIN, broken="1 / 0")
    with pytest.raises(InputError) as told:
        get_method("mine")
    assert str(told.value).startswith("the method 'mine' of the package others ") and sentence in str(told.value)
    assert "\n" not in str(told.value)


def test_a_name_that_names_no_folder_is_refused(install: Install) -> None:
    install("others", {"../mine": "plain:ODD"}, plain=PLAIN)
    with pytest.raises(InputError, match="cannot name a folder"):
        get_method("../mine")


def test_two_packages_of_one_name_are_refused(install: Install) -> None:
    for package in ("one", "other"):
        install(package, {"mine": "plain:METHOD"}, plain=PLAIN)
    with pytest.raises(InputError, match="one and other both give a method 'mine'"):
        get_method("mine")


def test_built_in_names_win(install: Install) -> None:
    sane = get_method("sane")
    install("others", {"sane": "plain:SANE"}, plain=PLAIN)
    with pytest.warns(UserWarning, match="'sane' of the package others is not used, since 'sane' is a built-in"):
        assert get_method("sane") is sane
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_method("sane") is sane  # told once
    assert method_names().count("sane") == 1


def test_a_broken_package_does_not_hurt_others(install: Install) -> None:
    """Nor is it imported, where others are asked for, or names are listed."""
    install("others", {"theirs": "broken:METHOD"}, broken="raise SystemExit(1)")
    install("mine", {"mine": "plain:METHOD"}, plain=PLAIN)
    assert get_method("sane").name == "sane" and get_method("mine") is get_method("mine")
    assert {"theirs", "mine"} < set(method_names())
    with pytest.raises(InputError, match="unknown method 'their': did you mean 'theirs'"):
        get_method("their")


def test_what_has_no_hyperparameters_is_kept_too(install: Install, tmp_path: Path) -> None:
    install("mine", {"mine": "plain:METHOD"}, plain=PLAIN)
    method, target = get_method("mine"), population("a", 12, SMALL, 0)
    learned = method.fit(TokenSet(4, ()), 3, method.config(None))
    learned.save(tmp_path / "kept")
    assert isinstance(learned, Unlearned) and method.load(tmp_path / "kept") == learned
    assert torch.equal(learned.embed(target), target.weights)


def test_a_preset_is_a_method_by_its_name(tmp_path: Path) -> None:
    """`method-preset` is fitted, kept and read again as one method, and stands beside others in a study."""
    method = get_method("pca_gaussian-best")
    assert method is get_method("pca_gaussian-best") and method is not get_method("pca_gaussian")
    assert method.config(None) == get_method("pca_gaussian").config("best")
    study = Study(
        name="both",
        zoos={"digits": {"datasets": "digits"}},
        combine="alone",
        methods={"pca_gaussian": {}, "pca_gaussian-best": {}},
    )
    plan = study.plan(Workspace(tmp_path))
    assert {"pca_gaussian", "pca_gaussian-best"} <= {fit.method.name for fit in plan.fits}
    for wrong, reason in (("pca_gaussian-bst", "preset of pca_gaussian 'bst'"), ("pca_gausian-best", "unknown method")):
        with pytest.raises(InputError, match=reason):
            get_method(wrong)
