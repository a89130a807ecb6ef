"""Methods by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo_generation.errors import unknown
from zoobench.methods.base import Fit, Learned
from zoobench.methods.baselines import Anchors, FlatWeights, LayerStatistics, RandomInit
from zoobench.methods.sane import PRESETS, Sane


@dataclass(frozen=True, eq=False)
class Method:
    """A registered method: how it is fitted, how a fitted one is read, and its configurations by name.

    The first configuration is the default. One that is not `random` gives the same under every seed, and is measured
    under one.
    """

    name: str
    fit: Fit
    load: Callable[[Path], Learned]
    presets: Mapping[str, object] = field(default_factory=lambda: {"default": None})
    baseline: bool = False
    random: bool = True

    def config(self, preset: str | None) -> object:
        """The configuration of that name. Raises `InputError` where there is none."""
        if preset is None:
            return next(iter(self.presets.values()))
        if preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, self.presets)
        return self.presets[preset]


_METHODS = {
    method.name: method
    for method in (
        Method("sane", Sane.fit, Sane.load, PRESETS),
        Method("flat_weights", FlatWeights.fit, FlatWeights.load, baseline=True, random=False),
        Method("layer_statistics", LayerStatistics.fit, LayerStatistics.load, baseline=True, random=False),
        Method("random_init", RandomInit.fit, RandomInit.load, baseline=True),
        Method("anchors", Anchors.fit, Anchors.load, baseline=True, random=False),
    )
}


def get_method(name: str) -> Method:
    """The method of that name. Raises `InputError`, naming the nearest match, where there is none."""
    if name not in _METHODS:
        raise unknown("method", name, _METHODS)
    return _METHODS[name]


def baselines() -> list[Method]:
    """The methods that every other is shown beside."""
    return [method for method in _METHODS.values() if method.baseline]
