"""The record of a method, built in or from another package: its class, its configurations, its needs and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_generation.errors import unknown
from zoo_generation.settings import changed
from zoobench.methods.identity import digest_of
from zoobench.methods.protocols import Fittable, FittedModel
from zoobench.populations.evidence import Access


@dataclass(frozen=True)
class Cost:
    """Floating-point operations, 0 if unknown: fit: of one fit; token: of encoding one token of a checkpoint; trained:
    of training on one token, for fits whose budget is a number of passes over all of them."""

    fit: float = 0.0
    token: float = 0.0
    trained: float = 0.0


def _unknown_cost(config: Any) -> Cost:
    return Cost()


@dataclass(frozen=True, eq=False)
class Method:
    """A method: its class, and its configurations by name.

    kind: the class; presets: configurations, the first of which is the default; baseline: whether other methods are
    compared with it; random: False if it gives the same result under every seed, so that one seed is measured; learns:
    False if the token set that it is fitted to does not matter. access: the data that it needs to see; tasks that allow
    less skip it. runs_models: whether it runs the models, on inputs of its own. summary: what it is in one line; paper:
    where it is published, such as `arXiv 2406.09997`; version: raised by one whenever its scores change, so that old
    and new ones stay apart. sampling: default settings of its sampler, a frozen dataclass, None if it has none (see
    `Samplable`); cost: of fitting in a configuration, and of encoding.

    >>> from zoobench.methods.baselines import FlatWeights
    >>> Method("mine", FlatWeights, learns=False, summary="The weights themselves").access.name
    'WEIGHTS'
    """

    name: str
    kind: type[Fittable]
    presets: Mapping[str, object] = field(default_factory=lambda: {"default": None})
    baseline: bool = False
    random: bool = True
    learns: bool = True
    access: Access = Access.WEIGHTS
    runs_models: bool = False
    summary: str = ""
    paper: str = ""
    version: int = 1
    sampling: Any = None
    cost: Callable[[Any], Cost] = _unknown_cost

    @property
    def fit(self) -> Callable[..., FittedModel]:
        """Fits it: `fit(tokens, seed, config, execution=HERE)`."""
        return self.kind.fit

    @property
    def load(self) -> Callable[[Path], FittedModel]:
        """Reads a fitted method from a folder."""
        return self.kind.load

    @property
    def link(self) -> str | None:
        """Address of its paper, None if that is not on arXiv."""
        where, _, number = self.paper.partition(" ")
        return f"https://arxiv.org/abs/{number}" if where == "arXiv" else None

    def identity(self, config: object) -> str:
        """What decides, besides data and seed, what it learns: its configuration and, for a method of another package
        or a notebook, how it is written, which changes while it is being written."""
        text = digest_of(self.kind)
        return f"{config!r}:{text}" if text else repr(config)

    def __repr__(self) -> str:
        return f"<Method {self.name}, version {self.version}: {self.summary or self.kind.__name__}>"

    def config(self, preset: str | None, settings: Mapping[str, Any] | None = None) -> object:
        """The configuration of that name, changed by `settings` such as `{"window": 32}`.

        Raises `InputError` if there is no such configuration, or if it has no such setting, or the value is not
        allowed.
        """
        if preset is not None and preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, self.presets)
        config = self.presets[preset] if preset is not None else next(iter(self.presets.values()))
        return changed(config, settings or {}, "hyperparameter")
