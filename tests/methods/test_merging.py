"""Mergers do for many groups at once what their papers' formulas do for one, layer by layer and model by model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.groups import HALVES, MadeUpImages, merged, models_to_merge
from helpers.networks import Network, registered
from networks.test_capture import seen_by_hooks
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, logits
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.methods.granting import granted
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.registry import get_method
from zoobench.populations import Access, Population
from zoobench.populations.symmetries import groups_of

SAME: dict[str, dict[str, Any]] = {
    "average": {},
    "matched_average": {},
    "regmean": {},
    "regmean-full": {},
    "regmean-diagonal": {},
    "regmean-published": {},
    "regmean-matched": {},
    "regmean_plus": {},
    "pleas": {},
    "fisher": {},
    "fisher-predicted": {},
    "empirical_fisher": {},
    "greedy_soup": {},
    "task_arithmetic": {"scale": 1 / 3},
    "ties": {"keep": 1.0},
    "dare": {"drop": 0.0, "scale": 1 / 3},
    "repair": {},
    "repair-regmean": {},
    "repair_pleas": {},
}
"""Methods, and settings with which equal models are merged into themselves."""

close = torch.testing.assert_close


def images_of(models: Population, row: int, split: str = "train") -> Images:
    return MadeUpImages().of(models.table.iloc[row], split)


def inputs_and_outputs(models: Population, row: int, shown: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of each layer [rows, inputs or outputs] in double precision, by PyTorch's own unfolding, of one model."""
    module = runnable_module(models.table.iloc[row])
    module.load_state_dict(models.layout.unflatten(models.weights[row]), strict=False)
    inputs, outputs = seen_by_hooks(module, shown)
    return tuple({name: each.T.double().numpy() for name, each in found.items()} for found in (inputs, outputs))


def with_one(rows: Any) -> Any:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def matrix(models: Population, row: int, layer: str, bias: bool = True) -> Any:
    """Weight and bias of a layer of one model, [inputs + 1, outputs]."""
    state = models.layout.unflatten(models.weights[row].double())
    weight = state[f"{layer}.weight"].flatten(1)
    return (torch.cat([weight, state[f"{layer}.bias"][:, None]], 1) if bias else weight).T.numpy()


def layer_of(models: Population, flat: Tensor, layer: str, bias: bool = True) -> Tensor:
    return torch.from_numpy(matrix(models.with_weights(flat[None].expand(len(models), -1)), 0, layer, bias))


def answers(models: Population, weights: Tensor) -> Tensor:
    shown = images_of(models, 0, "test").images
    return logits(weights, models.layout, runnable_module(models.table.iloc[0]), shown)


@pytest.mark.parametrize("name", SAME)
def test_equal_models_are_merged_into_themselves_also_with_units_that_are_dead(name: str) -> None:
    models = models_to_merge(2, activation="relu")
    for bias in (entry for entry in models.layout if entry.name.endswith("bias")):
        models.weights[:, bias.offset] = -100.0  # relu: this unit never varies, and Gram matrices are singular
    groups, bases = [[0, 0, 0], [1, 1, 1]], models.weights.flip(0)
    close(merged(name, models, groups, bases, **SAME[name]), models.weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*SAME, "wudi", "dare-ties"])
def test_groups_are_merged_as_each_alone(name: str) -> None:
    models, groups = models_to_merge(3), [[0, 1], [2, 0]]
    bases = models_to_merge(5).weights[3:]
    together = merged(name, models, groups, bases)
    assert together.dtype == torch.float32 and bool(together.isfinite().all())
    chosen = 0 if name.startswith("dare") else 1  # of dare each group draws something else
    alone = merged(name, models, [groups[chosen]], bases[chosen : chosen + 1])
    close(together[chosen], alone[0], rtol=1e-3, atol=1e-4)


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedImages(ImageStore):
    """Of two parts, [2, images, 1, 28, 28]."""

    images: Tensor

    def of(self, row: pd.Series, split: str) -> Images:
        shown = self.images[HALVES.index(row["data_part"])]
        return Images(shown, torch.zeros(len(shown), dtype=torch.int64))


def test_regmean_is_that_of_fusion_bench() -> None:
    """Of two perceptrons, by its `regmean_merging` (commit 54c9e8c) in double precision, at 0.9 off the diagonal."""
    recorded = load_file(Path(__file__).parent / "recorded" / "fusion_bench_regmean.safetensors")
    models = models_to_merge(2, "mlp", "relu").with_weights(recorded["models"])
    method = get_method("regmean-published")
    shown = granted(method, models, Access.LABELS, RecordedImages(images=recorded["images"])).as_anchors()
    found = method.fit(None, 0, method.config(None)).merge(shown, torch.tensor([[0, 1]]), None, 0)[0]
    close(found, recorded["merged"], rtol=1e-6, atol=1e-6)
    assert (recorded["merged"] - recorded["models"].mean(0)).abs().max() > 0.1


@pytest.mark.parametrize(("alpha", "bias"), [(0.0, True), (0.7, True), (1.0, True), (0.7, False)])
def test_regmean_solves_its_normal_equations(alpha: float, bias: bool) -> None:
    models = models_to_merge(3)
    found = merged("regmean", models, [[0, 1, 2]], alpha=alpha, bias=bias)[0]
    inputs = [inputs_and_outputs(models, row, images_of(models, row).images)[0] for row in range(3)]
    for layer in inputs[0]:
        left, right = 0.0, 0.0
        for row in range(3):
            x = with_one(inputs[row][layer]) if bias else inputs[row][layer]
            gram = x.T @ x / len(x)
            gram = alpha * gram + (1 - alpha) * np.diag(np.diag(gram))
            left, right = left + gram, right + gram @ matrix(models, row, layer, bias)
        close(left @ layer_of(models, found, layer, bias).numpy(), right, rtol=1e-3, atol=1e-3)
        if alpha < 1:
            expected = torch.from_numpy(np.linalg.solve(left, right))
            close(layer_of(models, found, layer, bias), expected, rtol=1e-3, atol=1e-4)
        if not bias:
            span = models.layout[f"{layer}.bias"].span
            close(found[span], models.weights[:, span].mean(0))


def test_regmean_solves_each_group_of_a_grouped_convolution() -> None:
    def build(channels: int, classes: int, **_: object) -> Network:
        return Network(("grouped",), channels, classes)

    with registered(build, "merging:grouped") as name:
        models = models_to_merge(2, name)
        found = merged("regmean-full", models, [[0, 1]])[0]
        inputs = [inputs_and_outputs(models, row, images_of(models, row).images)[0]["blocks.0"] for row in range(2)]
        weights = [matrix(models, row, "blocks.0", bias=False) for row in range(2)]
        for part in range(2):
            x = [each.reshape(len(each), 2, -1)[:, part] for each in inputs]
            grams = [each.T @ each / len(each) for each in x]
            outs = slice(2 * part, 2 * part + 2)
            expected = np.linalg.solve(sum(grams), sum(g @ w[:, outs] for g, w in zip(grams, weights, strict=True)))
            close(layer_of(models, found, "blocks.0", bias=False)[:, outs].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_regmean_is_the_mean_where_inputs_are_the_same_and_regmean_plus_is_so_everywhere() -> None:
    models, groups = models_to_merge(3, parts=(None,)), [[0, 1, 2]]
    mean, plain = models.weights.mean(0), merged("regmean-full", models, groups)[0]
    first, *_, last = inputs_and_outputs(models, 0, images_of(models, 0).images)[0]
    close(layer_of(models, plain, first), layer_of(models, mean, first), rtol=1e-4, atol=1e-5)
    assert float((layer_of(models, plain, last) - layer_of(models, mean, last)).abs().max()) > 0.01
    close(merged("regmean_plus", models, groups)[0], mean, rtol=1e-4, atol=1e-5)
    halves = models_to_merge(3)
    assert float((merged("regmean_plus", halves, groups)[0] - mean).abs().max()) > 0.01


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("name", ["matched_average", "regmean-matched", "fisher-matched", "pleas", "repair"])
def test_a_model_and_a_copy_with_its_units_in_another_order_are_merged_exactly_after_matching(
    name: str, activation: str
) -> None:
    models = models_to_merge(2, activation=activation, parts=(None,))
    index, factor = random_symmetries(models.layout, groups_of(models), 1, torch.Generator().manual_seed(3))
    models = models.with_weights(torch.stack([models.weights[0], models.weights[0, index[0]] * factor[0]]))
    expected = answers(models, models.weights[:1])
    close(answers(models, models.weights[1:]), expected, rtol=1e-3, atol=1e-4)
    close(answers(models, merged(name, models, [[0, 1]])), expected, rtol=1e-3, atol=1e-3)
    assert float((answers(models, merged("regmean", models, [[0, 1]])) - expected).abs().max()) > 0.01


def test_pleas_fits_each_layer_to_the_means_of_inputs_and_outputs_on_the_images_of_both() -> None:
    models = models_to_merge(2)
    found = merged("pleas-unmatched", models, [[0, 1]])[0]
    shown = torch.cat([images_of(models, row).images for row in range(2)])
    (x, o), (y, p) = (inputs_and_outputs(models, row, shown) for row in range(2))
    for layer in x:
        mean = with_one((x[layer] + y[layer]) / 2)
        target = (o[layer] + p[layer]) / 2
        least = np.linalg.lstsq(mean, target, rcond=None)[0]
        close(mean @ layer_of(models, found, layer).numpy(), mean @ least, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("classes", ["expected", "predicted", "true"])
def test_fisher_means_are_weighted_by_squared_gradients_image_by_image(classes: str) -> None:
    models = models_to_merge(2)
    name = "empirical_fisher" if classes == "true" else "fisher"
    found = merged(name, models, [[0, 1]], classes=classes, images=5)[0]
    information = torch.zeros(2, models.layout.size, dtype=torch.float64)
    for row in range(2):
        module = runnable_module(models.table.iloc[row]).double()
        module.load_state_dict(models.layout.unflatten(models.weights[row]), strict=False)
        own = images_of(models, row).first(5)
        for image, label in zip(own.images.double().split(1), own.labels, strict=True):
            shares = module(image).softmax(1)[0].detach()
            if classes != "expected":
                shares = F.one_hot(label if classes == "true" else shares.argmax(), 10)
            for answer, share in enumerate(shares):
                module.zero_grad()
                module(image).log_softmax(1)[0, answer].backward()
                flat = torch.cat([each.grad.flatten() for each in module.parameters()])
                information[row] += share * flat**2 / 5
    weights = models.weights.double()
    expected = (information * weights).sum(0) / information.sum(0)
    known = information.sum(0) > 1e-6
    close(found[known].double(), expected[known], rtol=1e-3, atol=1e-4)
    assert known.float().mean() > 0.9


def test_repaired_units_have_the_mean_and_deviation_that_the_models_have_on_the_images_of_both() -> None:
    models = models_to_merge(3)
    shown = torch.cat([images_of(models, row).images for row in range(2)])
    weights = merged("repair", models, [[0, 1]], of="average")
    one, other = (inputs_and_outputs(models, row, shown)[1] for row in range(2))
    repaired = inputs_and_outputs(models.with_weights(weights.expand(3, -1)), 0, shown)[1]
    *hidden, last = repaired
    for layer in hidden:
        for statistic in (np.mean, np.std):
            wanted = (statistic(one[layer], axis=0) + statistic(other[layer], axis=0)) / 2
            close(statistic(repaired[layer], axis=0), wanted, rtol=1e-3, atol=1e-4)
    close(layer_of(models, weights[0], last), layer_of(models, models.weights[:2].mean(0), last))


def test_networks_with_batch_norm_are_not_repaired_since_their_statistics_are_measured_again() -> None:
    models = models_to_merge(2, "resnet18", "relu")
    assert torch.equal(merged("repair", models, [[0, 1]], of="average"), merged("average", models, [[0, 1]]))


def test_wudi_is_at_the_minimum_of_its_loss_and_one_task_vector_is_its_own() -> None:
    models = models_to_merge(3)
    base, vectors = models.weights[2], (models.weights[:2] - models.weights[2]).double()
    found = merged("wudi", models, [[0, 1]], base[None])[0] - base
    for entry in (entry for entry in models.layout if len(entry.shape) > 1):
        own = vectors[:, entry.span].view(2, entry.shape[0], -1)
        vector = found[entry.span].double().view_as(own[0]).requires_grad_()
        losses = ((vector - own) @ own.mT).square().sum((1, 2)) / own.square().sum((1, 2))
        (slope,) = torch.autograd.grad(losses.sum(), vector)
        assert float(slope.abs().max()) < 1e-4
    close(merged("wudi", models, [[0], [1]], base.expand(2, -1)), models.weights[:2], rtol=1e-4, atol=1e-5)


def test_ties_keeps_the_largest_weights_of_the_sign_that_wins() -> None:
    models = models_to_merge(4)
    base, vectors = models.weights[3], (models.weights[:3] - models.weights[3]).numpy()
    count = round(0.3 * models.layout.size)
    kept = np.zeros_like(vectors)
    for row in range(3):
        largest = np.argsort(-np.abs(vectors[row]))[:count]
        kept[row, largest] = vectors[row, largest]
    expected = np.zeros(models.layout.size)
    for place in range(models.layout.size):
        agreeing = [value for value in kept[:, place] if value * kept[:, place].sum() > 0]
        expected[place] = np.mean(agreeing) if agreeing else 0.0
    found = merged("ties", models, [[0, 1, 2]], base[None], keep=0.3)[0] - base
    close(found.numpy(), expected.astype(np.float32), rtol=1e-4, atol=1e-5)


def test_dare_drops_weights_at_random_and_keeps_the_sum_in_the_mean() -> None:
    models = models_to_merge(2)
    base = torch.zeros(1, models.layout.size)
    ones = models.with_weights(torch.ones_like(models.weights))
    found = merged("dare", ones, [[0, 1]], base, drop=0.75, scale=1.0)[0]
    assert set(found.tolist()) == {0.0, 4.0, 8.0}
    assert abs(float(found.mean()) - 2.0) < 0.3


def test_greedy_soups_are_those_of_a_loop() -> None:
    models, groups = models_to_merge(5), [[0, 1, 2], [2, 3, 4]]
    module = runnable_module(models.table.iloc[0])

    def accuracy(weights: Tensor) -> float:
        vals = [images_of(models, row, "val") for row in range(2)]
        return sum(float(accuracies(weights[None], models.layout, module, each)[0]) for each in vals) / 2

    for group, found in zip(groups, merged("greedy_soup", models, groups), strict=True):
        kept: list[int] = []
        for row in sorted(group, key=lambda row: -accuracy(models.weights[row])):
            bar = accuracy(models.weights[kept].mean(0)) if kept else 0.0
            if accuracy(models.weights[[*kept, row]].mean(0)) >= bar:
                kept.append(row)
        close(found, models.weights[kept].mean(0), rtol=1e-4, atol=1e-5)


def test_what_makes_no_sense_is_refused() -> None:
    models = models_to_merge(2)
    with pytest.raises(InapplicableError, match="all models of a group were trained from"):
        merged("ties", models, [[0, 1]])
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: get_method("regmean").config(None, {"alpha": 1.5}), "alpha was given as 1.5"),
        (lambda: get_method("ties").config(None, {"keep": 2.0}), "share to keep was given as 2.0"),
        (lambda: merged("repair", models, [[0, 1]], of="repair"), "'repair' was given to be repaired"),
        (lambda: merged("repair", models, [[0, 1]], of="pca"), "'pca' was given to be repaired"),
        (lambda: merged("repair", models, [[0, 1]], of="pleas"), "asked for images"),
    ]
    for make, reason in refused:
        with pytest.raises(InputError, match=reason):
            make()


def test_models_of_other_parts_are_run_on_their_own_images() -> None:
    models = models_to_merge(2)
    table = models.table.assign(data_part=list(reversed(HALVES)))
    swapped = Population.of(models.name, models.tokenizer, models.weights, pd.DataFrame(table))
    for name in ("regmean", "fisher", "regmean_plus"):
        one, other = (merged(name, each, [[0, 1]]) for each in (models, swapped))
        assert float((one - other).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["average", "regmean", "regmean_plus", "pleas"])
def test_a_model_that_is_not_finite_spoils_its_own_group_alone(name: str) -> None:
    models = models_to_merge(4)
    alone = merged(name, models, [[0, 1]])[0]
    models.weights[3] = torch.nan
    found = merged(name, models, [[0, 1], [2, 3]])
    close(found[0], alone, rtol=1e-4, atol=1e-5)
    assert not found[1].isfinite().all()
