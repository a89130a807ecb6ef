"""Novelty of models: distances and overlaps of mistakes, against slow and obvious versions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from zoo_generation.data import load_dataset
from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import accuracies, mistakes
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.symmetry import balance_scales, learnable_distance, match_closest, random_symmetries
from zoobench.populations import Population, Tokenizer
from zoobench.populations.symmetries import groups_of
from zoobench.populations.target import Target
from zoobench.tasks import novelty
from zoobench.tasks.novelty import KnownModels

MODELS, EPOCHS = 4, 2


def known(name: str, activation: str, width: float, size: int) -> Population:
    """Models at a few epochs, each near its epoch before: made up, and nothing was trained."""
    row = {"dataset": "digits", "architecture": name, "width": width, "channels": 1, "classes": 10, "image_size": size}
    count = MODELS * EPOCHS
    table = pd.DataFrame([row | {"activation": activation, "split": "train", "init": "kaiming_uniform"}] * count)
    model, epoch = np.repeat(np.arange(MODELS), EPOCHS), np.tile(np.arange(EPOCHS), MODELS)
    table = table.assign(train_images=None, model_id=model, epoch=epoch, val_accuracy=0.5 + 0.1 * epoch + 0.01 * model)
    tokenizer = Tokenizer.of(get_architecture(name).layout(1, 10, width), 288)
    population = Population.of("known", tokenizer, torch.zeros(count, tokenizer.layout.size), table)
    start = Target.of(population).new_models(MODELS, 0).repeat_interleave(EPOCHS, 0)
    steps = 0.02 * torch.randn(MODELS, EPOCHS, tokenizer.layout.size, generator=torch.Generator().manual_seed(1))
    return population.with_weights(start + steps.cumsum(1).flatten(0, 1) * start.std())


def images(size: int, count: int = 40) -> Images:
    data = load_dataset("digits").fit(1, size)
    return Images(data.normalise(data.test.images), data.test.labels).first(count)


def moved(weights: Tensor, population: Population, seed: int) -> Tensor:
    """The same functions, their units in another order, with other signs and scales."""
    generator = torch.Generator().manual_seed(seed)
    groups = groups_of(population)
    index, factor = random_symmetries(population.layout, groups, len(weights), generator, scales=0.3)
    return weights.gather(1, index) * factor


def centred(weights: Tensor, layout: Layout) -> Tensor:
    """One model whose classifier, the last two entries, adds nothing to all classes alike."""
    state = layout.unflatten(weights)
    for name in list(state)[-2:]:
        state[name] = state[name] - state[name].mean(0, keepdim=True)
    return layout.flatten(state)


def matched_distance(one: Tensor, other: Tensor, population: Population) -> float:
    layout, groups = population.layout, groups_of(population)
    one, other = (balance_scales(centred(each, layout)[None], layout, groups) for each in (one, other))
    return float(learnable_distance(match_closest(one, other[0], layout, groups)[0], other[0], layout))


def median(values: list[float]) -> float:
    """The lower of the two in the middle, as in PyTorch."""
    return sorted(values)[(len(values) - 1) // 2]


@pytest.mark.parametrize("network", [("cnn_s", "tanh", 1.0, 28), ("resnet18", "relu", 0.0625, 16)])
def test_a_copy_has_distance_zero_however_its_units_are_ordered(network: tuple[str, str, float, int]) -> None:
    population = known(*network)
    found = KnownModels.of(population, images(network[3]))
    copies = moved(population.weights, population, 3)
    for entry in population.layout:
        if "running_" in entry.name:  # which say nothing of what was learned
            copies[:, entry.span] += 1
    copies[:, population.layout.entries[-1].span] += 20  # of all classes' biases: probabilities stay
    assert found.distances(copies).max() <= 1e-3
    assert found.between(copies[:1].repeat(3, 1)).max() <= 1e-3 and found.between(copies[:1]).isnan().all()
    assert found.distances(torch.full_like(copies[:1], torch.nan)).isinf().all()


def test_distances_are_the_least_of_all_pairs_in_units_of_the_zoo_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of copies with noise exactly, though few pairs are matched; of others nearly, and never less."""
    monkeypatch.setattr(novelty, "NEAREST", 2)
    population = known("cnn_s", "tanh", 1.0, 28)
    found, weights = KnownModels.of(population, images(28)), population.weights
    rows = range(len(weights))

    def nearest(model: Tensor, among: list[int]) -> float:
        return min(matched_distance(model, weights[row], population) for row in among)

    unit = median([nearest(weights[row], [each for each in rows if each != row]) for row in rows])
    assert found.unit == pytest.approx(unit, rel=1e-4)
    noise = torch.randn(4, weights.shape[1], generator=torch.Generator().manual_seed(5))
    near = moved(weights[[0, 3, 5, 7]] + 0.1 * weights.std() * noise, population, 7)
    expected = [nearest(model, list(rows)) / unit for model in near]
    assert found.distances(near).tolist() == pytest.approx(expected, rel=1e-4)
    far = noise * weights.std()
    least = torch.tensor([nearest(model, list(rows)) / unit for model in far])
    assert (found.distances(far) >= 0.9999 * least).all() and (found.distances(far) <= 1.1 * least).all()

    best = [row for row in rows if row % EPOCHS == EPOCHS - 1]
    others = [nearest(weights[row], [each for each in rows if each // EPOCHS != row // EPOCHS]) for row in best]
    assert found.independent == pytest.approx(median(others) / unit, rel=0.05)
    pairs = torch.tensor([[matched_distance(one, other, population) for one in near] for other in near]) / unit
    assert found.between(near).tolist() == pytest.approx((pairs.sum(1) / 3).tolist(), rel=0.02)


def test_overlaps_are_those_of_sets_of_mistakes() -> None:
    population, shown = known("cnn_s", "tanh", 1.0, 28), images(28)
    found = KnownModels.of(population, shown)
    module, layout = Target.of(population).module(), population.layout
    best = population.weights[EPOCHS - 1 :: EPOCHS]
    wrong = mistakes(best, layout, module, shown)
    assert torch.equal((~wrong).double().mean(1), accuracies(best, layout, module, shown))
    assert torch.equal(found.wrong, wrong) and mistakes(best * torch.nan, layout, module, shown).all()

    sets = [set(row.nonzero().flatten().tolist()) for row in wrong]
    some = torch.rand(5, len(shown.labels), generator=torch.Generator().manual_seed(2)) < 0.5
    some[4] = False
    for model, overlap in zip(some, found.overlaps(some).tolist(), strict=True):
        mine = set(model.nonzero().flatten().tolist())
        assert overlap == pytest.approx(max(len(mine & each) / len(mine | each) for each in sets))
    own = [max(len(one & two) / len(one | two) for two in sets if two is not one) for one in sets]
    assert found.independent_overlap == pytest.approx(median(own))
    assert found.overlaps(wrong).tolist() == [1.0] * len(wrong)

    scaled = best.clone()
    for entry in layout.entries[-2:]:
        scaled[:, entry.span] *= 4  # larger logits: no prediction changes
    assert (found.distances(scaled) > 1).all() and (found.novelty(scaled, wrong) == 0).all()
    other = wrong.clone()
    other[:, 0] = ~other[:, 0]
    assert torch.equal(found.novelty(scaled, other), found.distances(scaled))
