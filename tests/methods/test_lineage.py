"""Methods of lineage: an exact test is exact, evasions hide from what does not match, and calibrations say "none"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.lineages import families
from scipy.stats import kstest

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.symmetry import random_permutations
from zoo_generation.networks.symmetry.groups import of_kind
from zoobench.methods.lineage import Cka, MeasureTracer, WeightDistance, p_values, parts_of
from zoobench.methods.lineage.calibration import calibrated
from zoobench.populations import Access, Evidence, Population, TokenSet
from zoobench.populations.lineage import NONE, Lineage
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.copies import copied


def evaded(models: Population, seed: int = 1) -> Population:
    return models.with_weights(copied(models, "evaded", models.weights, seed))


def tokens(*populations: Population) -> TokenSet:
    return TokenSet(288, populations)


def test_p_values_of_independent_models_are_uniform() -> None:
    """Of trunks, which have nothing in common: each pair of models is in one p-value only."""
    models = families(120)
    trunks = models.select(models.table["parent"].isna())
    first, second = (trunks.select(np.arange(len(trunks)) % 2 == half) for half in (0, 1))
    values = [float(p_values(first.select(pair), second.select(pair), 199)) for pair in np.eye(60, dtype=bool)]
    assert kstest(values, "uniform").pvalue > 0.05


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_what_is_combined_shares_no_units(activation: str) -> None:
    """Permuting the units of one part leaves all others as they are, so that their p-values are independent."""
    models = families(1, activation)
    parts, groups = parts_of(models), of_kind(groups_of(models), "permutation")
    assert len(parts) == 3 and len(torch.cat(parts).unique()) == sum(len(part) for part in parts)
    for group in groups:
        moved = random_permutations(models.layout, [group], 1, torch.Generator().manual_seed(0))[0]
        assert sum(bool((moved[part] != part).any()) for part in parts) <= 1


def test_p_values_of_children_are_small_until_they_evade() -> None:
    line = Lineage.of(families(3))
    child = line.parents != NONE
    children, parents = line.models.select(child), line.models.weights[line.parents[child]]
    values = torch.stack([p_values(children, line.models.with_weights(parents), 1999).diagonal()])
    assert values.max() < 1e-5  # three parts say more than one, whose smallest p-value is 1 / 2000
    assert p_values(evaded(children), line.models.with_weights(parents), 99).diagonal().median() > 0.1


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_exact_evasions_hide_from_distances_until_units_are_matched(activation: str) -> None:
    models = families(4, activation)
    plain, matched = (WeightDistance(matched=each).apart(evaded(models), models) for each in (False, True))
    own = torch.arange(len(models))
    assert (matched.argmin(1) == own).all() and matched.diagonal().max() < 1e-3
    rank = (plain < plain.diagonal()[:, None]).double().mean(1)
    assert rank.mean() > 0.15 and (plain.argmin(1) == own).double().mean() < 0.25


def test_a_limit_is_between_children_and_strangers() -> None:
    train, test = families(6, split="train", seed=10), Lineage.of(families(4))
    method = MeasureTracer.fit(tokens(train), 0, WeightDistance())
    scores = method.trace(test.models, test.models)
    assert (scores[torch.from_numpy(test.edges)] > 0).all()
    unrelated = torch.from_numpy(test.families[:, None] != test.families)
    assert (scores[unrelated] < 0).all()


def test_without_children_nothing_is_near_enough() -> None:
    models = families(6)
    trunks = models.select(models.table["parent"].isna())
    found = calibrated([Lineage.of(trunks)], WeightDistance().apart)
    scores = found.scores(WeightDistance().apart(trunks, trunks)).fill_diagonal_(-1)
    assert scores.max() == 0
    one = trunks.select(np.arange(len(trunks)) == 0)
    assert calibrated([Lineage.of(one)], WeightDistance().apart) == calibrated([], WeightDistance().apart)


def test_direction_is_learned_from_families() -> None:
    """Made-up training moves weights away from their start, so that norms grow."""
    line, apart = Lineage.of(families(6, split="train")), WeightDistance().apart
    norms = line.models.weights.norm(dim=1)
    found, opposite = (calibrated([line], apart, lambda models, way=way: way * norms) for way in (1, -1))
    assert (found.sign, opposite.sign) == (1, -1) and found.penalty > 0
    scores = found.scores(torch.ones(2, 2), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert scores[1, 0] > scores[0, 1]  # the larger is the child


def test_a_fitted_tracer_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    made = MeasureTracer.fit(tokens(families(3, split="train")), 0, WeightDistance("kurtosis", matched=False))
    made.save(tmp_path / "kept")
    again = MeasureTracer.load(tmp_path / "kept")
    assert (again.config, again.calibration) == (made.config, made.calibration)
    (tmp_path / "kept" / "tracer.json").write_text('{"measure": "Nothing", "config": {}}')
    with pytest.raises(InputError, match="is damaged"):
        MeasureTracer.load(tmp_path / "kept")


def test_cka_does_not_change_with_the_order_of_units() -> None:
    models = families(2).shown(Evidence(Access.IMAGES, ImageStore()))
    measure = Cka(images=40)
    plain, other = measure.apart(models, models), measure.apart(evaded(models), models)
    torch.testing.assert_close(plain, other, atol=1e-4, rtol=0)
    assert plain.diagonal().max() < 1e-4 < plain.fill_diagonal_(1).min()
