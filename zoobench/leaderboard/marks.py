"""Find answers without own work: copies of entries and of the zoo's models, equal models, returned inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.networks.symmetry import Group, fingerprint
from zoobench.leaderboard.answers import Answers, form_of, setting_of
from zoobench.leaderboard.entry import Entry
from zoobench.leaderboard.fingerprints import FILE, Fingerprints, read_fingerprints
from zoobench.leaderboard.track import Track
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of
from zoobench.tasks import probe
from zoobench.tasks.answers import Answer, Predictions, Weights
from zoobench.tasks.base import Combining, Extracting, Partnered
from zoobench.tasks.forms import WeightForm

SHARE = 0.2
"""As a share of the zoo's spread of fingerprints: closer models are copies. In the tracks' own zoos the nearest two
different models are 0.53 of it apart, draws of a kernel density around anchors 0.29 of it from these, and copies with
noise of a hundredth of their weights 0.05."""

ROUNDING = 0.02
"""As a share of the same: the effect of rounding to bfloat16. A reconstruction may be close to a model, but not to its
bits."""

OF_ERROR = 0.05
"""As a share of the other predictions' own error: closer predictions are copies."""

OF_TRUTH = 1e-3
"""As a share of the truth's deviation: no method reads a measurement off weights that exactly."""

MEASURED = ("test_accuracy", "generalization_gap")
RANKED = 20
"""From this many checkpoints on, an equal order of predictions shows a copy: few agree by chance."""


@dataclass(frozen=True, eq=False)
class Known:
    """Another entry of a track, and its answers."""

    entry: Entry
    answers: Answers


def copy_of(name: str) -> str:
    """The first words of the mark of a copy of an entry."""
    return f"copy of {name} ("


def marks_of(
    leaderboards: Path, track: Track, references: Mapping[str, Population], answers: Answers, others: Sequence[Known]
) -> tuple[str, ...]:
    """The marks that verification gives an entry, a phrase each; others: entries that came before it.

    Raises `InputError` if fingerprints are damaged.
    """
    if track.holds == "predictions":
        return _marks_of_predictions(track, references, answers, others)
    if track.holds == "weights":
        if isinstance(task := track.get_task(), Combining):
            return _marks_of_combined(leaderboards, track, task, references, answers, others)
        if isinstance(task, Extracting):
            return _marks_of_extracted(leaderboards, track, task, references, answers, others)
        return _marks_of_weights(leaderboards, track, references, answers, others)
    return ()


@dataclass(frozen=True, eq=False)
class _Ground:
    """What models for a target are compared with: fingerprints of its zoo, in units of its spread.

    training: of training and validation models of all zoos of the track with its layout; test: of test models that a
    method cannot have; originals: of the models to reconstruct, one per row.
    """

    reference: Population
    form: WeightForm
    groups: tuple[Group, ...]
    spread: float
    training: list[Fingerprints]
    test: list[Fingerprints]
    originals: Tensor | None

    def prints(self, weights: Tensor) -> Tensor:
        return fingerprint(weights, self.reference.layout, self.groups)

    def copies(self, prints: Tensor, of: Sequence[Fingerprints]) -> int:
        """How many models with these fingerprints are copies of any of others."""
        near = [each.nearest(prints) <= SHARE * self.spread for each in of if len(each.prints)]
        return int(torch.stack(near).any(0).sum()) if near else 0


def _marks_of_combined(
    leaderboards: Path,
    track: Track,
    task: Combining,
    references: Mapping[str, Population],
    answers: Answers,
    others: Sequence[Known],
) -> tuple[str, ...]:
    """Marks of models that are made of given ones, and may be close to them and to each other.

    Of other entries only equal models count, if they are more than half, since methods may choose alike. What is close
    to a training model, or to a given model that it is not made of, is no merged or taught model. Models of another
    size than the given ones are compared with those of other entries alone.
    """
    counted, models = Counter[str](), 0
    sizes = {target: form_of(track, references, target) for target in track.targets}
    grounds = {
        target: _ground(leaderboards, track, references, target)
        for target, form in sizes.items()
        if isinstance(form, WeightForm) and form.size == references[target].layout.size
    }
    given = {target: track.get_task().reads(references[target]) for target in track.targets}
    given_prints = {target: ground.prints(given[target].weights) for target, ground in grounds.items()}
    for (target, seed), answer in answers.items():
        weights, names = _tensor(answer), given[target].names
        models += len(weights)
        for other in (each for each in others if (target, seed) in each.answers):
            counted[f"copy of {other.entry.name}"] += int(_same(answer, other.answers[target, seed]).sum())
        if (ground := grounds.get(target)) is None:
            continue
        prints = ground.prints(weights)
        counted["copy of a training model"] += ground.copies(prints, ground.training)
        members = task.members(setting_of(references, target, seed, ImageStore()))
        if isinstance(task, Partnered):  # a student is itself, and no teacher
            members = [each[:1] for each in members]
        own = torch.from_numpy(np.stack([np.isin(names, each) for each in members]))
        apart = torch.cdist(prints, given_prints[target]).masked_fill(own, torch.inf)
        counted["copy of a test model"] += int((apart.amin(1) <= SHARE * ground.spread).sum())
    return _told(counted, models, {"copy of a training model", "copy of a test model"})


def _marks_of_extracted(
    leaderboards: Path,
    track: Track,
    task: Extracting,
    references: Mapping[str, Population],
    answers: Answers,
    others: Sequence[Known],
) -> tuple[str, ...]:
    """Marks of copies, which are meant to compute what their victims do, and may be near the base that was given.

    Without the victim's parent, no answers tell where a victim's weights are. Nor does training end on the very
    weights of a model: neither of a victim, nor of a base. Of other entries equal copies count if they are more than
    half.
    """
    counted, models = Counter[str](), 0
    for target in track.targets:
        ground, tested = _ground(leaderboards, track, references, target), track.get_task().reads(references[target])
        known, victims = ground.prints(tested.weights), ground.prints(task.victims_of(references[target]).weights)
        asked = task.copies(setting_of(references, target, 0, ImageStore()))
        unaided = torch.tensor(asked["base"].isin(["none", "wrong"]).to_numpy())
        for (_, seed), answer in ((key, each) for key, each in answers.items() if key[0] == target):
            prints = ground.prints(_tensor(answer))
            models += len(prints)
            for other in (each for each in others if (target, seed) in each.answers):
                counted[f"copy of {other.entry.name}"] += int(_same(answer, other.answers[target, seed]).sum())
            counted["copy of a training model"] += ground.copies(prints, ground.training)
            nearest = Weights(tested.weights[torch.cdist(prints, known).argmin(1)])
            apart = (prints - victims[asked["victim"].tolist()]).norm(dim=1)
            counted["test model handed in"] += int(
                (_same(Weights(_tensor(answer)), nearest) | (unaided & (apart <= SHARE * ground.spread))).sum()
            )
    return _told(counted, models, {"copy of a training model", "test model handed in"})


def _told(counted: Mapping[str, int], models: int, always: set[str]) -> tuple[str, ...]:
    """What is worth a mark: some kinds always, others if they are more than half of the models."""
    told = {what: count for what, count in counted.items() if count and (what in always or 2 * count > models)}
    return tuple(f"{what} ({count} of {models} models)" for what, count in told.items())


def _same(one: Answer, other: Answer) -> Tensor:
    """Which models [models] are equal, with all that is handed in with them but single numbers, which are only told."""
    assert isinstance(one, Weights) and isinstance(other, Weights), "a track holds one kind of answers"
    pairs = [(one.weights, other.weights)]
    pairs += [(values, other.beside[name]) for name, values in one.beside.items() if values.shape[1] > 1]
    return torch.stack([torch.isclose(*pair, rtol=1e-5, atol=1e-7).all(1) for pair in pairs]).all(0)


def _ground(leaderboards: Path, track: Track, references: Mapping[str, Population], target: str) -> _Ground:
    reference = references[target]
    groups, form = groups_of(reference), form_of(track, references, target)
    assert isinstance(form, WeightForm), "a track holds one kind of answers"
    known = Fingerprints.of(reference.without("test"), groups)
    paths = {zoo: leaderboards / "zoos" / zoo / FILE for zoo in track.zoos}
    found = {zoo: read_fingerprints(path, reference.layout) for zoo, path in paths.items() if path.exists()}
    kept = {zoo: each for zoo, each in found.items() if each is not None}
    own = kept.get(reference.name) or Fingerprints.of(reference, groups)
    originals = None
    if form.first is not None:
        originals = fingerprint(track.get_task().reads(reference).weights, reference.layout, groups)
    test = [] if originals is not None else [Fingerprints.of(reference.split("test"), groups)]
    return _Ground(reference, form, groups, own.spread, [*kept.values(), known], test, originals)


def _marks_of_weights(
    leaderboards: Path, track: Track, references: Mapping[str, Population], answers: Answers, others: Sequence[Known]
) -> tuple[str, ...]:
    grounds = {target: _ground(leaderboards, track, references, target) for target in track.targets}
    counted: Counter[str] = Counter()
    models, fewest = 0, {}
    for (target, _), weights in answers.items():
        ground = grounds[target]
        prints = ground.prints(_tensor(weights))
        models += len(prints)
        for other in others:
            counted[f"copy of {other.entry.name}"] += int(_copied(prints, target, ground, other).sum())
        for name, there in (("training", ground.training), ("test", ground.test)):
            counted[f"copy of a {name} model"] += ground.copies(prints, there)
        if ground.originals is not None:
            given_back = (prints - ground.originals).norm(dim=1) <= ROUNDING * ground.spread
            counted["input given back"] += int(given_back.sum())
        counted["equal to another of its own"] += int(_equal(prints, ground.spread).sum())
        wanted = ground.form.models[-1]
        if len(prints) < wanted:
            fewest[len(prints)] = f"{len(prints)} {'model' if len(prints) == 1 else 'models'} where {wanted} are asked"
    marks = [f"{what} ({count} of {models} models)" for what, count in counted.items() if count]
    return (*marks, *(fewest[count] for count in sorted(fewest)[:1]))


def _copied(prints: Tensor, target: str, ground: _Ground, other: Known) -> Tensor:
    """Which models [models] are copies of another entry's for the target; for reconstructions, only of the same row.

    Two good reconstructions are close to the same model, so their distance is measured by the other's own error.
    """
    found = torch.zeros(len(prints), dtype=torch.bool)
    for (of, _), weights in other.answers.items():
        if of != target:
            continue
        theirs = ground.prints(_tensor(weights))
        if ground.originals is None:
            found |= torch.cdist(prints, theirs).amin(1) <= SHARE * ground.spread
        else:
            error = (theirs - ground.originals).norm(dim=1).clamp(max=ground.spread)
            found |= (prints - theirs).norm(dim=1) <= SHARE * error
    return found


def _equal(prints: Tensor, spread: float) -> Tensor:
    """Which models [models] are equal to another one among them."""
    apart = torch.cdist(prints, prints)
    apart.fill_diagonal_(torch.inf)
    return apart.amin(1) <= SHARE * spread


def _tensor(answer: Answer) -> Tensor:
    assert isinstance(answer, Weights), "a track holds one kind of answers"
    return answer.weights


Predicted = dict[tuple[str, str], list[tuple[NDArray[np.float64], NDArray[np.float64]]]]
"""By target and property, for each seed predictions and truth [checkpoints], in the order of the checkpoints."""


def _marks_of_predictions(
    track: Track, references: Mapping[str, Population], answers: Answers, others: Sequence[Known]
) -> tuple[str, ...]:
    mine, counted = _predicted(references, answers), Counter[str]()
    theirs = {other.entry.name: _predicted(references, other.answers) for other in others}
    columns = 0
    for (target, name), seeds in mine.items():
        for values, truth in seeds:
            columns += 1
            for other, known in theirs.items():
                pairs = known.get((target, name), [])
                counted[f"copy of {other}"] += any(_is_copy(values, each, truth, track.tolerance) for each, _ in pairs)
            exact = max(track.tolerance, OF_TRUTH * float(truth.std()))
            counted["measurements given back"] += probe.recorded(name) in MEASURED and _rms(values - truth) <= exact
    return tuple(f"{what} ({count} of {columns} predicted columns)" for what, count in counted.items() if count)


def _predicted(references: Mapping[str, Population], answers: Answers) -> Predicted:
    """Predictions of properties that are numbers; there are few classes, so they agree by chance."""
    found: Predicted = {}
    for (target, _), answer in answers.items():
        assert isinstance(answer, Predictions), "a track holds one kind of answers"
        observed = probe.judge(answer.table, references[target].split("test").table)
        for name, rows in observed[observed["kind"] == "number"].sort_values(["model", "epoch"]).groupby("property"):
            pair = rows["predicted"].to_numpy(float), rows["truth"].to_numpy(float)
            found.setdefault((target, str(name)), []).append(pair)
    return found


def _is_copy(
    values: NDArray[np.float64], others: NDArray[np.float64], truth: NDArray[np.float64], tolerance: float
) -> bool:
    """Whether predictions, or their order, are closer to others than a share of the others' error and deviation.

    Constant predictions are never copies: without information, everybody predicts the mean.
    """
    if np.ptp(others) <= tolerance:
        return False
    if _rms(values - others) <= max(tolerance, OF_ERROR * min(_rms(others - truth), float(others.std()))):
        return True
    ranks = [rankdata(each) for each in (values, others, truth)]
    error = min(_rms(ranks[1] - ranks[2]), float(ranks[1].std()))
    return len(values) >= RANKED and _rms(ranks[0] - ranks[1]) <= OF_ERROR * error


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
