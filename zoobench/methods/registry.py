"""Methods by name: built-in ones, and those of installed packages (`docs/your-method.md`)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from zoo_generation.errors import InputError
from zoo_generation.registry import Registry
from zoobench.methods.method import Method
from zoobench.methods.protocols import (
    Attributor,
    Embedder,
    Extractor,
    Generator,
    Grower,
    MembershipReader,
    Merger,
    Predictor,
    Reconstructor,
    TablePredictor,
    Tracer,
    Transferrer,
    ValueLearner,
)

PARTS = ("fit", "save", "load")
PROTOCOLS = (
    *(Embedder, Predictor, TablePredictor, Generator, Reconstructor),
    *(Merger, Transferrer, Grower, ValueLearner, Attributor, MembershipReader, Tracer, Extractor),
)


def checked(name: str, found: object) -> Method:
    """The method that an entry point names. Raises `InputError` if it cannot be used under that name."""
    if not isinstance(found, Method):
        raise InputError(f"is of type {type(found).__name__}, not a zoobench.methods.Method; name one")
    if found.name != name:
        raise InputError(f"calls itself '{found.name}'; give the entry point and the Method one name")
    for part in PARTS:
        if not callable(getattr(found.kind, part, None)):
            raise InputError(f"lacks {part}(); a method has {_list(PARTS, 'and')}, or is an Unlearned")
    if not isinstance(found.kind, PROTOCOLS):
        names = _list([protocol.__name__ for protocol in PROTOCOLS], "or")
        raise InputError(f"can do nothing that a task asks for; let its class be an {names}")
    return found


BASELINES = (
    "flat_weights",
    "layer_statistics",
    "spectral_statistics",
    "pca",
    "random_init",
    "anchors",
    "anchor_average",
    "matched_average",
    "average",
    "weight_density",
    "training_mean",
    "hyperparameters",
)
"""The baselines that every evaluation includes."""

CONTROLS = (
    "noise_10",
    "noise_20",
    "noise_40",
    "noise_80",
    "interpolation",
    "soup",
    "weight_gaussian",
    "pca_gaussian",
    "split_density",
)
"""The baselines that critics of weight generation ask for: they are measured if they are named."""

MERGERS = (
    "regmean",
    "regmean_plus",
    "pleas",
    "fisher",
    "empirical_fisher",
    "greedy_soup",
    "task_arithmetic",
    "ties",
    "dare",
    "wudi",
    "repair",
    "repair_pleas",
)
"""The methods that make one model of several; of the baselines, `average` and `matched_average` do."""

TRANSFER = (
    "kl",
    "xe_kl",
    "mcl",
    "data_partitioning",
    "continued_training",
    "self_distillation",
    "permuted_teacher",
)
"""Methods of transfer, and their controls."""

GROWERS = (
    "net2net",
    "ligo",
    "mango",
    "aki",
    "stack",
    "interleave",
    "random_padding",
    "knowledge_inheritance",
    "scratch",
)
"""Methods that make large models of small ones, and their floor `scratch`."""

VALUE = ("residual_value", "cascade_value", "proxy_tuning", "logit_ensemble", "value_alone", "zero_value")
"""Methods that add logits to those of trained models, and their controls."""

ATTRIBUTION = (
    "random_scores",
    "same_class",
    "pixel_similarity",
    "penultimate_similarity",
    "grad_dot",
    "grad_cos",
    "tracin",
    "gas",
    "trak",
    "influence_exact",
    "influence_ekfac",
    "source",
    "empirical_influence",
    "datamodel_ridge",
    "datamodel_lasso",
)
"""Methods that say what each training image contributed, the simplest first."""

MEMBERSHIP = ("random_membership", "loss_threshold", "confidence_threshold", "gradient_norm", "lira")
"""Methods that say which training images a model saw, the simplest first."""

TRACERS = (
    "random_parents",
    "weight_distance",
    "matched_distance",
    "layer_cosine",
    "mother",
    "phylogeny",
    "independence",
    "cka",
    "behaviour",
)
"""Methods that say which model another one was trained from; embedders are read by the task."""

SKILLS = ("emergence_law", "measured_skills")
"""Methods that predict skills by what is known of them: the floor and the ceiling."""

EXTRACTORS = ("base_alone", "imitation", "last_layer")
"""Methods that copy models from their answers."""

METHODS = Registry(
    "method",
    "zoobench.methods",
    {
        "sane": "zoobench.methods.sane:METHOD",
        "weight_flow": "zoobench.methods.weight_flow:METHOD",
        "p_diff": "zoobench.methods.p_diff:METHOD",
        "hyper_representation": "zoobench.methods.hyper_representation:METHOD",
        "sane_diffusion": "zoobench.methods.sane_diffusion:METHOD",
        "d2nwg": "zoobench.methods.d2nwg:METHOD",
        "d2nwg_lite": "zoobench.methods.d2nwg:LITE",
        "statnn": "zoobench.methods.statnn:METHOD",
        "neural_graph": "zoobench.methods.neural_graph:METHOD",
        "nfn": "zoobench.methods.nfn:METHOD",
        "probegen": "zoobench.methods.probegen:METHOD",
        "random_probes": "zoobench.methods.probegen:RANDOM_PROBES",
    }
    | {name: f"zoobench.methods.merging:{name.upper()}" for name in MERGERS}
    | {name: f"zoobench.methods.transfer:{name.upper()}" for name in TRANSFER}
    | {name: f"zoobench.methods.growth:{name.upper()}" for name in GROWERS}
    | {name: f"zoobench.methods.value:{name.upper()}" for name in VALUE}
    | {name: f"zoobench.methods.attribution:{name.upper()}" for name in ATTRIBUTION}
    | {name: f"zoobench.methods.membership:{name.upper()}" for name in MEMBERSHIP}
    | {name: f"zoobench.methods.lineage:{name.upper()}" for name in TRACERS}
    | {name: f"zoobench.methods.skills:{name.upper()}" for name in SKILLS}
    | {name: f"zoobench.methods.extraction:{name.upper()}" for name in EXTRACTORS}
    | {name: f"zoobench.methods.baselines:{name.upper()}" for name in (*BASELINES, *CONTROLS)},
    checked,
)


def get_method(name: str) -> Method:
    """The method of that name: the built-in one, or else one of an installed package.

    `method-preset` is a method of its own, whose first configuration is that preset: so several presets of a method can
    be measured side by side. It sees what that preset needs (its `access`), if that is less. Raises `InputError` with
    the nearest match if there is none, or if the package's method cannot be used.

    >>> get_method("pca").baseline
    True
    >>> next(iter(get_method("sane-base").presets))
    'base'
    """
    whole, _, preset = name.rpartition("-")
    return _under(name, whole, preset) if name not in METHODS and whole in METHODS else METHODS.get(name)


@cache
def _under(name: str, whole: str, preset: str) -> Method:
    """A method that is called `name`, whose first configuration is a preset of another; always the same object."""
    method = METHODS.get(whole)
    first = {preset: method.config(preset)}
    access = getattr(first[preset], "access", method.access)
    summary = f"{method.summary}; preset {preset}"
    return replace(method, name=name, summary=summary, access=access, presets=first | dict(method.presets))


def method_names() -> list[str]:
    """The names of all methods, those of installed packages last. Imports none of them."""
    return list(METHODS.names())


def baselines() -> list[Method]:
    """The methods that every other method is compared with, unless an evaluation names its own."""
    return [METHODS.get(name) for name in BASELINES]


def _list(names: tuple[str, ...] | list[str], word: str) -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
