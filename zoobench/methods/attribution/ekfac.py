"""Attribution by influence with eigenvalue-corrected Kronecker factors, as the package kronfluence computes it.

Source: Grosse et al., Studying Large Language Model Generalization with Influence Functions, arXiv 2308.03296.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.layerwise import plain_layers
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoobench.methods.attribution.bank import MeanOfMembers, Member
from zoobench.methods.protocols import InapplicableError

BATCH = 128  # images


@dataclass(frozen=True)
class KroneckerInfluence(MeanOfMembers):
    """−∇f(z)ᵀ(G + λI)⁻¹∇L(i), where G is a Kronecker product for each layer, with eigenvalues of its own, and not the
    whole Gauss-Newton matrix of `ExactInfluence`: also for larger networks.

    Needs the package kronfluence. Takes networks of linear layers and plain convolutions. λ: a tenth of the mean
    eigenvalue of each layer.
    """

    def scores(self, member: Member) -> Tensor:
        """Raises `InapplicableError` without the package, and for other layers."""
        try:
            from kronfluence.analyzer import Analyzer, prepare_model
            from kronfluence.arguments import ScoreArguments
        except ImportError:
            raise InapplicableError(
                "influence_ekfac needs the package kronfluence; install it with 'pip install zoobench[attribution]'"
            ) from None
        module = member.module()
        if not plain_layers(module, [name for name, _ in module.named_parameters()]):
            raise InapplicableError("influence_ekfac takes networks of linear layers and plain convolutions alone")
        module.load_state_dict(member.path.layout.unflatten(member.path.weights[-1]), strict=False)
        seen = Images(member.train.images[member.seen], member.train.labels[member.seen])
        told, task = logging.getLogger().level, _task()
        with tempfile.TemporaryDirectory() as folder, seeded(EVALUATION_SEED, "cpu"):
            analyzer = Analyzer(
                "ekfac", prepare_model(module, task), task, cpu=True, disable_tqdm=True, output_dir=folder, log_level=50
            )
            analyzer.fit_all_factors("factors", _dataset(seen), per_device_batch_size=BATCH)
            analyzer.compute_pairwise_scores(
                "scores",
                "factors",
                _dataset(member.asked),
                _dataset(member.train),
                per_device_query_batch_size=BATCH,
                per_device_train_batch_size=BATCH,
                score_args=ScoreArguments(damping_factor=None),
            )
            found: Tensor = analyzer.load_pairwise_scores("scores")["all_modules"]
        logging.getLogger().setLevel(told)
        return -found.double() / len(seen.labels)


def _dataset(images: Images) -> TensorDataset:
    return TensorDataset(images.images, images.labels)


def _task() -> Any:
    """What kronfluence is to differentiate: the loss of training images, and the margin of asked ones."""
    from kronfluence.task import Task

    class Margins(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: tuple[Tensor, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
            pixels, labels = batch
            answers = model(pixels)
            if sample:  # labels of the model's own, for the Fisher matrix, which is G
                labels = torch.multinomial(answers.detach().softmax(1), 1).flatten()
            return F.cross_entropy(answers, labels, reduction="sum")

        def compute_measurement(self, batch: tuple[Tensor, Tensor], model: nn.Module) -> Tensor:
            pixels, labels = batch
            return margins(model(pixels), labels).sum()

    return Margins()
