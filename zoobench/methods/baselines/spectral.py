"""Checkpoints as statistics of the singular values of their weight matrices.

Sources: Martin, Peng & Mahoney, Predicting trends in the quality of state-of-the-art neural networks without access to
training or testing data, arXiv 2002.06716 (logarithms of norms; tails of the spectrum); Roy & Vetterli, The effective
rank, EUSIPCO 2007; Hill, A simple general approach to inference about the tail of a distribution, 1975.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population

ELEMENTS = 2**24  # of matrices decomposed at once, 64 MiB
SMALLEST = 1e-12  # singular value, so that a layer of zeros has logarithms too


class SpectralStatistics(Unlearned):
    """Six numbers per weight matrix, those of `statistics`; a convolution's kernels are rows [out, in · height ·
    width].

    Vectors (biases, BatchNorm) have no spectrum and are left out.
    """

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, 6 · weight matrices]"""
        features = [torch.zeros(len(population), 0)]
        for entry in population.layout:
            if len(entry.shape) > 1:
                matrices = population.weights[:, entry.span].unflatten(1, (entry.shape[0], -1))
                chunks = matrices.split(max(1, ELEMENTS // entry.numel))
                features.append(torch.cat([statistics(torch.linalg.svdvals(chunk)) for chunk in chunks]))
        return torch.cat(features, dim=1)


def statistics(values: Tensor) -> Tensor:
    """Six statistics [matrices, 6] of singular values [matrices, rank], which are sorted from the largest.

    The decimal logarithms of the Frobenius norm, of the spectral norm (the largest value) and of the nuclear norm (the
    sum); the stable rank (squared Frobenius by squared spectral norm); the effective rank (the exponential of the
    entropy of the values as shares of their sum); and Hill's estimate of the tail of the squared values: the mean
    logarithm of the larger half of them by the largest of the rest, one by the exponent of a power law.
    """
    values = values.clamp(min=SMALLEST)
    frobenius, spectral, nuclear = values.norm(dim=1), values[:, 0], values.sum(1)
    entropy = torch.special.entr(values / nuclear[:, None]).sum(1)
    tail = values.shape[1] // 2
    excess = 2 * (values[:, :tail] / values[:, tail : tail + 1]).log()
    hill = excess.mean(1) if tail else torch.zeros_like(spectral)
    norms = [norm.log10() for norm in (frobenius, spectral, nuclear)]
    return torch.stack([*norms, (frobenius / spectral) ** 2, entropy.exp(), hill], dim=1)
