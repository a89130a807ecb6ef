"""Methods by name: those that are built in, and those of installed packages."""

from __future__ import annotations

from zoo_generation.errors import unknown
from zoobench.methods.baselines import (
    PCA_PRESETS,
    AnchorAverage,
    Anchors,
    FlatWeights,
    LayerStatistics,
    MatchedAverage,
    Pca,
    RandomInit,
    SpectralStatistics,
    WeightDensity,
)
from zoobench.methods.method import Method
from zoobench.methods.plugins import load_plugin, plugin_names, warn_of_plugins_named
from zoobench.methods.sane import PRESETS, Sane
from zoobench.methods.unlearned import Unlearned

__all__ = ["Method", "baselines", "get_method", "method_names"]


def _baseline(name: str, method: type[Unlearned], random: bool = False) -> Method:
    return Method(name, method, baseline=True, random=random, learns=False)


_METHODS = {
    method.name: method
    for method in (
        Method("sane", Sane, PRESETS),
        _baseline("flat_weights", FlatWeights),
        _baseline("layer_statistics", LayerStatistics),
        _baseline("spectral_statistics", SpectralStatistics),
        Method("pca", Pca, PCA_PRESETS, baseline=True, random=False),
        _baseline("random_init", RandomInit, random=True),
        _baseline("anchors", Anchors),
        _baseline("anchor_average", AnchorAverage),
        _baseline("matched_average", MatchedAverage),
        _baseline("weight_density", WeightDensity, random=True),
    )
}


def get_method(name: str) -> Method:
    """The method of that name: the one that is built in, whatever others are installed, or else that of a package.

    Raises `InputError`, naming the nearest match, where there is none, and where that of a package cannot be used.
    """
    if name in _METHODS:
        warn_of_plugins_named(name)
        return _METHODS[name]
    if name in plugin_names():
        return load_plugin(name)
    raise unknown("method", name, method_names())


def method_names() -> list[str]:
    """The names of all methods, those of installed packages last; these are not imported for it."""
    return [*_METHODS, *sorted(plugin_names() - _METHODS.keys())]


def baselines() -> list[Method]:
    """The methods that every other is shown beside."""
    return [method for method in _METHODS.values() if method.baseline]
