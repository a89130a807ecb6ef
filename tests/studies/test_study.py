"""Studies: their files, the training sets of compositions, the coverage of intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoobench.evaluation import Origin, TrainingSet
from zoobench.evaluation.statistics import RESAMPLES, Effect, FitScores, Interval, effect, interval
from zoobench.evaluation.trainings import chosen, counts_of
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.studies.budget import budget_words
from zoobench.studies.fits import with_convergence
from zoobench.studies.relations import relation
from zoobench.studies.study import read_study
from zoobench.tasks.estimates import Estimate
from zoobench.zoo import split_models
from zoobench.zoo.source import Kind, Source
from zoobench.zoo.workspace import Workspace

COMPOSITIONS = sorted((Path(__file__).parents[2] / "benchmarks" / "compositions").glob("*.yaml"))
STUDY = {
    "name": "study",
    "defaults": {"seeds": 4, "epochs": 2, "learning_rate": 0.001},
    "zoos": {"digits": {"datasets": "digits"}, "glyphs": {"datasets": "glyphs"}},
    "combine": ["alone", "all"],
}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return path


@pytest.mark.parametrize("path", COMPOSITIONS, ids=lambda path: path.stem)
def test_bundled_studies_are_valid(path: Path, tmp_path: Path) -> None:
    study = read_study(path)
    assert study.name == path.stem
    plan = study.plan(Workspace(tmp_path))  # raises if a composition takes more models than there are
    assert {cell.target.name for cell in plan.cells} == set(study.all_targets())
    assert {cell.fit.on.name for cell in plan.cells if cell.fit.on} == set(study.all_compositions())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"nam": "x"}, "unknown field 'nam': did you mean 'name'?"),
        ({"name": "no/slash"}, "field 'name' was given 'no/slash'"),
        ({"zoos": {}}, "field 'zoos'"),
        ({"zoos": {"digits": {"datasets": "digits", "epoch": 3}}}, "zoo 'digits': unknown spec field 'epoch'"),
        ({"zoos": {"digits": {"path": "zoos/x", "epochs": 3}}}, "zoo 'digits': unknown field 'epochs'"),
        ({"zoos": {"digits": {"spec": "cnn-sede"}}}, "zoo 'digits': unknown preset 'cnn-sede'"),
        ({"defaults": {"seeds": "many"}}, "spec field 'seeds' was given 'many'"),
        ({"combine": ["triples"]}, "field 'combine' was given 'triples'"),
        ({"compositions": {"x": {"zoos": ["digit"]}}}, "unknown zoo in the composition x: 'digit'"),
        ({"compositions": {"x": {"zoos": "digits", "models": 0}}}, "field 'compositions.x.models' was given 0"),
        ({"compositions": {"x": {"zoos": "digits", "model": 1}}}, "unknown field 'compositions.x.model'"),
        ({"compositions": {"x": {"zoos": "digits", "models": 1, "tokens": 1}}}, "limited by models or by tokens"),
        ({"compositions": {"x": {"zoos": "digits", "set": {"step": 1}}}}, "unknown hyperparameter 'step'"),
        ({"compositions": {"digits": {"zoos": "digits"}}}, "'digits' is made by 'combine' already"),
        ({"compositions": {"x": {"zoos": "digits", "epochs": [1]}}}, "is called 'checkpoint_epochs' now"),
        ({"compositions": {"x": {"zoos": "digits", "budget": {"steps": 5, "epochs": 1}}}}, "one of steps,"),
        ({"compositions": {"x": {"zoos": "digits", "budget": {"epochs": 0}}}}, "greater than 0"),
        (
            {"compositions": {"x": {"zoos": "digits", "set": {"steps": 3}, "budget": {"epochs": 1}}}},
            "give one of the two",
        ),
        (
            {"compositions": {"x": {"zoos": "digits", "budget": {"steps": 5}}}, "budgets": {"short": {"steps": 3}}},
            "leave one",
        ),
        ({"methods": {"pca": {}}, "budgets": {"short": {"steps": 3}}}, "no method of the study has a budget"),
        ({"combine": []}, "there is no composition"),
        ({"targets": ["mnist"]}, "unknown target 'mnist'"),
        ({"methods": {"same": {}}}, "unknown method 'same'"),
        ({"methods": {"sane": {"preset": "huge"}}}, "unknown preset of sane 'huge'"),
        ({"methods": {"sane": {"set": {"window": "soon"}}}}, "the hyperparameter 'window' was given 'soon'"),
        ({"tasks": {"generate": {}}}, "unknown task 'generate': did you mean 'generation'?"),
        ({"tasks": {"generation": {"draws": 3}}}, "'draws'"),
        ({"tasks": {"generation": {"drawn": "few"}}}, "'few'"),
        ({"seeds": 0}, "field 'seeds' was given 0"),
        ({"seed": "first"}, "field 'seed' was given 'first'"),
        ({"baselines": "some"}, "field 'baselines' was given 'some'"),
        ({"description": 3}, "field 'description' was given 3"),
        (
            {"comparisons": [{"question": "?", "composition": "both", "against": "digits"}]},
            "unknown composition 'both'",
        ),
        ({"comparisons": [{"question": "?", "against": "digits"}]}, "field 'comparisons.0.composition' is missing"),
    ],
)
def test_a_wrong_field_is_told_in_one_sentence(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as told:
        read_study(written(tmp_path, **changes)).plan(Workspace(tmp_path))
    assert sentence in str(told.value) and "\n" not in str(told.value)


def test_zoos_that_share_models_are_refused(tmp_path: Path) -> None:
    twice = {"one": {"datasets": "digits"}, "two": {"datasets": "digits", "seeds": 8}}
    with pytest.raises(InputError, match="4 models in common"):
        read_study(written(tmp_path, zoos=twice, combine=["all"])).plan(Workspace(tmp_path))


def test_each_population_of_a_zoo_is_a_target(tmp_path: Path) -> None:
    zoos = {"both": {"datasets": ["digits", "glyphs"]}, "large": {"datasets": "digits", "architectures": "cnn_l"}}
    study = read_study(written(tmp_path, zoos=zoos, compositions={"x": {"zoos": ["both", "large"], "models": 6}}))
    plan = study.plan(Workspace(tmp_path))
    assert [origin.name for origin in plan.origins] == ["both.digits", "both.glyphs", "large"]
    (training,) = {cell.fit.on for cell in plan.cells if cell.composition == "x" and cell.fit.on}
    assert [origin.name for origin in training.origins] == ["both.digits", "both.glyphs", "large"]
    assert training.share == 2 and relation(plan.origins[0], training) == "ID"


def test_the_grid_measures_each_thing_once(tmp_path: Path) -> None:
    plan = read_study(written(tmp_path, seeds=2)).plan(Workspace(tmp_path))
    assert len(plan.fits) == 3 * 2 + 3 and len(set(plan.cells)) == len(plan.cells)
    of_pca = [fit for fit in plan.fits if fit.method.name == "pca"]  # a baseline that learns, by no chance
    assert [(fit.on.name, fit.seed) for fit in of_pca if fit.on] == [("digits", 0), ("glyphs", 0), ("all", 0)]
    assert {cell.task.name for cell in plan.cells if cell.fit in of_pca} == {
        "property_prediction",
        "property_transfer",
        "skill_prediction",
        "skill_forecast",
        "landscape_prediction",
        "phase_prediction",
        "lineage",
        "model_tree",
        "reconstruction",
    }
    of_baselines = [cell for cell in plan.cells if cell.fit.on is None]
    assert {cell.fit.seed for cell in of_baselines if cell.fit.method.name == "layer_statistics"} == {0}
    assert {cell.fit.seed for cell in of_baselines if cell.fit.method.name == "random_init"} == {0, 1}
    assert {cell.sources for cell in of_baselines if cell.task.name == "generation"} == {None}
    assert {cell.composition for cell in of_baselines if cell.task.name == "property_transfer"} == {
        "digits",
        "glyphs",
        "all",
    }


def test_a_compositions_hyperparameters_are_not_those_of_baselines(tmp_path: Path) -> None:
    longer = {"longer": {"zoos": "digits", "set": {"steps": 77}}}
    methods = {"sane": {}, "pca": {"set": {"components": 5}}, "layer_statistics": {}}
    study = read_study(written(tmp_path, compositions=longer, methods=methods))
    configs = [study.config(method, study.compositions["longer"]) for method in methods]
    assert configs[0].steps == 77 and configs[1].components == 5 and configs[2] is None


def test_relations(tmp_path: Path) -> None:
    zoos = {
        "a": {"datasets": "digits"},
        "b": {"datasets": "glyphs"},
        "c": {"datasets": "glyphs", "architectures": "cnn_l"},
        "d": {"datasets": "digits", "activation": "relu"},
    }
    plan = read_study(written(tmp_path, zoos=zoos, combine=["all"])).plan(Workspace(tmp_path))
    origins = {origin.name: origin for origin in plan.origins}

    def related(target: str, *zoos: str) -> str:
        return relation(origins[target], TrainingSet("x", tuple(origins[zoo] for zoo in zoos)))

    cases = [("a", "a"), ("a", "b"), ("c", "b"), ("c", "a"), ("d", "a")]
    relations = [related(target, zoo) for target, zoo in cases]
    assert relations == ["ID", "OOD dataset", "OOD architecture", "OOD both", "OOD zoo"]
    assert related("a", "b", "c", "d") == "OOD zoo" and related("c", "a", "b") == "OOD architecture"


def population(name: str, models: int, checkpoints: int) -> Population:
    import torch

    tokenizer = Tokenizer.of(get_architecture("cnn_s").layout(1, 10), 201)
    table = pd.DataFrame(
        {
            "model_id": [f"{name}-{model}" for model in range(models) for _ in range(checkpoints)],
            "epoch": [epoch for _ in range(models) for epoch in range(1, checkpoints + 1)],
        }
    )
    table = table.assign(split=split_models(table["model_id"]))
    return Population.of(name, tokenizer, torch.zeros(len(table), tokenizer.layout.size), table)


def trained(zoos: dict[str, Population], **limits: Any) -> TokenSet:
    origins = tuple(
        Origin(name, (Source(name, Path(name), None, ()),), Kind("d", "a", 1.0, 28, None, frozenset(), 0))
        for name in ("a", "b")
    )
    return chosen(TrainingSet("x", origins, **limits), [zoos["a"], zoos["b"]], 201)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([None, (1,), (1, 3)]))
@settings(max_examples=30)
def test_training_sets_are_nested_and_hold_no_test_model(one: int, other: int, epochs: tuple[int, ...] | None) -> None:
    zoos = {name: population(name, 24, 3) for name in ("a", "b", "held-out")}
    taken = []
    for models in sorted((one, other)):
        tokens = trained(zoos, models=models, checkpoint_epochs=epochs)
        assert counts_of(tokens)[0] == 2 * max(1, models // 2)
        tables = pd.concat(population.table for population in tokens.populations)
        assert set(tables["split"]) == {"train", "val"} and not tables["model_id"].str.startswith("held-out").any()
        assert epochs is None or set(tables["epoch"]) == set(epochs)
        taken.append(set(tables["model_id"]))
    assert taken[0] <= taken[1]


def test_every_composition_is_fitted_under_each_budget_and_compared_within_it(tmp_path: Path) -> None:
    budgets = {"equal steps": {"steps": 50}, "equal epochs": {"epochs": 2.5}, "equal time": {"core_seconds": 9}}
    asked = [{"question": "Do two help?", "composition": "all", "against": ["digits", "glyphs"]}]
    methods = {"sane": {"set": {"epochs": 7}}, "pca": {}}
    study = read_study(written(tmp_path, budgets=budgets, comparisons=asked, methods=methods))
    names = [f"{composition}, {budget}" for budget in study.budgets for composition in ("digits", "glyphs", "all")]
    assert list(study.all_compositions()) == names
    assert [study.budget_of(name) for name in names] == [budget for budget in study.budgets for _ in range(3)]
    assert read_study(written(tmp_path)).budget_of("all") == ""
    fits = {
        fit.on.name: fit.config for fit in study.plan(Workspace(tmp_path)).fits if fit.on and fit.method.name == "sane"
    }
    assert list(fits) == names
    for name, config in fits.items():
        assert (
            budget_words(config)
            == {"steps": "50 steps", "epochs": "2.5 epochs", "time": "9 core-seconds"}[name.split()[-1]]
        )
    for each in study.all_comparisons():
        assert {name.partition(", ")[2] for name in each.against} == {each.composition.partition(", ")[2]}
    assert len(study.all_comparisons()) == len(budgets)


def test_comparisons_say_whether_both_had_converged() -> None:
    states = {"a": ["yes", "yes"], "b": ["yes", "no"], "c": ["yes"], "d": ["unknown"]}
    fits = pd.DataFrame(
        [(name, "sane", state) for name, found in states.items() for state in found],
        columns=["composition", "method", "converged"],
    )
    pairs = [("a", "c"), ("a", "b"), ("b", "d"), ("a", "d"), ("a", "failed")]
    compared = pd.DataFrame(
        [("sane", *pair, "one is better") for pair in pairs], columns=["method", "composition", "against", "sentence"]
    )
    marked = with_convergence(compared, fits)
    assert list(marked["converged"]) == ["both", "not both", "not both", "unknown", "unknown"]
    assert [("not both" in sentence) for sentence in marked["sentence"]] == [False, True, True, False, False]
    assert with_convergence(compared.iloc[:0], fits).empty


def test_budgets_in_tokens_and_beyond_what_there_is() -> None:
    zoos = {name: population(name, 24, 3) for name in ("a", "b")}
    size = len(zoos["a"].tokenizer)
    assert counts_of(trained(zoos, tokens=2 * 5 * 3 * size)) == (10, 30, 30 * size)
    with pytest.raises(InputError, match="takes 50 training models of 'a', which has 17"):
        trained(zoos, models=100)


def sums(generator: np.random.Generator, mean: float, models: int = 12) -> Estimate:
    return Estimate.mean(pd.Series(range(models)), pd.Series(generator.normal(mean, 1.0, models)))


def test_intervals_agree_with_a_plain_bootstrap() -> None:
    """One resample at a time, with loops, and other random numbers: the bounds agree within their Monte Carlo error."""
    generator = np.random.default_rng(1)
    seeds = [sums(generator, mean) for mean in (0.0, 0.5, 1.0)]
    values = []
    for _ in range(RESAMPLES):
        means = []
        for seed in generator.integers(3, size=3):
            of_models = seeds[seed].sums[:, 0]
            means.append(np.mean([of_models[generator.integers(12)] for _ in range(12)]))
        values.append(np.mean(means))
    ours, plain = interval(seeds), Interval.of(np.array(values))
    assert abs(ours.low - plain.low) < 0.08 and abs(ours.high - plain.high) < 0.08


def test_differences_see_what_is_common() -> None:
    """If both are measured on the same models, variation between models cancels."""
    generator = np.random.default_rng(2)
    hard = generator.normal(0, 5, 40)
    models = pd.Series([f"m{i}" for i in range(40)])
    first, second = (
        Estimate.mean(models, pd.Series(hard + better + generator.normal(0, 0.1, 40))) for better in (1, 0)
    )
    assert contrast([first], [second]).p() < 1e-6
    renamed = Estimate("mean", tuple(f"other {name}" for name in second.models), second.sums)
    assert contrast([first], [renamed]).p() > 0.05


def contrast(first: list[Estimate], second: list[Estimate]) -> Effect:
    return effect([(1, FitScores.of("a", "t", first)), (-1, FitScores.of("b", "t", second))])


def test_what_was_measured_once_is_told_from_nothing() -> None:
    """τ of a method under one seed is the same in every resample, which does not make it certain."""
    one, other = ([Estimate.constant(value)] for value in (0.9, 0.1))
    found = contrast(one, other)
    assert np.isnan([interval(one).low, found.interval().low, found.p(), found.could_see(3)]).all()


def test_r2_is_computed_anew_when_models_are_drawn_again() -> None:
    generator = np.random.default_rng(4)
    models = pd.Series(np.repeat(list("abcde"), 4))
    truth = pd.Series(generator.normal(size=20))
    predicted = truth + generator.normal(0, 0.5, 20)
    made = Estimate.r2(models, truth, predicted)
    rows = np.concatenate([np.flatnonzero(models == model) for model in "aabde"])
    direct = 1 - np.sum((truth - predicted).iloc[rows] ** 2) / np.sum((truth.iloc[rows] - truth.iloc[rows].mean()) ** 2)
    assert made.resampled(np.array([2.0, 1, 0, 1, 1])) == pytest.approx(direct)
