"""Networks that read networks: what must not change their features, against slow obvious versions, and refusals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout, architecture_names, get_architecture
from zoo_generation.networks.module import build_module
from zoo_generation.networks.symmetry import Axis, Group, random_symmetries, symmetry_map
from zoo_generation.networks.symmetry.groups import of_kind
from zoobench.methods import InapplicableError
from zoobench.methods.learning import resume
from zoobench.methods.neural_graph.model import Round
from zoobench.methods.nfn import Nfn, NfnConfig
from zoobench.methods.nfn.model import Chain, EquivariantLayer
from zoobench.methods.probegen.answers import Answers
from zoobench.methods.protocols import Execution
from zoobench.methods.registry import get_method
from zoobench.methods.supervised import Targets, measured
from zoobench.methods.units import UnitGraph, graph_of, with_canonical_signs
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.probe import read_by

QUICK = {"steps": 3, "batch_size": 4}


def models(name: str, activation: str | list[str] = "tanh", width: float = 1.0, count: int = 6) -> Population:
    """Models with random weights of some spread, and measurements that are made up."""
    architecture, random = get_architecture(name), torch.Generator().manual_seed(0)
    layout = architecture.layout(1, 10, width)
    weights = torch.randn(count, layout.size, generator=random)
    for entry in layout:
        weights[:, entry.span] /= (max(1, entry.numel // entry.shape[0]) if len(entry.shape) > 1 else 9) ** 0.5
        if entry.name.endswith("running_var"):
            weights[:, entry.span] = weights[:, entry.span].abs() + 0.5
    row = {"dataset": "digits", "architecture": name, "width": width, "channels": 1, "classes": 10, "init": "normal"}
    fixed = {"image_size": architecture.image_size, "optimizer": "adam", "weight_decay": 0.0, "dropout": 0.0}
    table = pd.DataFrame([row | fixed | {"train_images": 300, "batch_size": 32, "seed": 0}] * count)
    table = table.assign(activation=activation, split=["train", "train", "val", "train", "train", "test"][:count])
    table = table.assign(model_id=[str(each) for each in range(count)], epoch=range(count), train_accuracy=0.9)
    table = table.assign(test_accuracy=[0.1 * each for each in range(count)], learning_rate=[0.1, 0.2] * (count // 2))
    return Population.of(name, Tokenizer.of(layout, 64), weights, table)


def fitted(name: str, *populations: Population, **settings: Any) -> Any:
    method = get_method(name)
    quick = {"probes": 3} if name == "random_probes" else QUICK | settings
    return method.fit(TokenSet(64, populations), 0, method.config(None, quick))


def moved(population: Population, index: Tensor, factor: Tensor) -> Population:
    return population.with_weights(population.weights.gather(1, index) * factor)


CASES = [
    ("neural_graph", "cnn_s", "tanh", 1.0),
    ("neural_graph", "mlp", "relu", 0.125),
    ("neural_graph", "resnet18", "tanh", 1 / 16),
    ("nfn", "cnn_l", "tanh", 1.0),
    ("nfn", "mlp", "relu", 0.125),
    ("probegen", "cnn_s", "tanh", 1.0),
    ("probegen", "resnet18", "relu", 1 / 32),
    ("random_probes", "cnn_l", "tanh", 1.0),
]


@pytest.mark.parametrize(("reader", "name", "activation", "width"), CASES)
def test_features_are_those_of_the_function(reader: str, name: str, activation: str, width: float) -> None:
    """The same for units in another order and with other signs; not for one layer's alone, which is another model."""
    population = models(name, activation, width, count=4)
    model, groups = fitted(reader, population), groups_of(population)
    index, factor = random_symmetries(population.layout, groups, 4, torch.Generator().manual_seed(1))
    features, same = model.embed(population), model.embed(moved(population, index, factor))
    bound = 1e-4 * features.norm(dim=1)
    assert ((features - same).norm(dim=1) < bound).all()

    group = of_kind(groups, "permutation")[-1]
    alone = Group("permutation", group.size, group.axes[:1])
    index, factor = symmetry_map(population.layout, [alone], [torch.arange(group.size).roll(1).expand(4, -1)])
    other = model.embed(moved(population, index, factor))
    assert ((features - other).norm(dim=1) > bound).all()


@pytest.mark.parametrize("name", architecture_names())
def test_a_graph_holds_every_weight_once(name: str) -> None:
    population = models(name, "relu", 0.125, count=2)
    graph = graph_of(population)
    flat = torch.arange(population.layout.size)[None] / population.layout.size
    of_edges = [each.weights(flat).sinh() / each.fan_in**0.5 for each in graph.edges]
    of_edges = [value.flatten() for value in of_edges]
    in_vectors = [entry.span for each in graph.vectors for entry, _ in filter(None, each.entries)]
    values = torch.cat([*of_edges, *(flat[0, span] for span in in_vectors)]).sort().values
    torch.testing.assert_close(values, flat[0], rtol=1e-4, atol=1e-6)
    sizes = {group.size for group in of_kind(groups_of(population), "permutation")}
    assert {each.size for each in graph.sets if not each.fixed} == sizes
    assert [graph.sets[number].size for number in graph.outputs] == [10]


def test_a_sign_is_chosen_by_the_bias_and_the_function_stays() -> None:
    population = models("cnn_s")
    chosen = with_canonical_signs(population)
    biases = chosen[:, population.layout["module_list.6.bias"].span]
    assert (biases >= 0).all() and (population.weights[:, population.layout["module_list.6.bias"].span] < 0).any()
    module, images = build_module(population.table.iloc[0]), torch.randn(3, 1, 28, 28)
    for one, other in zip(population.weights, chosen, strict=True):
        outputs = [functional_call(module, population.layout.unflatten(each), (images,)) for each in (one, other)]
        torch.testing.assert_close(*outputs)


def small_graph() -> tuple[UnitGraph, Layout]:
    """Two inputs, three hidden units, two outputs."""
    layout = Layout.of_shapes({"0.weight": (3, 2), "0.bias": (3,), "1.weight": (2, 3), "1.bias": (2,)})
    axes = (Axis("0.weight", 0), Axis("0.bias", 0), Axis("1.weight", 1, reads=True))
    return UnitGraph.of(layout, [Group("permutation", 3, axes)]), layout


def test_a_round_of_messages_is_one_unit_after_another() -> None:
    torch.manual_seed(0)
    graph, _ = small_graph()
    nodes = [torch.randn(1, each.size, 4) for each in graph.sets]
    edges = [torch.randn(1, graph.sets[e.target].size, graph.sets[e.source].size, 4) for e in graph.edges]
    one_round = Round(4)
    found, updated = one_round(graph, nodes, edges)
    for number, units in enumerate(graph.sets):
        for unit in range(units.size):
            sides: list[list[Tensor]] = [[], []]
            for each, edge, new in zip(graph.edges, edges, updated, strict=True):
                for target in range(edge.shape[1]):
                    for source in range(edge.shape[2]):
                        between = edge[0, target, source]
                        pair = one_round.source(nodes[each.source][0, source])
                        pair = pair + one_round.target(nodes[each.target][0, target])
                        scale, shift = one_round.film(between).chunk(2)
                        message = F.gelu((1 + scale) * pair + shift)
                        kept = one_round.edge_norm(between + one_round.edge(message))
                        torch.testing.assert_close(new[0, target, source], kept)
                        if (each.target, target) == (number, unit):
                            sides[0].append(message)
                        if (each.source, source) == (number, unit):
                            sides[1].append(message)
            own, seen = nodes[number][0, unit], []
            for messages in sides:
                all_of_them = torch.stack(messages) if messages else None
                if all_of_them is None:
                    seen += [torch.zeros(12)]
                else:
                    deviation = (all_of_them.var(0, correction=0) + 1e-5).sqrt()
                    seen += [all_of_them.mean(0), all_of_them.amax(0), deviation]
            expected = one_round.node_norm(own + one_round.node(torch.cat([own, *seen])))
            torch.testing.assert_close(found[number][0, unit], expected)


def test_an_equivariant_layer_permutes_with_its_input_and_nothing_more() -> None:
    """The outputs of permuted units are the permuted outputs; of units permuted in one layer alone they are others."""
    torch.manual_seed(0)
    sizes, order = (2, 3, 4), torch.tensor([2, 0, 1])
    weights = [torch.randn(1, out, into, 5) for into, out in pairwise(sizes)]
    biases = [torch.randn(1, out, 5) for out in sizes[1:]]
    layer = EquivariantLayer(2, 5, 6)

    def turned(parts: list[Tensor], others: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return [parts[0][:, order], parts[1][:, :, order]], [others[0][:, order], others[1]]

    expected = turned(*layer(weights, biases))
    torch.testing.assert_close(layer(*turned(weights, biases)), expected)
    half, _ = layer([weights[0][:, order], weights[1]], biases)
    assert not torch.allclose(half[0], expected[0][0], atol=1e-3)
    # Every weight's output depends on every weight: through means at least.
    for weight in weights:
        weight.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(weights, biases)[0][0][0, 0, 0, 0], weights[1])
    assert (gradient.abs().sum(-1) > 0).all()


def test_answers_and_their_gradients_are_those_of_the_modules() -> None:
    """Of models with two activations, in the order of the rows that are asked for."""
    population = models("cnn_s", ["tanh", "relu", "tanh", "relu", "tanh", "relu"])
    rows, probes = torch.tensor([4, 1, 0, 3]), torch.randn(5, 1, 28, 28, requires_grad=True)
    answers = Answers(population, "cpu", "probegen")(rows, probes)
    outputs = []
    for row in rows.tolist():
        module = build_module(population.table.iloc[row])
        outputs.append(functional_call(module, population.layout.unflatten(population.weights[row]), (probes,)))
    expected = torch.stack(outputs)
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-5)
    (found,), (slow,) = (torch.autograd.grad(each.square().sum(), probes) for each in (answers, expected))
    torch.testing.assert_close(found, slow, rtol=1e-3, atol=1e-4 * float(slow.abs().max()))


def test_a_batch_may_lack_an_activation() -> None:
    """With a stack and without one."""
    population, probes = models("cnn_s", ["tanh", "relu"] * 3), torch.randn(2, 1, 28, 28)
    answers = Answers(population, "cpu", "probegen")
    everything = answers(torch.arange(6), probes)
    for stack in (True, False):
        for network in answers.networks:
            network.program.stack = network.program.stack if stack else None
        for rows in (torch.tensor([2, 0]), torch.tensor([5])):
            torch.testing.assert_close(answers(rows, probes), everything[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reader", ["neural_graph", "nfn"])
def test_signs_are_those_of_a_fit_where_a_method_is_asked(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where tasks hide the activation, because it varies over the populations; and those that do not hide it."""
    seen: list[Tensor] = []

    def watched(population: Population) -> Tensor:
        seen.append(with_canonical_signs(population))
        return seen[-1]

    monkeypatch.setattr(f"zoobench.methods.{reader}.method.with_canonical_signs", watched)
    tanh, relu = models("cnn_s"), models("cnn_s", "relu")
    for others, hidden in (([], []), ([relu], ["activation"])):
        model = fitted(reader, tanh, *others)
        of_fit = seen[0]
        model.save(tmp_path / f"{len(others)}")
        for each in (model, get_method(reader).load(tmp_path / f"{len(others)}")):
            for shown in ([], hidden):
                tanh.asked(each.embed, shown)  # type: ignore[attr-defined]
                assert torch.equal(seen[-1][tanh.order[1]], of_fit)
        assert torch.equal(of_fit, tanh.weights) == bool(hidden)
        seen.clear()


def test_answers_to_other_noise_are_not_compared() -> None:
    small, large = models("cnn_s"), models("cnn_l")
    probes = get_method("random_probes").config(None, {"probes": 3})
    assert len(read_by(probes, [small.without("test")], small.split("test"), ["test_accuracy"]))  # type: ignore[arg-type]
    with pytest.raises(InapplicableError, match="this random_probes probes models that read 1×28×28 pixels"):
        read_by(probes, [small.without("test")], large.split("test"), ["test_accuracy"])  # type: ignore[arg-type]


def test_a_network_without_a_stack_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    population, probes = models("cnn_s"), torch.randn(2, 1, 28, 28)
    answers = Answers(population, "cpu", "probegen")
    stacked = answers(torch.arange(6), probes)
    for network in answers.networks:
        network.program.stack = None
    torch.testing.assert_close(answers(torch.arange(6), probes), stacked, rtol=1e-4, atol=1e-5)


def test_what_was_not_measured_teaches_nothing() -> None:
    table = models("cnn_s").table
    targets = Targets.of([table])
    numbers, classes = targets.values(table)
    assert targets.classes == {"learning_rate": ["0.1", "0.2"]} and targets.outputs == 3 + 2
    np.testing.assert_allclose(
        numbers.numpy() * measured(table).std(0) + measured(table).mean(0), measured(table), atol=1e-6
    )
    assert classes[:, 0].tolist() == [0, 1] * 3
    outputs = torch.randn(6, 5, requires_grad=True)
    gaps = table.assign(test_accuracy=[float("nan"), *table["test_accuracy"][1:]], learning_rate=0.7)
    loss = targets.loss(outputs, *targets.values(gaps))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.isfinite() and (gradient[0, :2] == 0).all() and (gradient[1:, :3] != 0).all()
    assert (gradient[:, 3:] == 0).all()  # a learning rate that no training model has


class StoppedError(Exception):
    pass


def test_an_interrupted_fit_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    monkeypatch.setattr("zoobench.methods.learning.training.REPORT_SECONDS", -1.0)
    tokens, config = TokenSet(64, (models("mlp", width=0.125), models("mlp", width=0.25))), NfnConfig(**QUICK)

    def stop(step: float, *_: object) -> None:
        if step == 2:
            raise StoppedError

    whole = Nfn.fit(tokens, 0, config)
    with pytest.raises(StoppedError):
        Nfn.fit(tokens, 0, config, Execution(scratch=tmp_path / "scratch", report=stop))
    again = Nfn.fit(tokens, 0, config, Execution(scratch=tmp_path / "scratch"))
    assert again.course is not None and whole.course is not None and again.course.steps == 3
    for population in tokens.populations:
        assert torch.equal(whole.embed(population), again.embed(population))
    pd.testing.assert_frame_equal(whole.course.curve, again.course.curve)


def test_what_they_cannot_read_they_refuse(tmp_path: Path) -> None:
    cnn, mlp, resnet = models("cnn_s"), models("mlp", width=0.125), models("resnet18", width=1 / 32)
    with pytest.raises(InapplicableError, match="have normalization, residual connections or other layers"):
        fitted("nfn", resnet)
    with pytest.raises(InapplicableError, match="fit it to one kind, or take neural_graph"):
        fitted("nfn", cnn, mlp)
    with pytest.raises(InapplicableError, match=r"has 5 × 5 weights between two units, .* at most 3 × 3"):
        fitted("neural_graph", resnet).embed(cnn)
    with pytest.raises(InapplicableError, match="join 350,752 pairs of units"):
        fitted("neural_graph", models("resnet18", width=0.5, count=2))
    with pytest.raises(InapplicableError, match="probes models that read 1×28×28 pixels to 10 classes"):
        fitted("probegen", cnn).embed(models("cnn_l"))
    with pytest.raises(InapplicableError, match="the activation of those of cnn_s is hidden"):
        cnn.asked(fitted("probegen", cnn).embed, hidden=["activation"])
    with pytest.raises(InputError, match="'probes' is 0"):
        get_method("random_probes").config(None, {"probes": 0})
    fitted("nfn", cnn).save(tmp_path / "nfn")
    (tmp_path / "nfn" / "network.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="fit it again"):
        Nfn.load(tmp_path / "nfn")


def test_widths_and_depths_may_differ_where_they_say_so() -> None:
    """A neural functional reads any widths, a graph network any architecture, in one fit."""
    narrow, wide = models("mlp", width=0.125), models("mlp", width=0.25)
    assert fitted("nfn", narrow, wide).embed(models("mlp", width=0.5)).shape == (6, 64)
    assert Chain.of(graph_of(narrow), "") == Chain.of(graph_of(wide), "")
    both = fitted("neural_graph", models("cnn_s"), models("resnet18", width=1 / 32))
    assert both.embed(models("cnn_m")).shape == (6, 32)
