"""Models embedded by what they answer to probes: learned ones, or random ones as a control.

Source: Kahana et al., Deep linear probe generators for weight space learning, ICLR 2025, arXiv 2410.10811.
"""

from zoobench.methods.method import Method
from zoobench.methods.probegen.method import ProbeGen, ProbeGenConfig, RandomProbes

__all__ = ["METHOD", "RANDOM_PROBES", "ProbeGen", "ProbeGenConfig", "RandomProbes"]

METHOD = Method(
    "probegen",
    ProbeGen,
    {"tiny": ProbeGenConfig(), "small": ProbeGenConfig(steps=6000, probes=128, width=256, layers=6)},
    runs_models=True,
    summary="Embeds a model by its answers to learned images",
    paper="arXiv 2410.10811",
)
RANDOM_PROBES = Method(
    "random_probes",
    RandomProbes,
    {"default": RandomProbes()},
    learns=False,
    runs_models=True,
    summary="Embeds a model by its answers to random images",
    paper="arXiv 2410.10811",
)
