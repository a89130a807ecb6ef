"""Networks of logits that are learned beside trained models, and plugged into others.

Sources: Lu et al., Transferable post-training via inverse value learning, arXiv 2410.21027; Liu et al., Tuning language
models by proxy, arXiv 2401.08565.
"""

from dataclasses import replace
from typing import Any

from zoobench.methods.method import Method
from zoobench.methods.unlearned import Unlearned
from zoobench.methods.value.methods import (
    CascadeValue,
    LogitEnsemble,
    ProxyTuning,
    ResidualValue,
    ValueAlone,
    ZeroValue,
)
from zoobench.populations import Access

__all__ = [
    "CASCADE_VALUE",
    "LOGIT_ENSEMBLE",
    "PROXY_TUNING",
    "RESIDUAL_VALUE",
    "VALUE_ALONE",
    "ZERO_VALUE",
    "CascadeValue",
    "LogitEnsemble",
    "ProxyTuning",
    "ResidualValue",
    "ValueAlone",
    "ZeroValue",
]

PAPER = "arXiv 2410.21027"
NORMS = {"norm_0": 0.0, "norm_0.01": 0.01, "norm_0.1": 0.1, "norm_1": 1.0}


def _learner(name: str, made: ResidualValue, summary: str) -> Method:
    presets = {"default": made} | {preset: replace(made, norm=norm) for preset, norm in NORMS.items()}
    presets |= {"several": replace(made, several=True), "fresh": replace(made, start="fresh")}
    return Method(name, type(made), presets, learns=False, access=Access.LABELS, summary=summary, paper=PAPER)


def _control(name: str, made: Unlearned, summary: str, **fields: Any) -> Method:
    given: dict[str, Any] = {"baseline": True, "access": Access.LABELS, "paper": PAPER} | fields
    return Method(name, type(made), {"default": made}, learns=False, summary=summary, **given)


RESIDUAL_VALUE = _learner("residual_value", ResidualValue(), "Learns logits to add, from the image")
CASCADE_VALUE = _learner("cascade_value", CascadeValue(), "Learns logits to add, from the image and the base's answer")
PROXY_TUNING = _control(
    "proxy_tuning",
    ProxyTuning(),
    "Adds what training changed in a model's logits",
    baseline=False,
    paper="arXiv 2401.08565",
)
LOGIT_ENSEMBLE = _control("logit_ensemble", LogitEnsemble(), "Adds the logits of the trained base")
VALUE_ALONE = _control("value_alone", ValueAlone(), "Adds the logits of a network that knows no base")
ZERO_VALUE = _control("zero_value", ZeroValue(), "Adds nothing to the base", random=False, access=Access.WEIGHTS)
