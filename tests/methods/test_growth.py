"""Growth: what is to keep the function keeps it, operators contain one another, and what cannot be grown is refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
from helpers.flat_models import flat, outputs, randomised
from helpers.groups import MadeUpImages
from torch import Tensor

from zoo_generation.networks.architectures import architecture_names, get_architecture
from zoo_generation.networks.registry import ACTIVATIONS
from zoobench.methods.granting import granted
from zoobench.methods.growth.copying import copies, with_identities
from zoobench.methods.growth.enlargement import Enlargement
from zoobench.methods.growth.ligo import linear_growth, with_unit
from zoobench.methods.growth.linear import chosen, interleaving, stacking, widened
from zoobench.methods.growth.mango import ring_growth
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.registry import GROWERS, get_method
from zoobench.populations import Access, Population, Tokenizer
from zoobench.populations.target import Target

WIDTHS = {"mlp": 0.0625, "small_cnn": 0.25, "resnet10": 0.0625, "resnet18": 0.0625}
CHAIN = "wild_cnn-6x3r-6x3r"


def small(architecture: str, activation: str = "relu", models: int = 2, **columns: Any) -> Population:
    """Models of random weights and statistics, of float64."""
    width = WIDTHS.get(architecture, 1.0)
    size = get_architecture(architecture).image_size
    built = get_architecture(architecture).build(
        channels=1, classes=10, activation=activation, dropout=0.0, width=width
    )
    weights = torch.stack([flat(randomised(built, seed))[1] for seed in range(models)])
    row = {"dataset": "digits", "train_images": 300, "architecture": architecture, "width": width, "image_size": size}
    row |= {"activation": activation, "channels": 1, "classes": 10, "split": "test", "init": "kaiming_uniform"}
    row["data_part"] = None
    layout = get_architecture(architecture).layout(1, 10, width)
    found = Population.of(architecture, Tokenizer.of(layout, 288), weights, pd.DataFrame([row | columns] * models))
    found.__dict__["weights"] = weights  # not rounded to float32
    return found


def computed(target: Target, state: dict[str, Tensor], model: int) -> Tensor:
    """Outputs of a model in evaluation, in float64."""
    module, layout = target.module().double(), target.layout
    weights = torch.cat([state[entry.name][model].flatten() for entry in layout])
    size = int(target.row["image_size"])
    return outputs(module, layout, weights, (int(target.row["channels"]), size, size))


def assert_kept(plan: Enlargement, state: dict[str, Tensor]) -> None:
    for model in range(len(plan.small)):
        before = computed(Target.enlarged(plan.small, None, None), plan.state, model)
        assert before.std() > 0
        torch.testing.assert_close(computed(plan.large, state, model), before, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shares", ["even", "uneven"])
@pytest.mark.parametrize("activation", ACTIVATIONS.names())
@pytest.mark.parametrize("name", architecture_names())
def test_net2wider_keeps_the_function(name: str, activation: str, shares: Any) -> None:
    models = small(name, activation, 1 if name.startswith("resnet") else 2)
    plan = Enlargement.of(models, Target.enlarged(models, None, 2.5 * WIDTHS.get(name, 1.0)))
    assert plan.widens and not plan.deepens
    generator = torch.Generator().manual_seed(0)
    state = widened(plan.state, plan, *copies(plan, generator, shares))
    assert {entry.name: tuple(state[entry.name].shape[1:]) for entry in plan.large.layout} == plan.large.layout.shapes
    assert_kept(plan, state)


@pytest.mark.parametrize("activation", ACTIVATIONS.names())
@pytest.mark.parametrize(
    ("name", "deeper"), [("isocnn_2", "isocnn_4"), ("resnet10", "resnet18"), (CHAIN, CHAIN + "-6x3r-6x3r")]
)
def test_net2deeper_keeps_the_function_or_is_refused(name: str, deeper: str, activation: str) -> None:
    """What passes an activation again is the same with relu alone; a stream of residual blocks passes none."""
    models = small(name, activation, 1)
    target = Target.enlarged(models, deeper, None)
    plan = Enlargement.of(models, target)
    assert plan.deepens and not plan.widens
    if name == "resnet10" and activation != "relu":
        with pytest.raises(InapplicableError, match=f"with {activation} those of resnet18 do"):
            get_method("net2net").fit(None, 0, None).grow(models, target, 0)
        return
    state = with_identities(plan.state, plan, 0)
    assert_kept(plan, {key: value.double() for key, value in state.items()})
    wider = Target.enlarged(models, deeper, None if name == CHAIN else 2.4 * WIDTHS.get(name, 1.0))
    both = Enlargement.of(models, wider)
    wide = widened(both.state, both, *copies(both, torch.Generator()))
    assert_kept(both, {key: value.double() for key, value in with_identities(wide, both, 0).items()})


def test_ligo_with_copies_for_operators_is_net2wider() -> None:
    for name in ("cnn_s", "isocnn_2"):
        models = small(name)
        plan = Enlargement.of(models, Target.enlarged(models, None, 2.0))
        writes, reads = copies(plan, torch.Generator().manual_seed(3))
        rows = [matrix[:, group.size :] for matrix, group in zip(writes, plan.groups, strict=True)]
        counts = [matrix.sum(1, keepdim=True) for matrix in writes]
        divided = [matrix / count for matrix, count in zip(writes, counts, strict=True)]
        grown = linear_growth(plan, list(map(with_unit, rows)), divided, [], {})
        expected = widened(plan.state, plan, writes, reads)
        for key, value in expected.items():
            torch.testing.assert_close(grown[key], value, rtol=1e-10, atol=1e-12)
        assert_kept(plan, grown)


def test_mango_of_rank_one_is_ligo_with_shared_operators() -> None:
    models = small("isocnn_2")
    plan = Enlargement.of(models, Target.enlarged(models, "isocnn_4", 1.5))
    random = torch.Generator().manual_seed(0)
    outputs_, inputs = (torch.randn(2, 12, 8, generator=random, dtype=torch.float64) for _ in range(2))
    shares = torch.randn(2, 4, 2, generator=random, dtype=torch.float64)
    unit = torch.eye(18, dtype=torch.float64).expand(2, -1, -1)
    ring = {"matrices": unit, "outputs": outputs_, "layers": shares, "inputs": inputs}
    found = ring_growth(plan, {name: value[:, None, None] for name, value in ring.items()})
    (layers,) = plan.alike("ligo")
    mixing = {layers.container + suffix: shares for suffix in layers.suffixes}
    groups = len(plan.groups)
    expected = linear_growth(plan, [outputs_] * groups, [inputs] * groups, [layers], mixing)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-10, atol=1e-10)


def test_a_ring_is_its_sum_over_all_connections() -> None:
    """Rank two, against the sum term by term."""
    models = small("isocnn_2", models=1)
    plan = Enlargement.of(models, Target.enlarged(models, "isocnn_4", 1.5))
    shapes = {"matrices": (18, 18), "outputs": (12, 8), "layers": (4, 2), "inputs": (12, 8)}
    random = torch.Generator().manual_seed(1)
    ring = {name: torch.randn(1, 2, 2, *shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()}
    found = ring_growth(plan, ring)
    names = [f"blocks.{{}}.conv{n}.weight" for n in (1, 2)]
    small_weights = torch.stack(
        [torch.stack([plan.state[name.format(layer)][0].flatten(2) for layer in (0, 1)]) for name in names]
    )  # [2, layers, outputs, inputs, 9]
    weights = small_weights.permute(0, 4, 2, 1, 3).flatten(0, 1)
    operator = torch.einsum(
        "rsab,stqo,tukl,urij->aqkibolj", *(ring[name][0] for name in ("matrices", "outputs", "layers", "inputs"))
    )
    expected = torch.einsum("aqkibolj,bolj->aqki", operator, weights)
    for layer in range(4):
        for n, name in enumerate(names):
            mine = expected[9 * n : 9 * n + 9, :, layer].permute(1, 2, 0)
            torch.testing.assert_close(found[name.format(layer)][0].flatten(2), mine, rtol=1e-9, atol=1e-9)


def test_layers_are_copies_in_their_order() -> None:
    models = small("isocnn_2", models=1)
    plan = Enlargement.of(models, Target.enlarged(models, "isocnn_4", None))
    (layers,) = plan.alike("stack")
    for name, sources, places in (("stack", stacking, [0, 1, 0, 1]), ("interleave", interleaving, [0, 0, 1, 1])):
        assert sources([layers]) == [places]
        grown = get_method(name).fit(None, 0, None).grow(models, plan.large, 0).weights
        state = plan.large.layout.unflatten(grown)
        for number, place in enumerate(places):
            own = plan.state[f"blocks.{place}.conv2.weight"].float()
            assert torch.equal(state[f"blocks.{number}.conv2.weight"], own)
    assert set(chosen([layers], [[0, 0, 0, 0]])) == {f"blocks.{suffix}" for suffix in layers.suffixes}


def test_aki_takes_new_units_from_the_next_layer() -> None:
    """The first block's from the second's, with inputs divided as in Net2Wider; the last block's are its own."""
    models = small("isocnn_2", models=1)
    target = Target.enlarged(models, None, 2.0)
    grown = target.layout.unflatten(get_method("aki").fit(None, 0, None).grow(models, target, 5).weights)
    plan = Enlargement.of(models, target)
    writes, reads = copies(plan, torch.Generator().manual_seed(5))
    for block, source in ((0, 1), (1, 1)):
        name = f"blocks.{block}.conv1.weight"
        places = {(axis.entry, axis.reads): place for place, group in enumerate(plan.groups) for axis in group.axes}
        origin, divided = writes[places[name, False]][0, 8:], reads[places[name, True]][0]
        theirs = plan.state[f"blocks.{source}.conv1.weight"][0]
        expected = torch.einsum("no,oikl,ji->njkl", origin, theirs, divided).float()
        torch.testing.assert_close(grown[name][0, 8:], expected, rtol=1e-5, atol=1e-6)
        own = torch.einsum("oikl,ji->ojkl", plan.state[name][0], divided).float()
        torch.testing.assert_close(grown[name][0, :8], own, rtol=1e-5, atol=1e-6)


def test_padding_keeps_the_small_weights_in_a_corner() -> None:
    models = small("cnn_s")
    target = Target.enlarged(models, None, 2.0)
    grown = get_method("random_padding").fit(None, 0, None).grow(models, target, 1).weights
    state, new = target.layout.unflatten(grown), target.layout.unflatten(target.new_models(2, 1))
    hidden = state["module_list.9.weight"]
    assert torch.equal(hidden[:, :20, :36], models.layout.unflatten(models.weights)["module_list.9.weight"].float())
    assert torch.equal(hidden[:, 20:], new["module_list.9.weight"][:, 20:])
    assert torch.equal(
        get_method("scratch").fit(None, 0, None).grow(models, target, 1).weights, target.new_models(2, 1)
    )


@pytest.mark.parametrize(
    ("method", "name", "deeper", "width", "sentence"),
    [
        ("mango", "cnn_s", None, 2.0, "mango makes one tensor of the weights of all layers"),
        ("mango", "resnet10", "resnet18", None, "mango makes one tensor"),
        ("aki", "cnn_s", None, 2.0, "which needs more units, and two layers of one shape; cnn_s"),
        ("stack", "cnn_s", None, 2.0, "the large network has no more of them"),
        ("stack", "resnet10", "resnet18", None, "'layer2.\\*' of resnet18 are of several shapes"),
        ("ligo", "resnet10", "resnet18", None, "are of several shapes"),
        ("net2net", "cnn_s", "cnn_m", None, "'cnn_m' has no 'module_list.0.weight' of the small models' shape"),
        ("net2net", "cnn_s", None, 0.5, "fewer units than the small models"),
    ],
)
def test_what_cannot_be_grown_is_refused(
    method: str, name: str, deeper: str | None, width: float | None, sentence: str
) -> None:
    models = small(name, models=1)
    shown = granted(get_method(method), models, Access.LABELS, MadeUpImages())
    target = Target.enlarged(models, deeper, width)
    with pytest.raises(InapplicableError, match=sentence):
        get_method(method).fit(None, 0, None).grow(shown, target, 0)


@pytest.mark.parametrize("method", GROWERS)
def test_every_grower_gives_large_models_and_the_same_again(method: str) -> None:
    made = get_method(method)
    models = granted(made, small("isocnn_2", init="uniform"), Access.LABELS, MadeUpImages())
    target = Target.enlarged(models, "isocnn_4", 1.5)
    fitted = made.fit(None, 0, made.config(None, {"steps": 2} if made.access else {}))
    one, other = (fitted.grow(models, target, 1) for _ in range(2))
    assert one.weights.shape == (2, target.layout.size) and bool(one.weights.isfinite().all())
    assert torch.equal(one.weights, other.weights) and len(one) == 2
    assert (float(torch.as_tensor(one.gigaflops).max()) > 0) == bool(made.access)
    assert not torch.equal(one.weights, fitted.grow(models, target, 2).weights)
