"""Neural functionals that commute with permutations of hidden units.

Source: Zhou et al., Permutation equivariant neural functionals, NeurIPS 2023, arXiv 2302.14040.
"""

from zoobench.methods.method import Method
from zoobench.methods.nfn.method import Nfn, NfnConfig

__all__ = ["METHOD", "Nfn", "NfnConfig"]

METHOD = Method(
    "nfn",
    Nfn,
    {"tiny": NfnConfig(), "small": NfnConfig(steps=6000, channels=(64, 64, 64, 16), hidden=1000, width=128)},
    summary="Embeds a model by layers that commute with permutations of its hidden units; plain chains only",
    paper="arXiv 2302.14040",
)
