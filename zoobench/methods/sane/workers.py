"""Several processes that train one model: each computes its share of every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Workers:
    """This process among those that train together; a single one unless `torch.distributed` has been set up."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def together(self, model: nn.Module) -> nn.Module:
        """The model, whose gradients are averaged over the workers."""
        return nn.parallel.DistributedDataParallel(model) if self.count > 1 else model

    def gathered(self, share: Tensor) -> Tensor:
        """The shares [batch / workers, ...] of all workers as one [batch, ...]; gradients flow through it."""
        if self.count == 1:
            return share
        from torch.distributed.nn.functional import all_gather

        return torch.cat(all_gather(share))

    def agreed(self, number: int) -> int:
        """The first worker's number, on all of them."""
        if self.count == 1:
            return number
        told = [number]
        torch.distributed.broadcast_object_list(told)
        return told[0]


ALONE = Workers()
