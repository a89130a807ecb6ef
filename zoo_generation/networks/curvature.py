"""How the loss of many networks curves: the largest eigenvalue of their Hessian, and its trace.

Sources: Yao et al., PyHessian, arXiv 1912.07145, section 3; Yang et al., arXiv 2107.11228, which take both for how
sharp a minimum is. The Hessian is that of `gradients.hessian_vector`: of the mean cross-entropy in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.gradients import HessianProduct, of_hessians, positions
from zoo_generation.progress import QUIET, Progress

AT_ONCE = 2**26  # numbers of probes, and of their products, in memory at once
ENDED = 1e-6  # of the largest step between Lanczos vectors in double precision; what is less is rounding
ENDED_IN_SINGLE = 1e-4  # the same where products are in single precision


@dataclass(frozen=True)
class Curvature:
    """Of each model, float64 [models]: the largest eigenvalue of its Hessian, and its trace."""

    top_eigenvalue: Tensor
    trace: Tensor


def curvature(
    weights: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    *,
    steps: int = 15,
    probes: int = 30,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> Curvature:
    """The largest eigenvalue and the trace of each model's Hessian, by its parameters, on all of the images.

    weights: [models, D], float64 for double precision, float32 for half the time; steps: products with the Hessian for
    the eigenvalue, see `largest_eigenvalues`; probes: vectors of signs whose products the trace is the mean of, the
    same for all models, see `signs`. Raises `InputError` as `gradients.per_example` does.
    """
    size = len(positions(layout, module))
    start = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def measured(rows: Tensor, product: HessianProduct) -> Tensor:
        top = largest_eigenvalues(product, start.expand(len(rows), size), steps)
        return torch.stack([top, _traces(product, signs(probes, size, seed), len(rows))], dim=1)

    found = of_hessians(weights, layout, module, images, measured, device=device, progress=progress)
    top, trace = torch.cat(found).unbind(1)
    return Curvature(top, trace)


def signs(probes: int, size: int, seed: int = 0) -> Tensor:
    """The probes of the trace: ±1, float64 [probes, size], of which each depends on the seed and its number alone.

    >>> signs(2, 3).abs().sum()
    tensor(6., dtype=torch.float64)
    """
    drawn = torch.randint(2, (probes, size), generator=torch.Generator().manual_seed(seed + 1), dtype=torch.int8)
    return drawn.double() * 2 - 1


def largest_eigenvalues(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """The largest eigenvalue of each model's Hessian, float64 [models], by so many steps of Lanczos.

    product: of vectors [1, models, P] with the Hessians; start: a vector for each model, [models, P]. Vectors are made
    orthogonal to all before, twice, so that no eigenvalue is found again. After P steps the eigenvalue is exact. It is
    the largest one, where power iteration finds that of the largest modulus, and is never above the truth. Source:
    Lanczos, J. Res. Nat. Bur. Stand. 45 (1950), 255.
    """
    current = (start / start.norm(dim=1, keepdim=True)).double()
    basis, diagonal, beside = [current], list[Tensor](), list[Tensor]()
    ended = torch.zeros(len(start), dtype=torch.bool)
    largest = torch.zeros(len(start), dtype=torch.float64)
    for _ in range(min(steps, start.shape[1])):
        image = product(current[None])[0]
        rounding = ENDED if image.dtype == torch.float64 else ENDED_IN_SINGLE
        image = image.double().cpu()
        along = (image * current).sum(1)
        # a model whose vectors span all that its Hessian reaches adds a number that is no larger than its eigenvalue
        diagonal.append(torch.where(ended, diagonal[0] if diagonal else along, along))
        for _ in range(2):
            for each in basis:
                image = image - (image * each).sum(1, keepdim=True) * each
        length = image.norm(dim=1)
        largest = torch.maximum(largest, torch.maximum(length, along.abs()))
        ended |= length <= rounding * largest
        beside.append(torch.where(ended, 0.0, length))
        current = torch.where(ended[:, None], 0.0, image / length[:, None].clamp(min=torch.finfo(length.dtype).tiny))
        basis.append(current)
    main, off = torch.stack(diagonal, dim=1), torch.stack(beside, dim=1)[:, :-1]
    matrix = torch.diag_embed(main) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    return torch.linalg.eigvalsh(matrix)[:, -1]


def _traces(product: HessianProduct, probes: Tensor, models: int) -> Tensor:
    """The mean over probes [probes, P] of z · Hz, of each model: float64 [models].

    Source: Hutchinson, Communications in Statistics: Simulation and Computation 19 (1990), 433.
    """
    total = torch.zeros(models, dtype=torch.float64)
    for some in probes.split(max(1, AT_ONCE // (models * probes.shape[1]))):
        vectors = some[:, None].expand(-1, models, -1)
        total += (product(vectors).double().cpu() * vectors).sum((0, 2))
    return total / len(probes)
