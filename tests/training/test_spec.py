"""Specs expand as documented, and invalid ones give an error of one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_generation.errors import InputError
from zoo_generation.training.spec import ModelSpec, make_spec


@given(
    seeds=st.integers(1, 4),
    rates=st.lists(st.floats(1e-5, 1), min_size=1, max_size=3, unique=True),
    activations=st.sets(st.sampled_from(["tanh", "relu", "gelu", "sigmoid"]), min_size=1),
    fixed=st.booleans(),
)
def test_a_spec_is_a_grid(seeds: int, rates: list[float], activations: set[str], fixed: bool) -> None:
    spec = make_spec(
        {
            "datasets": ["digits", "glyphs"],
            "seeds": seeds,
            "learning_rate": rates,
            "activation": sorted(activations),
            "fixed_seeds": fixed,
        }
    )
    models = spec.models()
    assert len(models) == len({model.id for model in models}) == 2 * seeds * len(rates) * len(activations)
    assert len({model.seed for model in models}) == (seeds if fixed else len(models))
    assert [model.id for model in models] == [model.id for model in make_spec(spec.model_dump()).models()]


def test_width_is_varied_only_where_there_is_one() -> None:
    names = ["wild_cnn-8x3r", "resnet18"]
    spec = make_spec({"datasets": "digits", "architectures": names, "width": [0.25, 0.5], "seeds": 1})
    widths = [(model.architecture, model.width) for model in spec.models() if model.learning_rate == 1e-3]
    assert {("resnet18", 0.25), ("resnet18", 0.5)} < set(widths)
    assert {width for name, width in widths if name == "wild_cnn-8x3r"} == {1.0}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "the spec field 'datasets' is missing"),
        ({"datasets": "digits", "epoch": 3}, "unknown spec field 'epoch': did you mean 'epochs'"),
        ({"datasets": "digits", "epochs": "many"}, "'epochs' was given 'many'"),
        ({"datasets": "digits", "activation": ["tanh", "swish"]}, "'activation' was given 'swish'"),
        ({"datasets": "digits", "learning_rate": -1}, "'learning_rate' was given -1"),
        ({"datasets": "digits", "per_dataset": {"digits": {"seed": 1}}}, "per_dataset of 'digits' cannot set seed"),
        (
            {"datasets": "digits", "per_dataset": {"digits": {"dropout": 2}}},
            "per_dataset of 'digits': the spec field 'dropout' was given 2",
        ),
        ({"datasets": "digits", "epochs": 3, "checkpoint_epochs": [4]}, "checkpoint_epochs must name epochs from 0 to"),
        ({"datasets": "digits", "epochs": 3, "fork": {"after": [4]}}, "fork.after must name epochs from 0 to epochs=3"),
        ({"datasets": "digits", "fork": {"after": 1, "epoch": 1}}, "unknown spec field 'fork.epoch'"),
        (
            {"datasets": "digits", "fork": {"after": 1, "epochs": 2, "fork": {"after": 3}}},
            "fork.fork.after must name epochs from 0 to epochs=2",
        ),
        ({"datasets": "digits", "fork": {"after": []}}, "'fork.after' was given"),
        ({"datasets": "digits", "part": []}, "'part' was given"),
        ({"datasets": "digits", "part": "half"}, "'part' was given 'half': 'half' is not a part of a dataset"),
        ({"datasets": "digits", "part": ["iid-2-of-2"]}, "there is no part 2 of 2; they are counted from 0 to 1"),
        ({"datasets": "digits", "part": {"by": "skew", "of": 2, "number": 0, "share": 0.5}}, "between 1/2 and 1"),
        ({"datasets": "digits", "part": "iid-0-of-2-0.6"}, "only 'skew' takes a share"),
    ],
)
def test_a_bad_spec_is_told_in_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        make_spec(values)
    assert "\n" not in str(error.value)


@given(
    shared=st.fixed_dictionaries({"epochs": st.integers(1, 3), "dropout": st.sampled_from([0.0, 0.5])}),
    own=st.fixed_dictionaries(
        {},
        optional={
            "architectures": st.sampled_from(["cnn_m", "mlp"]),
            "learning_rate": st.lists(st.sampled_from([0.1, 0.2]), min_size=1, unique=True),
            "dropout": st.sampled_from([0.1, 0.2]),
            "epochs": st.integers(4, 5),
        },
    ),
    fixed=st.booleans(),
)
def test_what_a_dataset_sets_holds_for_it_alone(shared: dict[str, Any], own: dict[str, Any], fixed: bool) -> None:
    """Its models are those of a spec of its own, but for seeds, which run through all where they are not fixed."""
    base = {**shared, "seeds": 2, "fixed_seeds": fixed}
    both = make_spec({**base, "datasets": ["digits", "glyphs"], "per_dataset": {"glyphs": own}}).models()
    digits, glyphs = (
        make_spec({**base, **fields}).models() for fields in ({"datasets": "digits"}, {"datasets": "glyphs", **own})
    )
    alone = digits + glyphs
    assert [model.model_copy(update={"seed": 0}) for model in both] == [
        model.model_copy(update={"seed": 0}) for model in alone
    ]
    seeds = [model.seed for model in both]
    assert seeds == ([model.seed for model in alone] if fixed else list(range(len(both))))


def test_a_shared_order_is_part_of_the_id() -> None:
    own, shared = (make_spec({"datasets": "digits", "shared_order": value}).models() for value in (False, True))
    assert {model.order_seed for model in own} == {None} and {model.order_seed for model in shared} == {0}
    assert not {model.id for model in own} & {model.id for model in shared}


@given(
    parts=st.lists(st.sampled_from([None, "iid-0-of-2", "skew-1-of-3-0.5"]), min_size=1, unique=True),
    after=st.lists(st.integers(0, 3), min_size=1, unique=True),
    own=st.sampled_from([None, [None], ["classes-0-of-2", "classes-1-of-2"]]),
    again=st.integers(1, 3),
    modes=st.fixed_dictionaries({"fixed_seeds": st.booleans(), "shared_order": st.booleans()}),
)
def test_a_fork_makes_children_of_every_model(
    parts: list[str | None], after: list[int], own: list[str | None] | None, again: int, modes: dict[str, bool]
) -> None:
    base = {"datasets": ["digits", "glyphs"], "seeds": 2, "epochs": 3, "part": parts, **modes}
    fork = {"after": after, "part": own, "seeds": again, "epochs": 5, "checkpoint_epochs": [2]}
    spec = make_spec({**base, "fork": fork})
    models = {model.id: model for model in spec.models()}
    trunks = {name: model for name, model in models.items() if model.parent is None}
    alone = make_spec({**base, "checkpoint_epochs": sorted({1, 2, 3, *after})}).models()
    assert list(trunks) == [model.id for model in alone]
    children = [model for model in models.values() if model.parent]
    assert len(children) == len(trunks) * len(after) * len(own or (None,)) * again
    seeds = {model.seed for model in trunks.values()}
    for child in children:
        trunk = trunks[child.parent or ""]
        assert child.parent_epoch in after and child.parent_epoch in trunk.checkpoint_epochs
        assert child.part in (own or [trunk.part])
        differing = {"part", "parent", "parent_epoch", "epochs", "checkpoint_epochs", "seed", "order_seed"}
        assert child.model_dump(exclude=differing) == trunk.model_dump(exclude=differing)
        assert (child.epochs, child.checkpoint_epochs) == (5, (2,))
        assert child.seed not in seeds and (child.order_seed is None) == (trunk.order_seed is None)
    brothers = {(child.parent, child.parent_epoch, child.part, child.seed, child.order_seed) for child in children}
    assert len(brothers) == len(children)
    assert make_spec(spec.model_dump(mode="json")) == spec


def test_a_fork_of_a_fork_makes_grandchildren_and_is_counted() -> None:
    below = {"after": [1, 2], "learning_rate": [0.1, 0.2], "seeds": 2, "checkpoint_epochs": [2]}
    fork = {"after": [0, 3], "part": [None, "iid-0-of-2"], "seeds": 3, "epochs": 2, "fork": below}
    spec = make_spec({"datasets": "digits", "seeds": 2, "learning_rate": 0.3, "epochs": 3, "fork": fork})
    models = {model.id: model for model in spec.models()}
    depth = {name: sum(1 for _ in ancestors(model, models)) for name, model in models.items()}
    assert [list(depth.values()).count(each) for each in range(4)] == [2, 24, 192, 0]
    for name, model in models.items():
        if depth[name] == 2:
            parent = models[model.parent or ""]
            assert (model.part, model.epochs) == (parent.part, 2) and model.learning_rate in (0.1, 0.2)
            assert {1, 2} <= set(parent.checkpoint_epochs) and model.parent_epoch in (1, 2)
    seeds = [{model.seed for name, model in models.items() if depth[name] == each} for each in range(3)]
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2] and not seeds[0] & seeds[2]
    assert make_spec(spec.model_dump(mode="json")) == spec
    kept = sum(len(model.checkpoint_epochs) for model in models.values())
    assert spec._counts()[0] == len(models) and kept <= spec._counts()[1] <= 1.5 * kept


def ancestors(model: ModelSpec, models: dict[str, ModelSpec]) -> Iterator[ModelSpec]:
    while model.parent:
        model = models[model.parent]
        yield model


def test_models_on_other_parts_share_fixed_seeds() -> None:
    parts = [None, {"by": "skew", "of": 2, "number": 1}]
    models = make_spec({"datasets": "digits", "seeds": 3, "fixed_seeds": True, "learning_rate": 0.1, "part": parts})
    assert [(model.part, model.seed) for model in models.models()] == [
        (part, seed) for part in (None, "skew-1-of-2-0.8") for seed in range(3)
    ]


def test_channels_are_part_of_the_id_only_where_they_are_given() -> None:
    """And of the card, so that zoos from before there were any are those of the same spec."""
    own, grey = (make_spec({"datasets": "cifar10", **fields}) for fields in ({}, {"channels": 1}))
    assert own.models()[0].id == "3aecb99321e46fb1"
    assert not {model.id for model in own.models()} & {model.id for model in grey.models()}
    assert "channels" not in own.model_dump(mode="json") and grey.model_dump(mode="json")["channels"] == 1
    mixed = make_spec({"datasets": ["cifar10", "svhn"], "per_dataset": {"svhn": {"channels": 1}}})
    assert [model.channels for model in mixed.models()[:: len(mixed.models()) // 2]] == [None, 1]
    with pytest.raises(InputError, match="'channels' was given 2"):
        make_spec({"datasets": "cifar10", "channels": 2})
