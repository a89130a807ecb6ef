"""Training SANE: its batches, interruption, sharing among workers, and early stopping."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call
from zoo.test_zoo import two_architectures

from zoo_generation.errors import InputError
from zoo_generation.networks.module import build_module
from zoobench.methods.course import converged, fall
from zoobench.methods.learning import resume
from zoobench.methods.learning.optimizer import orthogonalised
from zoobench.methods.learning.training import LOOKS, looks_at
from zoobench.methods.protocols import Execution
from zoobench.methods.sane import Sane, SaneConfig, training
from zoobench.methods.sane.budget import BACKWARD, LOOKING, batches_of_look, epoch_steps
from zoobench.methods.sane.canonical import random_view
from zoobench.methods.sane.loss import reconstruction
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.windows import WindowSampler, _rectangles
from zoobench.populations import TokenSet, select_checkpoints, write_token_set
from zoobench.zoo import Zoo

SMALL = SaneConfig(
    d_model=16, heads=2, layers=1, latent=4, window=10, halo=2, batch_size=4, steps=6, validate_every=2, permutations=3
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Models of two architectures."""
    return two_architectures(tmp_path_factory.mktemp("zoo"), 8, 7)


@pytest.fixture(scope="module")
def tokens(zoo: Zoo) -> TokenSet:
    return TokenSet.load(select_checkpoints([zoo], token_size=64))


def weights_of(sane: Sane) -> torch.Tensor:
    return torch.cat([value.flatten() for value in sane.model.state_dict().values()])


def sampler(tokens: TokenSet, **settings: Any) -> WindowSampler:
    generator = torch.Generator().manual_seed(0)
    views = [random_view(population, 3, True, generator) for population in tokens.populations]
    return WindowSampler(tokens.populations, views, SMALL.window, seed=1, **settings)


def test_a_batch_is_windows_of_a_model_and_of_one_that_computes_the_same(tokens: TokenSet) -> None:
    batch = sampler(tokens).draw(0, 40)
    assert batch.targets.shape == (2, 40, 10, 64) and torch.equal(batch.inputs, batch.targets)
    assert not batch.targets[:, ~batch.mask].any()
    models = {len(p.tokenizer): p.tokens.flatten(1, 2) for p in tokens.populations}
    for window, positions in zip(batch.targets[0], batch.positions, strict=True):
        flat = window.flatten()
        begin = int(positions[0, 0]) * 64
        pieces = [each[:, begin : begin + len(flat)] for each in models.values() if each.shape[1] >= begin + len(flat)]
        assert any((piece == flat).all(1).any() for piece in pieces)
    small = next(population for population in tokens.populations if "cnn_s" in population.name)
    whole = WindowSampler([small], [random_view(small, 3, True, torch.Generator())], len(small.tokenizer), seed=1)
    views = whole.draw(0, 5).targets
    assert not torch.equal(views[0], views[1])
    module, images = build_module(small.table.iloc[0]), torch.randn(10, 1, 28, 28)
    for one, other in zip(*(small.tokenizer.weights(view) for view in views), strict=True):
        outputs = [functional_call(module, small.layout.unflatten(flat), (images,)) for flat in (one, other)]
        torch.testing.assert_close(*outputs, atol=1e-3, rtol=1e-4)


def test_a_batch_depends_on_its_number_only(tokens: TokenSet, zoo: Zoo, tmp_path: Path) -> None:
    """Not on those drawn before, and not on where the weights lie."""
    settings = {"noise": 0.1, "erase": 0.5}
    one, other = sampler(tokens, **settings), sampler(tokens, **settings)
    for number in (3, 1, 2):
        other.draw(number, 8)
    mapped = write_token_set(tmp_path / "tokens", select_checkpoints([zoo], token_size=64))
    for drawn in (other.draw(3, 8), sampler(mapped, **settings).draw(3, 8)):
        for name, part in vars(one.draw(3, 8)).items():
            assert torch.equal(torch.as_tensor(part), torch.as_tensor(getattr(drawn, name)))
    assert not torch.equal(one.draw(3, 8).targets, one.draw(4, 8).targets)


@given(share=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_rectangles_are_erased(share: float, seed: int) -> None:
    shape = torch.Size([2, 20, 12, 16])
    erased = _rectangles(shape, share, torch.Generator().manual_seed(seed)).expand(shape)
    assert erased.flatten(2).any(2).float().mean() <= share + 0.4
    for window in erased.flatten(0, 1):
        rows, columns = window.any(1), window.any(0)
        assert torch.equal(window, rows[:, None] & columns) and rows.sum() <= 7 and columns.sum() <= 9


class MadeUp:
    """A population of so many checkpoints of so many tokens."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.tokenizer = count, range(length)

    def __len__(self) -> int:
        return self.count


def interrupted(after: int) -> Callable[[int, int, dict[str, float]], None]:
    def report(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == after:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize(
    "settings", [{"patience": 2}, {"optimizer": "adamw", "schedule": "onecycle"}], ids=["muon", "adamw"]
)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    tokens: TokenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """Bit for bit, also when it is interrupted twice; nothing of it is left behind."""
    config, scratch = replace(SMALL, erase=0.3, **settings), tmp_path / "scratch"
    whole = Sane.fit(tokens, 0, config, Execution(device="cpu"))
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    monkeypatch.setattr(resume, "SECONDS", 0)
    monkeypatch.setattr(resume, "SHARE", float("inf"))
    for after in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            Sane.fit(tokens, 0, config, Execution(device="cpu", scratch=scratch, report=interrupted(after)))
        assert [file.name for file in scratch.iterdir()] == ["training.pt"]
    steps: list[int] = []
    again = Sane.fit(
        tokens, 0, config, Execution(device="cpu", scratch=scratch, report=lambda step, *_: steps.append(step))
    )
    assert again.course is not None and whole.course is not None
    pd.testing.assert_frame_equal(again.course.curve, whole.course.curve, check_exact=True)
    assert (again.course.steps, again.course.epochs) == (whole.course.steps, whole.course.epochs)
    assert steps == [5, 6]  # the snapshot of step 5 was not written when its report was interrupted
    assert torch.equal(weights_of(again), weights_of(whole))
    assert list(tmp_path.iterdir()) == []


def test_a_training_of_so_many_core_seconds_goes_on_with_its_number_of_steps(
    tokens: TokenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast the machine is by then; and as if that number had been asked for."""
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    config, how = replace(SMALL, core_seconds=10.0), Execution(device="cpu", scratch=tmp_path)
    monkeypatch.setattr(training, "measured", lambda step, device: 1.0)
    with pytest.raises(KeyboardInterrupt):
        Sane.fit(tokens, 0, config, replace(how, report=interrupted(2)))
    monkeypatch.setattr(training, "measured", lambda step, device: 0.1)
    again = Sane.fit(tokens, 0, config, how)
    assert again.course is not None and again.course.steps == 9
    assert torch.equal(
        weights_of(again), weights_of(Sane.fit(tokens, 0, replace(SMALL, steps=9), Execution(device="cpu")))
    )


@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 300)), min_size=1, max_size=4),
    window=st.integers(1, 100),
    batch=st.integers(1, 32),
    more=st.integers(2, 5),
)
def test_an_epoch_reads_each_token_once_on_average(
    sizes: list[tuple[int, int]], window: int, batch: int, more: int
) -> None:
    """So equal epochs give steps in proportion to the tokens of the training set, if it is of the same models."""
    config = SaneConfig(window=window, halo=0, batch_size=batch)
    one, several = (
        epoch_steps(config, [MadeUp(times * count, length) for count, length in sizes])  # type: ignore[misc]
        for times in (1, more)
    )
    assert several == pytest.approx(more * one)
    drawn = sum(count * min(window, length) for count, length in sizes) / sum(count for count, _ in sizes)
    assert one * batch * drawn == pytest.approx(sum(count * length for count, length in sizes))


@given(st.integers(1, 10**6))
def test_a_training_looks_often_enough_and_not_too_often(steps: int) -> None:
    looks = sorted(looks_at(steps))
    assert len(looks) == min(LOOKS, steps) and looks[-1] == steps and looks[0] >= 1
    gaps = [after - before for before, after in zip([0, *looks], looks, strict=False)]
    assert max(gaps) - min(gaps) <= 1
    cost = len(looks) * batches_of_look(steps) / BACKWARD
    assert cost <= LOOKING * steps or batches_of_look(steps) == 1
    curve = pd.DataFrame({"step": looks, "total": 1.0})
    assert converged(curve) is (None if steps < 5 else True)


@given(st.floats(0.01, 0.5), st.sampled_from([20, 57, 1000]), st.floats(1e-6, 1e6))
def test_convergence_is_a_share_of_the_loss_itself(share: float, steps: int, scale: float) -> None:
    """Of curves that fall evenly by `share` over the last tenth, whatever their scale."""
    looks = sorted(looks_at(steps))
    at = [(1 - share) ** (10 * step / steps - 9) * scale for step in looks]
    curve = pd.DataFrame({"step": looks, "total": at})
    assert fall(curve) >= share * 0.99
    assert converged(curve, share * 0.98) is False and converged(curve, min(1.0, 3 * share)) is True
    risen = curve.assign(total=curve["total"][::-1].to_numpy())
    assert converged(risen) is True and fall(risen) < 0
    assert converged(curve.iloc[[0, -1]]) is None and converged(pd.DataFrame()) is None
    assert converged(curve.assign(total=float("nan"))) is None


@given(rows=st.integers(2, 40), columns=st.integers(2, 40), scale=st.floats(1e-4, 1e4), seed=st.integers(0, 2**31))
def test_a_step_turns_every_direction_equally(rows: int, columns: int, scale: float, seed: int) -> None:
    """The gradient's large singular values come to about 1, in the same directions, whatever its scale."""
    gradient = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    step = orthogonalised(gradient[None])[0]
    u, values, v = torch.linalg.svd(gradient, full_matrices=False)
    turned = u.T @ step @ v.T
    large = values > 0.05 * values.norm()
    assert ((turned.diagonal()[large] > 0.6) & (turned.diagonal()[large] < 1.3)).all()
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-2


@pytest.mark.parametrize("harm", ["cut", "other seed", "other weights", "garbage", "flipped"])
def test_what_cannot_be_gone_on_from_is_not(
    tokens: TokenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    monkeypatch.setattr(resume, "SECONDS", 0)
    monkeypatch.setattr(resume, "SHARE", float("inf"))
    seed = 1 if harm == "other seed" else 0
    of = tokens
    if harm == "other weights":  # of the same models
        others = [each.with_weights(each.weights.clone().add_(1e-3)) for each in tokens.populations]
        of = TokenSet(tokens.token_size, tuple(others))
    with pytest.raises(KeyboardInterrupt):
        Sane.fit(of, seed, SMALL, Execution(device="cpu", scratch=tmp_path, report=interrupted(3)))
    file = tmp_path / "training.pt"
    flipped = bytearray(file.read_bytes())
    flipped[len(flipped) // 3] ^= 1
    content = {"cut": file.read_bytes()[:-500], "garbage": os.urandom(1000), "flipped": bytes(flipped)}
    file.write_bytes(content.get(harm, file.read_bytes()))
    steps: list[int] = []
    again = Sane.fit(
        tokens, 0, SMALL, Execution(device="cpu", scratch=tmp_path, report=lambda step, *_: steps.append(step))
    )
    assert steps[0] == 1
    assert torch.equal(weights_of(again), weights_of(Sane.fit(tokens, 0, SMALL, Execution(device="cpu"))))


def test_training_ends_when_validation_gets_no_better(tokens: TokenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    told: list[tuple[int, dict[str, float]]] = []
    config = replace(SMALL, steps=100, patience=2, learning_rate=1e-12)
    Sane.fit(tokens, 0, config, Execution(device="cpu", report=lambda step, _, values: told.append((step, values))))
    assert told[-1][0] < 100 and {"validation", "validation r2", "r2", "contrastive"} <= told[-1][1].keys()


@pytest.mark.faults
def test_workers_learn_what_one_does(tokens: TokenSet) -> None:
    """Each step's gradients are those of the whole batch, contrastive loss included."""
    config = replace(SMALL, normalization="batch", steps=4)
    alone = Sane.fit(tokens, 0, config, Execution(device="cpu"))
    told: list[int] = []
    together = Sane.fit(
        tokens, 0, config, Execution(device="cpu", workers=2, report=lambda step, *_: told.append(step))
    )
    torch.testing.assert_close(weights_of(together), weights_of(alone), atol=1e-4, rtol=1e-3)
    assert told[-1] == 4
    with pytest.raises(InputError, match="cannot be shared by 3 workers"):
        Sane.fit(tokens, 0, config, Execution(device="cpu", workers=3))


def test_losses_go_to_tensorboard(tokens: TokenSet, tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Sane.fit(tokens, 0, SMALL, Execution(device="cpu", log_dir=tmp_path))
    events = event_accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"contrastive", "reconstruction", "r2", "validation/r2"} <= set(events.Tags()["scalars"])


def test_layers_are_standardised_by_training_models(tokens: TokenSet) -> None:
    train = tokens.split("train").populations
    standardization = Standardization.of(train)
    for population in train:
        ours = standardization.standardised(population.tokens, population.tokenizer)
        assert not ours[:, ~population.tokenizer.mask].any()
        back = population.tokenizer.weights(ours, base=torch.zeros(population.layout.size))
        for entry in population.layout:
            if not entry.name.endswith(("running_mean", "running_var")):
                values = back[:, entry.span]
                assert abs(values.mean()) < 1e-4 and abs(values.std(correction=0) - 1) < 1e-3
        raw = standardization.raw(ours, population.tokenizer)
        torch.testing.assert_close(raw, population.tokens, atol=1e-6, rtol=1e-5)
    other = Standardization.of(train[:1])
    with pytest.raises(InputError, match="not trained on models of this architecture"):
        other.standardised(train[1].tokens, train[1].tokenizer)


def test_constant_and_single_element_tokens_have_a_finite_error() -> None:
    target = torch.full((1, 3, 8), 0.5)
    mask = torch.ones(1, 3, 8, dtype=torch.bool)
    mask[:, 1, 1:] = False
    output = (target + 0.1).requires_grad_()
    error = reconstruction(output, target * mask, mask, "token")
    error.backward()
    assert error.isfinite() and output.grad is not None and output.grad.isfinite().all()


def test_models_longer_than_any_seen(zoo: Zoo, tokens: TokenSet) -> None:
    small, deep = sorted(tokens.populations, key=lambda population: len(population.tokenizer))
    seen = TokenSet(tokens.token_size, (small,))
    features = Sane.fit(seen, 0, SMALL, Execution(device="cpu")).embed(deep)
    assert features.shape == (len(deep), SMALL.latent) and features.isfinite().all()
    learned = Sane.fit(seen, 0, replace(SMALL, positions="learned"), Execution(device="cpu"))
    with pytest.raises(InputError, match="learned positions of at most"):
        learned.embed(deep)


@pytest.mark.parametrize("normalization", ["token", "layer"])
def test_what_is_saved_is_read(tokens: TokenSet, tmp_path: Path, normalization: str) -> None:
    sane = Sane.fit(tokens, 0, replace(SMALL, normalization=normalization), Execution(device="cpu"))  # type: ignore[arg-type]
    sane.save(tmp_path / "sane")
    again = Sane.load(tmp_path / "sane")
    for population in tokens.populations:
        assert torch.equal(again.embed(population), sane.embed(population))
        assert torch.equal(again.generate(population, 3, 0), sane.generate(population, 3, 0))
    card = tmp_path / "sane" / "config.json"
    card.write_text(card.read_text().replace('"heads": 2', '"heads": "two"'))
    with pytest.raises(InputError, match="is damaged"):
        Sane.load(tmp_path / "sane")
