"""Learned generators: their samplers, what they learn from, and the contract that all of them keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.symmetry import match_closest, random_symmetries
from zoobench.methods.course import Course
from zoobench.methods.granting import granted
from zoobench.methods.hyper_representation import method as hyper_representation
from zoobench.methods.learning import resume, training
from zoobench.methods.learning.diffusion import Field, Process, kept_noise, loss, sample
from zoobench.methods.learning.matched import Codes, Matched
from zoobench.methods.protocols import Execution, InapplicableError
from zoobench.methods.registry import get_method
from zoobench.methods.sane import canonical, distributed
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.populations.symmetries import groups_of
from zoobench.testing import MODELS, TOKEN_SIZE, check_method, made_up

DATASETS = {"steps": 4, "autoencoder_steps": 3, "encoder_steps": 3, "hidden": 6, "latent": 3, "width": 8, "code": 4} | {
    "set_images": 5,
    "sampling_steps": 3,
}
QUICK: dict[str, dict[str, Any]] = {
    "weight_flow": {"steps": 4, "width": 8, "components": 3, "sampling_steps": 2},
    "p_diff": {"steps": 4, "autoencoder_steps": 3, "hidden": 6, "latent": 3, "width": 8, "sampling_steps": 3},
    "hyper_representation": {"steps": 6, "width": 8, "heads": 2, "layers": 1, "latent": 3, "batch_size": 4},
    "sane_diffusion": {"steps": 4, "sane_steps": 3, "width": 8, "heads": 2, "layers": 1, "sampling_steps": 2},
    "d2nwg": DATASETS,
    "d2nwg_lite": DATASETS,
}
OTHERWISE: list[tuple[str, dict[str, Any]]] = [
    ("weight_flow", {"around": 0.5}),
    ("weight_flow", {"accuracy": True}),
    ("p_diff", {"around": 0.5}),
    ("sane_diffusion", {"process": "ddpm", "around": 0.9}),
    ("hyper_representation", {"permutations": 3, "source": "anchors"}),
]
AROUND = {"weight_flow": {"around": 0.999}, "p_diff": {"around": 0.999, "sampling_steps": 1}}
PROCESSES: tuple[Process, ...] = ("flow", "ddpm")
MEAN, DEVIATION = 0.7, 0.5  # of a Gaussian, whose best field is known in closed form


def tokens_of(population: Population) -> TokenSet:
    return TokenSet(TOKEN_SIZE, (population.without("test"),))


@pytest.mark.parametrize(("name", "settings"), [(name, {}) for name in QUICK] + OTHERWISE)
def test_the_contract_is_kept(name: str, settings: dict[str, Any]) -> None:
    check_method(get_method(name), **QUICK[name] | settings)


@pytest.mark.parametrize("name", QUICK)
def test_an_interrupted_fit_goes_on_as_if_it_had_not_been(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever of its stages it was interrupted."""
    method = get_method(name)
    tokens = tokens_of(granted(method, made_up(), method.access, ImageStore()))
    config = method.config(None, QUICK[name])
    method.fit(tokens, 1, config, Execution(device="cpu")).save(tmp_path / "whole")  # type: ignore[attr-defined]
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    monkeypatch.setattr(resume, "SECONDS", 0)
    monkeypatch.setattr(resume, "SHARE", float("inf"))
    calls: list[float] = []

    def report(step: float, *_: object) -> None:
        calls.append(step)
        if len(calls) in (2, 5):
            raise KeyboardInterrupt

    execution = Execution(device="cpu", scratch=tmp_path / "scratch", report=report)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            method.fit(tokens, 1, config, execution)
    method.fit(tokens, 1, config, execution).save(tmp_path / "again")  # type: ignore[attr-defined]
    files = [file for file in (tmp_path / "whole").rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "whole")).read_bytes()


def exact_field(process: Process) -> Field:
    def exact(x: Tensor, time: Tensor) -> Tensor:
        shape = (-1, 1)
        if process == "flow":
            t = time.view(shape)
            variance = (1 - t) ** 2 + (t * DEVIATION) ** 2
            slope = (t * DEVIATION**2 - (1 - t)) / variance  # covariance of the velocity with x, over x's variance
            return MEAN + slope * (x - t * MEAN)
        share = kept_noise(time).view(shape)
        variance = share * DEVIATION**2 + 1 - share
        noise = (1 - share).sqrt() / variance * (x - share.sqrt() * MEAN)
        return (noise - (1 - share).sqrt() * x) / share.sqrt()

    return exact


@pytest.mark.parametrize("process", PROCESSES)
def test_samples_of_the_exact_field_are_distributed_as_the_data(process: Process) -> None:
    """And no other field has a smaller loss."""
    exact, generator = exact_field(process), torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 2, generator=generator)
    drawn = sample(process, exact, noise, 50 if process == "flow" else 1000, generator)
    assert abs(drawn.mean() - MEAN) < 0.03 and abs(drawn.std() - DEVIATION) < 0.03
    data = MEAN + DEVIATION * torch.randn(4000, 2, generator=generator)

    def loss_of(field: Any) -> float:
        torch.manual_seed(1)
        return float(loss(process, field, data))

    with torch.random.fork_rng():
        best = loss_of(exact)
        for changed in (lambda x, time: exact(x, time) + 0.1, lambda x, time: 0.9 * exact(x, time)):
            assert loss_of(changed) > best
    near = sample(process, exact, noise[:5], 1, generator, begin=data[:5], time=0.999)
    torch.testing.assert_close(near, data[:5], atol=0.1, rtol=0)


@pytest.mark.parametrize("time", [0.25, 0.9, 0.99991])
@pytest.mark.parametrize("process", PROCESSES)
def test_sampling_from_any_time_keeps_the_distribution_of_the_data(process: Process, time: float) -> None:
    """In as many steps as are left of those that were trained, if more are asked for: beyond the last there is none."""
    generator, asked = torch.Generator().manual_seed(0), 30 if process == "flow" else 1000
    data = MEAN + DEVIATION * torch.randn(2000, 2, generator=generator)
    noise, seen = torch.randn(2000, 2, generator=generator), []

    def field(x: Tensor, now: Tensor) -> Tensor:
        seen.append(float(now[0]))
        return exact_field(process)(x, now)

    drawn = sample(process, field, noise, asked, generator, data, time)
    assert abs(drawn.mean() - MEAN) < 0.03 and abs(drawn.std() - DEVIATION) < 0.03
    if process == "ddpm":
        assert len(seen) == len(set(seen)) == max(1, round((1 - time) * asked)) and max(seen) < 1


def test_around_an_anchor_means_as_much_noise_as_data() -> None:
    """Whichever the process: a diffusion's times are not a flow's."""
    assert get_method("weight_flow").config("around", {}).around == 0.5  # type: ignore[attr-defined]
    for name, preset in (("p_diff", "around"), ("sane_diffusion", "ddpm")):
        around = get_method(name).config(preset, {}).around  # type: ignore[attr-defined]
        assert float(kept_noise(torch.tensor([around]))) == pytest.approx(0.5, abs=0.05)


def test_one_model_of_an_activation_is_too_few_to_learn_from() -> None:
    """However many there are of others."""
    population = made_up()
    table = population.table.copy()
    table["activation"] = "tanh"
    table.loc[:1, ["activation", "val_accuracy"]] = ["relu", 1.0]
    one = Population.of("one", population.tokenizer, population.weights, table)
    with pytest.raises(InputError, match="two or more training models"):
        Matched.of(tokens_of(one))


def test_copies_in_disguise_have_the_codes_of_their_models() -> None:
    """After matching; codes of as many components as models span are the models."""
    population = made_up()
    models = Matched.of(tokens_of(population))
    assert len(models.weights) == MODELS * 4 // 6  # the last checkpoints of training and validation models
    codes = Codes.of(models, 128)
    training_models = models.weights[~models.held_out]
    torch.testing.assert_close(codes.decode(codes.encode(training_models)), training_models, atol=1e-4, rtol=1e-3)
    scores = codes.encode(models.weights)
    torch.testing.assert_close(scores.std(0, correction=0), torch.ones(codes.size), atol=1e-3, rtol=0)
    last = population.split("train").select((population.split("train").table["epoch"] == 2).to_numpy())
    generator = torch.Generator().manual_seed(0)
    index, factor = random_symmetries(population.layout, groups_of(population), len(last), generator)
    disguised = last.with_weights(last.weights.gather(1, index) * factor)
    best = int(last.table["val_accuracy"].argmax())
    own, other = codes.of_population(last)[best], codes.of_population(disguised)[best]
    torch.testing.assert_close(own, other, atol=1e-3, rtol=1e-3)  # of the reference, or the best of the last


@pytest.mark.parametrize("name", AROUND)
def test_draws_that_begin_at_an_anchor_are_near_it(name: str) -> None:
    """Nearer than those from noise alone: at the end of time almost nothing is left to change."""
    population, method = made_up(), get_method(name)
    tokens, anchors = tokens_of(population), population.split("train").alone().as_anchors()
    fitted: Any = method.fit(tokens, 0, method.config(None, QUICK[name]), Execution(device="cpu"))
    ends = fitted.reconstruct(anchors)
    around = fitted
    around.config = replace(fitted.config, **AROUND[name])
    near = torch.cdist(around.generate(anchors, 20, 0), ends).amin(1)
    assert near.max() < 0.2 * torch.cdist(ends, ends).mean()


@pytest.mark.parametrize("name", ["weight_flow", "hyper_representation"])
def test_another_layout_is_refused_in_one_sentence(name: str) -> None:
    population, method = made_up(), get_method(name)
    fitted: Any = method.fit(tokens_of(population), 0, method.config(None, QUICK[name]), Execution(device="cpu"))
    layout = get_architecture("mlp").layout(1, 10, 0.25)
    other = Population.of("larger", Tokenizer.of(layout, TOKEN_SIZE), torch.zeros(24, layout.size), population.table)
    with pytest.raises(InapplicableError, match="learned models of one layout"):
        fitted.generate(other.split("train").as_anchors(), 2, 0)


@pytest.mark.parametrize("name", ["weight_flow", "p_diff", "hyper_representation", "d2nwg_lite"])
def test_anchors_with_another_activation_are_refused(name: str, tmp_path: Path) -> None:
    """As far as it is known, also by a fit that was read. Where a method is asked blindly, nothing is refused."""
    population, method = made_up(), get_method(name)  # with relu
    fitted: Any = method.fit(tokens_of(population), 0, method.config(None, QUICK[name]), Execution(device="cpu"))
    fitted.save(tmp_path / "kept")

    def anchors(activation: str | None) -> Population:
        table = population.table.assign(activation=activation)
        return Population.of("anchors", population.tokenizer, population.weights, table).split("train").as_anchors()

    for model in (fitted, method.load(tmp_path / "kept")):
        with pytest.raises(InapplicableError, match="learned models with relu, and the anchors of anchors have tanh"):
            model.generate(anchors("tanh"), 2, 0)
        assert len(model.generate(anchors(None), 2, 0)) == len(model.generate(anchors("relu"), 2, 0)) == 2
    other = population.table.assign(activation=["tanh", "relu"] * MODELS)
    mixed = Population.of("mixed", population.tokenizer, population.weights, other)
    assert len(mixed.asked(fitted.reconstruct, ["activation"])) == len(mixed)


def test_views_of_large_models_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit into memory, and at least one."""
    population, counts = made_up(), []

    def counted(layout: Any, groups: Any, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        counts.append(count)
        return random_symmetries(layout, groups, count, generator)

    monkeypatch.setattr(hyper_representation, "random_symmetries", counted)
    method = get_method("hyper_representation")
    config = method.config(None, QUICK["hyper_representation"] | {"permutations": 1000, "steps": 1})
    for elements in (3 * population.layout.size + 1, 1):
        monkeypatch.setattr(canonical, "MAP_ELEMENTS", elements)
        method.fit(tokens_of(population), 0, config, Execution(device="cpu"))
    assert counts == [3, 1]


def test_workers_share_the_training_of_sane_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = []

    def on_workers(*_: object, **__: object) -> Course:
        shared.append(_[4].workers)  # type: ignore[attr-defined]
        return Course(3, 1.0, 0.0, pd.DataFrame())

    monkeypatch.setattr(distributed, "train_on_workers", on_workers)
    method = get_method("sane_diffusion")
    how = Execution(device="cpu", workers=2)
    fitted: Any = method.fit(tokens_of(made_up()), 0, method.config(None, QUICK[method.name]), how)
    assert shared == [2] and fitted.course.steps == 3 + QUICK[method.name]["steps"]


def test_the_released_density_replays_models_and_the_published_mixes_them() -> None:
    """The released code gives all dimensions one random state: a draw is one model's latent and one offset."""
    population, method = made_up(), get_method("hyper_representation")
    anchors = population.split("train").alone().as_anchors()
    config = method.config(None, QUICK["hyper_representation"] | {"best": 1.0, "latent": 12})
    fitted: Any = method.fit(tokens_of(population), 0, config, Execution(device="cpu"))
    drawn: dict[str, Tensor] = {}
    fitted._decoded = lambda latents: latents  # what is drawn is looked at, not what is made of it
    for density in ("released", "independent"):
        fitted.config = replace(config, density=density)  # type: ignore[type-var]
        drawn[density] = fitted.generate(anchors, 40, 0)
    offsets = {name: latents[:, None] - fitted.latents for name, latents in drawn.items()}
    constant = {name: (each - each.mean(2, keepdim=True)).abs().amax(2).amin(1) for name, each in offsets.items()}
    assert constant["released"].max() < 1e-5 < constant["independent"].min()


def test_held_out_models_have_codes_like_those_of_training_models() -> None:
    """Though no two models have anything in common: otherwise a loss on them would not be one on models."""
    models = Matched.of(tokens_of(made_up()))
    scores = Codes.of(models, 4).encode(models.weights)
    size = [float(scores[rows].square().mean()) for rows in (models.held_out, ~models.held_out)]
    assert size[0] > 0.3 * size[1]


def test_each_dataset_gives_the_latents_of_its_own_best_models() -> None:
    """Also where models of another dataset are more accurate."""
    easy, hard, method = made_up(0), made_up(1), get_method("hyper_representation")
    table = hard.table.assign(val_accuracy=hard.table["val_accuracy"] / 100)
    hard = Population.of("hard", hard.tokenizer, hard.weights, table)
    tokens = TokenSet(TOKEN_SIZE, (easy.without("test"), hard.without("test")))
    fitted: Any = method.fit(
        tokens, 0, method.config(None, QUICK[method.name] | {"best": 0.5}), Execution(device="cpu")
    )
    for population in (easy, hard):
        training_models = population.split("train")
        of_best = fitted.embed(training_models)[int(training_models.table["val_accuracy"].argmax())]
        assert torch.cdist(of_best[None], fitted.latents).min() < 1e-4


@pytest.mark.parametrize("name", ["d2nwg", "d2nwg_lite"])
def test_models_are_of_the_dataset_that_the_method_is_told_of(name: str) -> None:
    """Fitted to models of two datasets, each of which has its own kind of weights."""
    method, populations = get_method(name), []
    for number, dataset in enumerate(["digits", "glyphs"]):
        made = made_up()
        table = made.table.assign(dataset=dataset)
        weights = made_up(number).weights[:1] + 0.01 * made.weights
        made = Population.of(dataset, made.tokenizer, weights, table)
        populations.append(granted(method, made, method.access, ImageStore()))
    tokens = TokenSet(TOKEN_SIZE, tuple(each.without("test") for each in populations))
    settings = {"steps": 400, "autoencoder_steps": 150, "encoder_steps": 40, "width": 32, "hidden": 16, "code": 8}
    config = method.config(None, settings | {"latent": 4, "sampling_steps": 50, "set_images": 16})
    fitted: Any = method.fit(tokens, 0, config, Execution(device="cpu"))
    ends = torch.stack([fitted.reconstruct(each).mean(0) for each in populations])
    for number, each in enumerate(populations):
        drawn = fitted.generate(each.split("train").alone().as_anchors(), 100, 0)
        assert (torch.cdist(drawn, ends).argmin(1) == number).float().mean() > 0.7  # told nothing, both sum to 1


def test_images_reach_the_method_only_where_they_are_granted() -> None:
    """And what it is told of them decides what it draws; the reduced form needs none."""
    population, method = made_up(), get_method("d2nwg")
    shown = granted(method, population, method.access, ImageStore())
    fitted: Any = method.fit(tokens_of(shown), 0, method.config(None, DATASETS), Execution(device="cpu"))
    torch.nn.init.normal_(fitted.net.out.weight)  # untrained, it does not depend on anything yet
    anchors = shown.split("train").alone().as_anchors()
    one = fitted.generate(anchors, 3, 0)
    torch.nn.init.normal_(fitted.aligned.encoder.out.weight)
    assert not torch.equal(one, fitted.generate(anchors, 3, 0))
    with pytest.raises(AccessError):
        fitted.generate(population.split("train").alone().as_anchors(), 3, 0)
    lite = get_method("d2nwg_lite")
    other: Any = lite.fit(tokens_of(population), 0, lite.config(None, DATASETS), Execution(device="cpu"))
    torch.nn.init.normal_(other.net.out.weight)
    few = population.split("train").alone().as_anchors()
    rows = [few.select(few.table.index.to_numpy() < 4), few.select(few.table.index.to_numpy() >= 4)]
    assert not torch.equal(*(other.generate(each, 3, 0) for each in rows))


def test_p_diff_of_unmatched_trainings_fails() -> None:
    """Of one model under random symmetries: matched, an unseen copy is decoded well, unmatched not at all."""
    population, method = made_up(), get_method("p_diff")
    generator = torch.Generator().manual_seed(0)
    layout, groups, one = population.layout, groups_of(population), population.weights[0]
    index, factor = random_symmetries(layout, groups, len(population), generator)
    copies = (one + 0.005 * torch.randn(len(population), layout.size, generator=generator)).gather(1, index) * factor
    disguised = population.with_weights(copies)
    test, error = disguised.split("test"), {}
    for preset in ("default", "unmatched"):
        config = method.config(
            preset, QUICK["p_diff"] | {"autoencoder_steps": 200, "hidden": 16, "learning_rate": 0.01}
        )
        fitted: Any = method.fit(tokens_of(disguised), 0, config, Execution(device="cpu"))
        reference = test.weights if preset == "unmatched" else match_closest(test.weights, one, layout, groups)
        made = fitted.reconstruct(test)
        made = made if preset == "unmatched" else match_closest(made, one, layout, groups)
        error[preset] = float((made - reference).norm() / reference.norm())
    assert error["default"] < 0.2 and error["unmatched"] > 0.6
