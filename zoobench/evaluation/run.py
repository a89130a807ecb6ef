"""One composition of zoos, several methods, every task: measurements and generated models.

What is expensive is kept by content: a token set under the hash of what it holds, a fitted method under the
hash of the token set, the method's configuration and the seed. The same evaluation again reads them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.kept import kept, save
from zoo_generation.names import inside
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.training.sink import Status
from zoobench.methods.protocols import Embedder, Execution, FittedModel, InapplicableError
from zoobench.methods.registry import Method
from zoobench.populations import KEPT, TokenSet, select_checkpoints, write_token_set
from zoobench.tasks import probe
from zoobench.tasks.base import Outcome, Setting, Task
from zoobench.tasks.generation import Generation
from zoobench.tasks.measurement import Measurement, tidy
from zoobench.tasks.probe import Embedded
from zoobench.tasks.property_prediction import POOLED, PropertyPrediction
from zoobench.zoo import Zoo

Stage = Callable[[str], Any]
"""Told what is about to be done; may return a reporter of steps."""


@dataclass
class Evaluation:
    """What came of it: measurements, and what came of generating, by (method, population, seed).

    `key` is the hash of what is in the token set; `failures`: why the tasks that could not be done could not, each
    reason with the methods it is of.
    """

    key: str
    tokens: TokenSet
    measurements: list[Measurement] = field(default_factory=list)
    generated: dict[tuple[str, str, int], Outcome] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    @contextmanager
    def trying(self, task: str, method: str, target: str) -> Iterator[None]:
        """What cannot be done in the block is left out, and noted; silently where it is not for such a method."""
        try:
            yield
        except InapplicableError:
            pass
        except InputError as error:
            methods = self.failures.setdefault(f"{task} on {target}: {error}", [])
            methods += [method] if method not in methods else []

    def table(self) -> pd.DataFrame:
        """One row a measurement."""
        return tidy(self.measurements)


def run(
    zoos: Sequence[Zoo],
    methods: Mapping[Method, object],
    seeds: Sequence[int],
    runs: Path,
    *,
    protocol: Generation,
    statuses: Sequence[Status] = KEPT,
    data_root: Path | None = None,
    stage: Stage = lambda _: None,
) -> Evaluation:
    """Fit each method, in the configuration given with it, to the zoos' training models and measure it on every
    population, under each seed. Models of other `statuses` than these are left out, and what cannot be measured.

    Raises `InputError` where nothing can be measured, where a method cannot be fitted, and where an architecture is not
    registered.
    """
    for architecture in sorted({name for zoo in zoos for name in zoo.models["architecture"]}):
        get_architecture(architecture)  # before hours of training: a user's has to be named
    key, tokens = token_set(zoos, statuses, runs, stage)
    evaluation, prediction = Evaluation(key, tokens), PropertyPrediction()
    for method, config in methods.items():
        for seed in seeds if method.random else seeds[:1]:
            learned: Any = fitted(method, config, tokens, seed, runs / key, stage)
            settings = [Setting(target, tokens.populations, seed, data_root) for target in tokens.populations]
            if prediction.asks(learned):
                stage(f"{method.name}: predicting properties")
                for setting in settings:
                    with evaluation.trying(prediction.name, method.name, setting.target.name):
                        outcome = prediction.observe(learned, setting)
                        evaluation.measurements += _scores(prediction, method.name, setting, outcome)
            if isinstance(learned, Embedder):
                with evaluation.trying(POOLED, method.name, "all populations"):
                    evaluation.measurements += _pooled(method.name, learned, tokens, seed)
            if protocol.asks(learned):
                for setting in settings:
                    stage(f"{method.name}: generating models for {setting.target.name}")
                    with evaluation.trying(protocol.name, method.name, setting.target.name):
                        outcome = protocol.observe(learned, setting)
                        evaluation.generated[method.name, setting.target.name, seed] = outcome
                        evaluation.measurements += _scores(protocol, method.name, setting, outcome)
    if not evaluation.measurements and evaluation.failures:
        raise InputError(next(iter(evaluation.failures)))
    return evaluation


def _scores(task: Task, method: str, setting: Setting, outcome: Outcome) -> list[Measurement]:
    scores = task.score(outcome.observations)
    return [
        Measurement(task.name, method, setting.target.name, metric, setting.seed, value)
        for metric, value in scores.items()
    ]


def _pooled(name: str, method: Embedder, tokens: TokenSet, seed: int) -> list[Measurement]:
    """One probe for all populations, where there are several and the method embeds them all in one space."""
    tables = pd.concat([population.table for population in tokens.populations], ignore_index=True)
    hidden = [column for column, _ in probe.varying_classes(tables)]
    embedded = [Embedded.of(method, population, hidden) for population in tokens.populations]
    if len(embedded) < 2 or len({each.features.shape[1] for each in embedded}) > 1:
        return []
    fit, test = Embedded.join([each.rest for each in embedded]), Embedded.join([each.test for each in embedded])
    scores = probe.score(probe.read(fit, test))
    return [Measurement(POOLED, name, "pooled", metric, seed, value) for metric, value in scores.items()]


def token_set(zoos: Sequence[Zoo], statuses: Sequence[Status], runs: Path, stage: Stage) -> tuple[str, TokenSet]:
    """The hash of the zoos' checkpoints, and their token set as it is kept under it in `runs`, or is made now."""
    selected = select_checkpoints(zoos, statuses=statuses)
    path = runs / selected.digest / "tokens"
    tokens = kept(path, TokenSet.read)
    if tokens is None:
        stage("tokenizing")
        tokens = write_token_set(path, selected)
    return selected.digest, tokens.bounded()


def fitted(method: Method, config: object, tokens: TokenSet, seed: int, folder: Path, stage: Stage) -> FittedModel:
    """The method as it is kept in the folder of its token set, or fitted now, and kept there."""
    path = fitted_path(method, config, seed, folder)
    if (learned := kept(path, method.load)) is not None:
        return learned
    report = stage(f"{method.name}: training, seed {seed}")
    scratch = path.with_name(f"{path.name}.training")
    seen = tokens.without("test")
    learned = method.fit(seen, seed, config, Execution(scratch=scratch, report=report))
    shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method is there
    save(learned, path)
    return learned


def fitted_path(method: Method, config: object, seed: int, folder: Path) -> Path:
    """Where a fitted method is kept."""
    return inside(folder, f"{method.name}-{hashlib.sha256(method.identity(config).encode()).hexdigest()[:8]}-{seed}")
