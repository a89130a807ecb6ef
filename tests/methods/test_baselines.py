"""Baselines that make something of anchors' weights, against what must come out. Features: see test_tasks.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.evaluation import evaluate
from zoobench.methods import InapplicableError, Method
from zoobench.methods.baselines import (
    AnchorAverage,
    Interpolation,
    MatchedAverage,
    MatchedModels,
    Noise,
    Pca,
    PcaGaussian,
    Soup,
    SpectralStatistics,
    SplitDensity,
    WeightDensity,
    WeightGaussian,
)
from zoobench.methods.baselines.pca import PcaConfig
from zoobench.methods.baselines.split import SplitConfig
from zoobench.methods.registry import CONTROLS, baselines, get_method
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.populations.symmetries import groups_of, matched_to_best
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.testing import check_method
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace


def anchors_of(weights: torch.Tensor, **columns: object) -> Population:
    """Models of cnn_s with tanh, the third of them the best."""
    row = {"dataset": "digits", "architecture": "cnn_s", "width": 1.0, "channels": 1, "classes": 10, "image_size": 28}
    table = pd.DataFrame([row | {"activation": "tanh", "split": "train"}] * len(weights))
    table = table.assign(val_accuracy=[0.5, 0.6, 0.9, 0.7][: len(weights)], **columns)
    return Population.of("anchors", Tokenizer.of(get_architecture("cnn_s").layout(1, 10), 201), weights, table)


def copies(noise: float) -> Population:
    """One model in four orders and signs of its units, and noise."""
    torch.manual_seed(0)
    model = 0.1 * torch.randn(2464)
    population = anchors_of(model.expand(4, -1))
    index, factor = random_symmetries(population.layout, groups_of(population), 4, torch.Generator().manual_seed(0))
    return anchors_of(model[index] * factor + noise * torch.randn(4, 2464))


def test_an_average_of_copies_is_the_model_once_they_are_matched() -> None:
    anchors = copies(0.0)
    (matched,), (plain,) = (method.generate(anchors, 50, 0) for method in (MatchedAverage(), AnchorAverage()))
    torch.testing.assert_close(matched, anchors.weights[2])
    torch.testing.assert_close(plain, sum(anchors.weights) / 4)
    assert (plain - anchors.weights[2]).norm() > 0.5 * anchors.weights[2].norm()


def test_a_density_over_weights_is_matched_anchors_and_a_tenth_of_their_spread() -> None:
    anchors = copies(0.01)
    drawn = WeightDensity().generate(anchors, 400, 0)
    best = anchors.weights[2]
    offsets = (drawn - best).norm(dim=1)
    assert offsets.max() < 0.05 * 2464**0.5  # of the best anchor, not of models in other orders
    exact = offsets.argsort()[: len(drawn) // 8]  # drawn around the best itself
    deviation = (drawn[exact] - best).std(0, correction=0).mean()
    assert deviation.item() == pytest.approx(0.1 * 0.01 * 0.798, rel=0.1)  # of four normals
    assert torch.equal(drawn, WeightDensity().generate(anchors, 400, 0))
    assert not torch.equal(drawn, WeightDensity().generate(anchors, 400, 1))
    alone = anchors.select(torch.arange(4).numpy() == 2)
    assert torch.equal(WeightDensity().generate(alone, 3, 0), best.expand(3, -1))


@pytest.mark.parametrize("name", ["training_mean", "hyperparameters"])
def test_floors_keep_the_contract_of_methods(name: str) -> None:
    check_method(get_method(name))


def test_noise_has_a_share_of_the_deviation_of_each_tensor() -> None:
    anchors = anchors_of(torch.randn(1, 2464) * torch.linspace(0.1, 3, 2464))
    drawn = Noise(0.2).generate(anchors, 3000, 0)
    for entry in anchors.layout:
        expected = 0.2 * anchors.weights[0, entry.span].std(correction=0)
        deviations = (drawn - anchors.weights)[:, entry.span].std(correction=0)
        assert deviations.item() == pytest.approx(expected.item(), rel=0.05)
    assert torch.equal(drawn, Noise(0.2).generate(anchors, 3000, 0))
    scales = [get_method(f"noise_{share}").config(None).scale for share in (10, 20, 40, 80)]
    assert scales == [0.1, 0.2, 0.4, 0.8]


def test_what_lies_between_copies_is_the_model() -> None:
    """However their units are ordered; between different models it is none of them."""
    anchors = copies(0.0)
    for model in Interpolation().generate(anchors, 20, 0):
        assert (anchors.weights - model).norm(dim=1).min() < 1e-4 * model.norm()
    different = anchors_of(torch.randn(4, 2464))
    between = Interpolation().generate(different, 20, 0)
    lengths = torch.cdist(between, different.weights).amin(1)
    assert lengths.min() > 0.01 and torch.equal(between, Interpolation().generate(different, 20, 0))
    alone = anchors.select(torch.arange(4).numpy() == 2)
    assert torch.equal(Interpolation().generate(alone, 2, 0), anchors.weights[2:3].expand(2, -1))


def many(count: int, noise: float) -> Population:
    """Copies of one model in other orders and signs of their units, with noise; the last is the best."""
    torch.manual_seed(0)
    model = 0.1 * torch.randn(2464)
    population = anchors_of(model.expand(1, -1))
    groups, generator = groups_of(population), torch.Generator().manual_seed(0)
    index, factor = random_symmetries(population.layout, groups, count, generator)
    table = pd.concat([population.table] * count, ignore_index=True)
    table = table.assign(model_id=range(count), val_accuracy=[0.5 + 0.001 * number for number in range(count)])
    made = (model + noise * torch.randn(count, 2464)).gather(1, index) * factor
    return Population.of("many", population.tokenizer, made, table)


@pytest.mark.parametrize("kind", [Soup, WeightGaussian, PcaGaussian, SplitDensity])
def test_what_the_whole_split_generates_has_the_moments_of_its_matched_models(
    kind: type[MatchedModels], tmp_path: Path
) -> None:
    models = many(40, 0.005)
    fitted = kind.fit(TokenSet(201, (models,)), 0, SplitConfig())
    fitted.save(tmp_path / "kept")
    drawn = kind.load(tmp_path / "kept").generate(models, 600, 0)
    assert torch.equal(drawn, fitted.generate(models, 600, 0))
    matched = matched_to_best(models)
    assert (drawn.mean(0) - matched.mean(0)).norm() < 0.2 * (matched - matched.mean(0)).norm(dim=1).mean()
    share = float((drawn.std(0).square().sum() / matched.std(0).square().sum()).sqrt())
    expected = 0.25 * (24 / 39) ** 0.5 if kind is Soup else 1.0  # of means of 16 that are drawn of 40
    assert share == pytest.approx(expected, rel=0.1)

    best = kind.fit(TokenSet(201, (models,)), 0, SplitConfig(0.3))
    assert len(next(iter(best.matched.values()))) == 12
    table = models.table.assign(train_images=[300, *[200] * 39])  # it may vary within a population
    some = kind.fit(TokenSet(201, (Population.of("many", models.tokenizer, models.weights, table),)), 0, SplitConfig())
    anchors = models.with_weights(models.weights)
    few = Population.of("few", anchors.tokenizer, anchors.weights, table.assign(train_images=200))
    assert torch.equal(some.generate(few, 5, 0), some.generate(models, 5, 0))
    other = models.select(np.arange(40) < 5)
    glyphs = Population.of("glyphs", other.tokenizer, other.weights, other.table.assign(dataset="glyphs"))
    with pytest.raises(InapplicableError, match="fewer than three models like the anchors of glyphs"):
        fitted.generate(glyphs, 2, 0)
    with pytest.raises(InputError, match=r"a share of 0 .* take one above 0, up to 1"):
        SplitConfig(0)
    (tmp_path / "kept" / "models.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="fit it again"):
        kind.load(tmp_path / "kept")


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_keep_the_contract_and_are_measured_if_they_are_named(name: str) -> None:
    check_method(get_method(name))
    assert get_method(name).baseline and get_method(name) not in baselines()


def test_symmetries_are_those_of_all_activations() -> None:
    """A flip of units is none of a model with relu, wherever it stands in the population."""
    weights = torch.randn(3, 2464)
    tanh, relu, mixed = (
        {group.kind for group in groups_of(anchors_of(weights, activation=activation))}
        for activation in ("tanh", "relu", ["tanh", "relu", "tanh"])
    )
    assert tanh == {"permutation", "flip"} and relu == {"permutation", "scale"} and mixed == {"permutation"}


def test_spectra_do_not_depend_on_the_order_of_units_or_on_company() -> None:
    anchors = copies(0.0)
    features = SpectralStatistics().embed(anchors)
    assert features.shape == (4, 6 * 5) and features.isfinite().all()
    torch.testing.assert_close(features, features[:1].expand(4, -1), rtol=1e-3, atol=1e-3)
    one = SpectralStatistics().embed(anchors.select(torch.arange(4).numpy() == 1))
    torch.testing.assert_close(one, features[1:2])
    assert SpectralStatistics().embed(anchors_of(torch.zeros(1, 2464))).isfinite().all()


def test_baselines_learn_nothing_but_principal_components() -> None:
    assert get_method("sane").learns and not get_method("sane").baseline
    assert [method.name for method in baselines() if method.learns] == ["pca"]
    fixed = {method.name for method in baselines() if not method.random}
    assert {method.name for method in baselines()} - fixed == {"random_init", "weight_density"}


def test_principal_components_are_those_of_a_singular_value_decomposition(tmp_path: Path) -> None:
    """Of centred training models, up to signs; one layout's mean something else than another's."""
    torch.manual_seed(0)
    layouts = [Layout.of_shapes({"weight": (3, 4), "bias": (size,)}) for size in (3, 1)]
    first, again, other = (
        Population.of(
            name,
            Tokenizer.of(layout, 4),
            torch.randn(40, layout.size) @ torch.randn(layout.size, layout.size) + 5,
            pd.DataFrame({"split": ["train"] * 30 + ["test"] * 10}),
        )
        for name, layout in zip("abc", [layouts[0], *layouts], strict=True)
    )
    tokens = TokenSet(4, (first, other, again))
    Pca.fit(tokens, 0, PcaConfig(components=6)).save(tmp_path / "pca")
    pca = Pca.load(tmp_path / "pca")

    x = np.concatenate([each.split("train").weights.double().numpy() for each in (first, again)])
    mean, test = x.mean(0), first.split("test")
    _, _, vectors = np.linalg.svd(x - mean, full_matrices=False)
    scores = (test.weights.double().numpy() - mean) @ vectors[:6].T
    embedded = pca.embed(test)
    np.testing.assert_allclose(embedded.abs().numpy(), np.abs(np.pad(scores, ((0, 0), (0, 6)))), atol=1e-3)
    assert (embedded[:, 6:] == 0).all() and (pca.embed(other)[:, :6] == 0).all()
    np.testing.assert_allclose(pca.reconstruct(test), scores @ vectors[:6] + mean, atol=1e-3)

    few = TokenSet(4, (first.select(np.arange(40) < 4), other.select(np.arange(40) < 1)))
    fitted = Pca.fit(few, 0, PcaConfig())  # three directions between four models; one model spans nothing
    assert fitted.embed(test).shape == (10, 3)
    torch.testing.assert_close(fitted.reconstruct(few.populations[0]), few.populations[0].weights, atol=1e-3, rtol=0)
    with pytest.raises(InapplicableError, match="fewer than two checkpoints of the layout of c"):
        fitted.reconstruct(other)
    full = Pca.fit(TokenSet(4, (first,)), 0, PcaConfig())
    torch.testing.assert_close(full.reconstruct(test), test.weights, atol=1e-3, rtol=0)
    with pytest.raises(InputError, match="given 0 components"):
        PcaConfig(components=0)
    (tmp_path / "pca" / "bases.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="fit it again"):
        Pca.load(tmp_path / "pca")


class Picky:
    """Cannot do anything that it is asked."""

    @classmethod
    def fit(cls, *_: object) -> Picky:
        return cls()

    load = fit

    def save(self, path: Path) -> None:
        path.mkdir(parents=True)

    def embed(self, population: Population) -> torch.Tensor:
        raise InapplicableError("not for this one")

    def generate(self, anchors: Population, count: int, seed: int) -> torch.Tensor:
        raise InapplicableError("nor this")


def test_what_a_method_cannot_do_is_left_out_of_an_evaluation(built: Path, tmp_path: Path) -> None:
    methods = {Method("picky", Picky): None, get_method("pca"): PcaConfig()}
    tasks, workspace = [PropertyPrediction(), Generation(drawn=2, kept=1)], Workspace(tmp_path, workers=1)
    zoo = Zoo(built / "zoos" / "digits-cnn_s")
    results = evaluate(methods, [zoo], tasks=tasks, baselines=False, seeds=[0], workspace=workspace)
    assert set(results.measurements["method"]) == {"pca"} and not results.failures
