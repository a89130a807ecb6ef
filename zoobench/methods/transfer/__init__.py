"""Transfer between any two trained models.

Source: Roth, Thede et al., Fantastic gains and where to find them, arXiv 2310.17653.
"""

from dataclasses import replace

from zoobench.methods.method import Method
from zoobench.methods.transfer.distillation import Distillation, Lesson
from zoobench.methods.transfer.methods import (
    ContinuedTraining,
    DataPartitioning,
    Kl,
    Mcl,
    PermutedTeacher,
    SelfDistillation,
    XeKl,
)

__all__ = [
    "CONTINUED_TRAINING",
    "DATA_PARTITIONING",
    "KL",
    "MCL",
    "PERMUTED_TEACHER",
    "SELF_DISTILLATION",
    "XE_KL",
    "ContinuedTraining",
    "DataPartitioning",
    "Distillation",
    "Kl",
    "Lesson",
    "Mcl",
    "PermutedTeacher",
    "SelfDistillation",
    "XeKl",
]

PAPER = "arXiv 2310.17653"


def _method(name: str, made: Distillation, summary: str, *, baseline: bool = False, paper: str = PAPER) -> Method:
    presets = {"default": made, "sequence": replace(made, several="sequence")}
    if isinstance(made, DataPartitioning):
        presets["unsupervised"] = replace(made, supervised=False)
    return Method(name, type(made), presets, baseline, learns=False, access=made.access, summary=summary, paper=paper)


KL = _method("kl", Kl(), "Teaches by distillation")
XE_KL = _method("xe_kl", XeKl(), "Teaches by distillation and labels")
MCL = _method("mcl", Mcl(), "Teaches by distillation and labels, slow weights", paper="arXiv 2211.03186")
DATA_PARTITIONING = _method(
    "data_partitioning", DataPartitioning(), "Teaches what the teacher knows better, and keeps the rest"
)
CONTINUED_TRAINING = _method("continued_training", ContinuedTraining(), "Trains on labels, no teacher", baseline=True)
SELF_DISTILLATION = _method("self_distillation", SelfDistillation(), "Is its own teacher", baseline=True)
PERMUTED_TEACHER = _method(
    "permuted_teacher", PermutedTeacher(), "Data partitioning with answers to other images", baseline=True
)
