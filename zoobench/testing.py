"""Hold a method to its contract: `check_method`, for the tests of a package that brings one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoo_generation.networks.architectures import get_architecture
from zoobench.methods.granting import granted
from zoobench.methods.method import Method
from zoobench.methods.protocols import (
    Attributor,
    Embedder,
    Extractor,
    Generator,
    Grower,
    InapplicableError,
    LayerEmbedder,
    MembershipReader,
    Merger,
    Predictor,
    Reconstructor,
    TablePredictor,
    Tracer,
    Transferrer,
    ValueLearner,
)
from zoobench.methods.registry import checked
from zoobench.methods.victims import Victims
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.populations.planes import layout_like
from zoobench.populations.target import Target

TOKEN_SIZE = 288
MODELS, EPOCHS, DRAWN, IMAGES = 12, 2, 3, 300
NARROW = 1 / 64  # width of networks of which methods may solve for all weights at once
TRAINED = ("dataset", "activation", "optimizer", "epoch", "split")
"""Columns that the check shows to a `TablePredictor`."""


class ContractError(AssertionError):
    """A method does not keep the contract; the message says which part, in one sentence."""


def check_method(method: Method, *, preset: str | None = None, **settings: Any) -> None:
    """Raise `ContractError` unless the method keeps the contract of `docs/your-method.md`, on made-up models in memory.

    It is fitted twice with one seed, saved, loaded, and asked for all that its class has: shapes and types are right;
    the same seed gives the same; what was loaded gives what was saved; the order of checkpoints, and copies among them,
    change nothing in their rows; nothing is given for another number of checkpoints; no data is asked for beyond its
    `access`, and never test images. preset, settings: the configuration, which should be a quick one.

    >>> from zoobench.methods.registry import get_method
    >>> check_method(get_method("layer_statistics"))
    """
    try:
        checked(method.name, method)
    except InputError as error:
        raise ContractError(f"the method '{method.name}' {error}") from None
    population = granted(method, made_up(), method.access, ImageStore())
    config = method.config(preset, settings)
    fitted = [_fit(method, config, population) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept"
        fitted[0].save(path)
        _require(path.is_dir(), "save() wrote no folder; write one, with whatever load() needs")
        loaded = method.load(path)
    answers = [_answers(each, population) for each in (*fitted, loaded)]
    for name, ask in answers[0].items():
        first = ask()
        _require(_same(first, ask()), f"{name} gives another answer when it is asked again; draw from the seed only")
        _require(
            _same(first, answers[1][name]()),
            f"{name} gives another answer after a second fit with the same seed; draw from the seed only",
        )
        _require(
            _same(first, answers[2][name]()),
            f"{name} gives another answer after load() than before save(); save all that it depends on",
        )
    _check_rows(fitted[0], population)


def made_up(seed: int = 0, width: float = 0.125) -> Population:
    """Checkpoints of small networks for the bundled digits, with made-up measurements: nothing was trained."""
    random = np.random.default_rng(seed)
    layout = get_architecture("mlp").layout(1, 10, width)
    count = MODELS * EPOCHS
    model = np.repeat(np.arange(MODELS), EPOCHS)
    shared = {"dataset": "digits", "architecture": "mlp", "width": width, "image_size": 28}
    shared |= {"train_images": IMAGES, "data_part": None}
    same = {"channels": 1, "classes": 10, "init": "kaiming_uniform", "optimizer": "adam", "weight_decay": 0.0}
    columns = {
        "model_id": [f"{number:016x}" for number in model],
        "epoch": np.tile(np.arange(1, EPOCHS + 1), MODELS),
        "activation": "relu",
        "learning_rate": np.where(model % 2, 0.001, 0.01),
        "seed": model,
        "subset_fraction": 0.5,
        "subset_seed": model,
        "split": np.array(["train", "train", "train", "val", "test", "test"])[model % 6],
    }
    measured = {f"{split}_{name}": random.random(count) for split in ("train", "val", "test") for name in METRICS}
    fixed = shared | same | {"dropout": 0.0, "batch_size": 32, "schedule": "constant", "epochs": EPOCHS}
    table = pd.DataFrame(columns | measured | {name: [value] * count for name, value in fixed.items()})
    table["test_accuracy"] = 0.5 + 0.1 * (model % 5)
    weights = torch.from_numpy(random.standard_normal((count, layout.size)).astype(np.float32)) * 0.1
    return Population.of("made-up", Tokenizer.of(layout, TOKEN_SIZE), weights, table)


METRICS = ("loss", "accuracy")


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ContractError(otherwise)


def _fit(method: Method, config: object, population: Population) -> Any:
    tokens = TokenSet(TOKEN_SIZE, (population.without("test"),))
    try:
        return method.fit(tokens, 3, config)
    except AccessError as error:
        raise ContractError(f"fit() asked for more than its Method declares: {error}") from error


def _answers(model: Any, population: Population) -> dict[str, Callable[[], Any]]:
    """What the model is asked, by name. Populations are given as tasks give them."""
    test, anchors = population.split("test"), population.split("train").alone().as_anchors()
    known, size = population.without("test"), population.layout.size
    asked: dict[str, Callable[[], Any]] = {}

    def matrix(name: str, ask: Callable[[], Any], *shape: int | range) -> None:
        asked[f"{name}()"] = lambda: _tensor(name, _honoured(name, ask), *shape)

    if isinstance(model, Embedder):
        matrix("embed", lambda: test.asked(model.embed), len(test), range(1, 2**40))
    if isinstance(model, LayerEmbedder):
        layers = len(population.tokenizer.layers)
        matrix("embed_layers", lambda: test.asked(model.embed_layers), len(test), layers, range(1, 2**40))
    if isinstance(model, Reconstructor):
        matrix("reconstruct", lambda: test.asked(model.reconstruct), len(test), size)
    if isinstance(model, Generator):
        matrix("generate", lambda: model.generate(anchors, DRAWN, 5), range(1, DRAWN + 1), size)
    if isinstance(model, Merger):
        pairs, bases = torch.arange(len(anchors) // 2 * 2).view(-1, 2), anchors.weights[: len(anchors) // 2]
        matrix("merge", lambda: model.merge(anchors, pairs, bases, 5), len(pairs), size)
    if isinstance(model, Transferrer):
        taught = torch.tensor([[1], [0], [1]])
        students = population.split("test").taken(torch.tensor([0, 2, 2]))
        teachers = [population.split("test").taken(torch.tensor([0, 2]))]
        matrix("transfer", lambda: model.transfer(students, teachers, taught, 5), len(taught), size)
    if isinstance(model, Grower):
        small = population.split("test").taken(torch.tensor([0, 2]))
        target = Target.enlarged(small, None, 0.25)
        matrix("grow", lambda: model.grow(small, target, 5).weights, len(small), target.layout.size)
    if isinstance(model, ValueLearner):
        both = layout_like(population.row).size
        learned = partial(_learned, model, population.split("test").taken(torch.tensor([0, 2])))
        matrix("learn", learned, 2, range(both, both + size + 1, size))
    if isinstance(model, Attributor):
        bank = replace(made_up(width=NARROW), granted=population.granted)
        shown = Images(torch.linspace(-1, 1, DRAWN * 28 * 28).view(DRAWN, 1, 28, 28), torch.arange(DRAWN))
        matrix("attribute", lambda: model.attribute(bank.without("test"), shown), DRAWN, IMAGES)
    if isinstance(model, MembershipReader):
        matrix("memberships", lambda: test.asked(partial(model.memberships, known=known)), len(test), IMAGES)
    if isinstance(model, Tracer):
        candidates = population.taken(torch.arange(3))
        matrix("trace", lambda: test.asked(partial(model.trace, candidates=candidates)), len(test), len(candidates))
    if isinstance(model, Extractor):
        given = population.split("train").taken(torch.arange(len(test)))
        matrix("extract", lambda: model.extract(Victims(test, "probabilities", 7), given, 5), len(test), size)
    if isinstance(model, Predictor):
        for name, values in _properties(known).items():
            asked[f"predict() of {name}"] = partial(_predicted, model, known, values, test)
    if isinstance(model, TablePredictor):
        for name, values in _properties(known).items():
            asked[f"predict_from() of {name}"] = partial(_predicted_from, model, known, values, test)
    return asked


def _learned(model: ValueLearner, bases: Population) -> Tensor:
    """Weights of what is added, and then of what is subtracted [bases, D' or D' + D]."""
    found = model.learn(bases, 5)
    return torch.cat([each for each in (found.added, found.subtracted) if each is not None], dim=1)


def _properties(known: Population) -> dict[str, Any]:
    table = known.table
    return {"numbers": table["test_accuracy"].to_numpy(float), "classes": table["learning_rate"].to_numpy().astype(str)}


def _predicted(model: Predictor, known: Population, values: Any, test: Population) -> Any:
    ask: Callable[[Population], Any] = lambda asked: model.predict([known.known()], values, asked)  # noqa: E731
    return _of_kind("predict", _honoured("predict", lambda: test.asked(ask)), values, len(test))


def _predicted_from(model: TablePredictor, known: Population, values: Any, test: Population) -> Any:
    ask = partial(model.predict_from, known.table[list(TRAINED)], values, test.table[list(TRAINED)])
    return _of_kind("predict_from", _honoured("predict_from", ask), values, len(test))


def _of_kind(name: str, found: Any, values: Any, count: int) -> Any:
    """The answer, if it is a value for each checkpoint, of the kind of the given ones. None: it does not apply here."""
    if found is None:
        return None
    _require(isinstance(found, np.ndarray), f"{name}() gave a {type(found).__name__}; let it give a NumPy array")
    _require(found.shape == (count,), f"{name}() gave shape {found.shape} for {count} checkpoints")
    kinds = {"f": "f", "U": "U"}
    _require(found.dtype.kind == kinds[values.dtype.kind], f"{name}() gave another kind than the values it was given")
    return found


def _honoured(name: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AccessError as error:
        raise ContractError(f"{name}() asked for more than its Method declares: {error}") from error
    except InapplicableError:
        return None
    except InputError as error:
        raise ContractError(f"{name}(): {error}") from error
    except (AttributeError, KeyError) as error:
        column = error.name if isinstance(error, AttributeError) else error.args[0]
        if column not in made_up().table:
            raise
        raise ContractError(
            f"{name}() reads the column '{column}', which tasks hide from methods that they ask; read it in fit() alone"
        ) from error


def _tensor(name: str, found: Any, *shape: int | range) -> Tensor | None:
    """The answer, if it is float32 of the shape. None: it does not apply here."""
    if found is None:
        return None
    _require(isinstance(found, Tensor), f"{name}() gave a {type(found).__name__}; let it give a torch tensor")
    _require(found.dtype == torch.float32, f"{name}() gave {found.dtype}; let it give torch.float32")
    here = found.device.type == "cpu" or name == "generate"  # generated models are evaluated where they are
    _require(here, f"{name}() gave a tensor on {found.device}; let it give one on the CPU")
    fits = len(shape) == found.dim() and all(
        size in wanted if isinstance(wanted, range) else size == wanted
        for size, wanted in zip(found.shape, shape, strict=True)
    )
    words = ", ".join("any" if isinstance(each, range) and len(each) > 99 else str(each) for each in shape)
    _require(fits, f"{name}() gave shape {tuple(found.shape)}, and is to give ({words})")
    assert isinstance(found, Tensor)
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return np.array_equal(one, other) if one is not None and other is not None else one is other


def _check_rows(model: Any, population: Population) -> None:
    """A row of an answer depends on the row's weights, and not on which other checkpoints stand where."""
    blind = population.split("test").blind()
    rows = np.arange(len(blind))
    other = blind.rows.select(torch.from_numpy(np.concatenate([rows[::-1], rows[:2]])))
    order = torch.from_numpy(np.concatenate([rows[::-1], rows[:2]]).copy())
    table = blind.table.iloc[order.numpy()].reset_index(drop=True)
    turned = replace(Population.of(blind.name, blind.tokenizer, other.dense().float(), table), granted=blind.granted)
    names = [name for name, kind in ROWWISE.items() if isinstance(model, kind)]
    for name in names:
        ask = getattr(model, name)
        one, two = _honoured(name, partial(ask, blind)), _honoured(name, partial(ask, turned))
        if one is not None and two is not None:
            close = len(two) == len(order) and torch.allclose(one[order], two, rtol=1e-3, atol=1e-4)
            _require(close, f"{name}() gives a checkpoint another row when others stand beside it, or in another order")


ROWWISE: dict[str, type] = {"embed": Embedder, "embed_layers": LayerEmbedder}
"""Not `reconstruct`: what is not a token may be the mean of the checkpoints, as in SANE."""
