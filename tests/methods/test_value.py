"""Methods of value: what they train against a plain loop, and what adds nothing changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.module import Network
from zoobench.methods.descent import batches_of
from zoobench.methods.granting import granted
from zoobench.methods.registry import VALUE, get_method
from zoobench.methods.value import CascadeValue, LogitEnsemble, ProxyTuning, ResidualValue, ValueAlone, learning
from zoobench.populations import Access, Population, Tokenizer, TokenSet
from zoobench.populations.logits import logits_of
from zoobench.populations.planes import alone, idle, layout_like, seeing, with_planes
from zoobench.tasks.answers import Weights
from zoobench.tasks.value import SUBTRACTED, PluggedNetworks
from zoobench.testing import check_method, made_up

FEW = {"epochs": 1, "batch_size": 32, "learning_rate": 0.01}


def bases(activations: tuple[str, ...] = ("relu",)) -> Population:
    """Four models, with these activations in turn, as a task gives them to a method: 300 inverted digits to learn."""
    population = made_up().split("train").taken(torch.arange(4) * 2).onto("digits+inverted", 300)
    population.table["activation"] = [activations[row % len(activations)] for row in range(4)]
    return granted(get_method("residual_value"), population, Access.LABELS, ImageStore())


def trained_plainly(population: Population, number: int, known: Tensor, planes: bool, norm: float) -> Tensor:
    """Flat weights of one network after the same training: its module, PyTorch's optimizer, and the words of the
    paper. known: the base's logits [images, classes]."""
    channels = 11 if planes else 1
    module = Network("mlp", channels, 10, "relu", 0.0, 0.125).build(learning.SEEDS * 5 + number, learning.INIT)
    data, optimizer = population.evidence.labelled("train"), torch.optim.Adam(module.parameters(), 0.01)
    batches = batches_of(len(data.labels), 32, 5)
    for chosen in (next(batches) for _ in range(10)):
        images = data.images[chosen]
        if planes:
            beside = known[chosen].softmax(1)[:, :, None, None].expand(-1, -1, 28, 28)
            images = torch.cat([images, beside], 1)
        own = module(images)
        loss = F.cross_entropy(own + known[chosen], data.labels[chosen]) + norm * own.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layout_like(population.row, planes).flatten(module.state_dict()).detach()


@pytest.mark.parametrize("planes", [False, True])
def test_networks_are_trained_as_by_the_plain_loop(planes: bool) -> None:
    population = bases()
    kind = CascadeValue if planes else ResidualValue
    found = kind(**FEW, norm=0.5, start="fresh").learn(population, 5).added
    known = logits_of(population, population.evidence.images("train"))
    for number in (0, 3):
        expected = trained_plainly(population, number, known[number], planes, 0.5)
        expected = expected if planes else idle(expected[None], population.row)[0]
        torch.testing.assert_close(found[number], expected, rtol=1e-3, atol=1e-4)


def test_beside_a_base_that_knows_nothing_it_is_plain_training() -> None:
    population = bases()
    nothing = population.with_weights(torch.zeros_like(population.weights))
    found = ResidualValue(**FEW, norm=0.0, start="fresh").learn(nothing, 5).added
    assert torch.equal(found, ValueAlone(**FEW).learn(population, 5).added)


def test_a_constant_that_is_added_to_all_logits_changes_nothing() -> None:
    population = bases()
    bias = next(entry for entry in reversed(population.layout.entries) if entry.name.endswith("bias"))
    weights = population.weights.clone()
    weights[:, bias.span] += 3.0
    shifted = population.with_weights(weights)
    for method in (ResidualValue(**FEW, start="fresh"), CascadeValue(**FEW, start="fresh", several=True)):
        one, other = (method.learn(each, 5).added for each in (population, shifted))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_proxy_tuning_adds_to_its_own_base_is_the_tuned_base() -> None:
    population = bases()
    found, tuned = ProxyTuning(**FEW).learn(population, 5), LogitEnsemble(**FEW).learn(population, 5).added
    assert torch.equal(found.added, tuned) and found.subtracted is population.weights
    images = population.evidence.images("val")
    expected = logits_of(population.with_weights(alone(tuned, population.row)[0]), images).double()
    networks = PluggedNetworks.of(Weights(found.added, beside={SUBTRACTED: found.subtracted}), population)
    for place, known in enumerate(logits_of(population, images)):
        own = torch.arange(4) == place
        added = networks.answers(images, known, own, "cpu")[0]
        torch.testing.assert_close(known + added, expected[place], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("architecture", "width"), [("mlp", 0.125), ("cnn_s", 1.0), ("resnet18", 0.03)])
def test_networks_that_read_no_planes_compute_the_same(architecture: str, width: float) -> None:
    population = made_up().taken(torch.arange(3))
    row = population.row.copy()
    row["architecture"], row["width"], row["image_size"] = architecture, width, 28
    layout = layout_like(row, planes=False)
    random = torch.Generator().manual_seed(0)
    weights = torch.rand(3, layout.size, generator=random) + 0.1
    padded = idle(weights, row)
    plain, unread = alone(padded, row)
    assert torch.equal(plain, weights) and unread.all()
    read = padded.clone()
    read[1] += 0.01
    assert alone(read, row)[1].tolist() == [True, False, True]
    images, logits = torch.randn(5, 1, 28, 28, generator=random), torch.randn(5, 10, generator=random)
    networks = population.with_weights(weights)
    networks.table[["architecture", "width", "image_size"]] = [architecture, width, 28]
    made = Population.of("plain", Tokenizer.of(layout), weights, networks.table)
    shown = with_planes(images, logits)
    assert shown.shape == (5, 11, 28, 28) and torch.equal(shown[2, 1:, 3, 4], logits[2].softmax(0))
    torch.testing.assert_close(logits_of(seeing(made, padded), shown), logits_of(made, images), rtol=1e-4, atol=1e-4)


def test_networks_do_not_depend_on_those_they_are_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if bases have several activations, which weights do not show, and bases are drawn among all."""
    population = bases(("relu", "tanh"))
    for method in (CascadeValue(**FEW, several=True), ProxyTuning(**FEW)):
        together = method.learn(population, 5).added
        monkeypatch.setattr(learning, "AT_ONCE", 1)
        torch.testing.assert_close(together, method.learn(population, 5).added, rtol=1e-3, atol=1e-4)
        monkeypatch.undo()


def test_a_base_that_is_drawn_among_all_is_not_its_own() -> None:
    population = bases()
    random = torch.Generator().manual_seed(0)
    changed = torch.cat([population.weights[:1], torch.randn(3, population.layout.size, generator=random)])
    other = population.with_weights(changed)
    for several in (False, True):
        method = ResidualValue(**FEW, several=several, start="fresh")
        one, two = (method.learn(each, 5).added[0] for each in (population, other))
        assert torch.allclose(one, two, atol=1e-4) != several


def test_logits_that_cost_stay_small() -> None:
    population = bases()
    images = population.evidence.images("val")

    def size(norm: float) -> float:
        added = ResidualValue(**FEW, norm=norm).learn(population, 5).added
        return float(logits_of(population.with_weights(alone(added, population.row)[0]), images).abs().mean())

    assert size(1.0) < size(0.1) < size(0.0)


def test_a_network_that_diverges_adds_nothing() -> None:
    added = ValueAlone(**FEW | {"learning_rate": 1e37}).learn(bases(), 5).added
    assert torch.equal(added, torch.zeros_like(added))


@pytest.mark.parametrize("name", [*VALUE, "residual_value-several"])
def test_methods_keep_the_contract(name: str) -> None:
    method = get_method(name)
    check_method(method, **({} if name == "zero_value" else FEW))
    config = method.config(None, {} if name == "zero_value" else FEW)
    found = method.fit(TokenSet(288, ()), 0, config).learn(bases(), 5)  # type: ignore[attr-defined]
    assert found.added.shape == (4, layout_like(bases().row).size) and bool(found.added.isfinite().all())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: ValueAlone(epochs=0), "1 or more epochs"),
        (lambda: ResidualValue(learning_rate=0), "a learning_rate above 0"),
        (lambda: CascadeValue(norm=-1), "norm is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make()
