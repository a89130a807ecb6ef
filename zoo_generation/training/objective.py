"""The loss that training minimises, for one model at a time and for a stack of models."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.errors import InputError

SUM_TOLERANCE = 1e-3  # how far from 1 the probabilities of an image may sum


@dataclass(frozen=True, eq=False)
class Objective:
    """The cross-entropy of labels with softmax((logits + offsets) / temperature), times temperature².

    labels: classes, int64 [images]; or probabilities, float32 [images, classes], or [models, images, classes] if each
    model has its own; or numbers, float32 [images], of which it is the mean squared error instead. offsets: added to
    the logits, float32 [1 or models, images, classes]; None for no offsets. Images are those of the training split, in
    its order. weights: of each image's loss, float32 [1 or models, images], None for 1 each; the mean is over all
    images of a batch, so that a weight of 0 leaves an image out, and changes nothing else: models that are trained in
    one order differ by their weights alone. The factor temperature² keeps the size of the gradients (Hinton et al.,
    arXiv 1503.02531, section 2). Raises `InputError` for any other shape or type.

    >>> uniform = Objective(torch.full((4, 10), 0.1))
    >>> uniform.loss(torch.zeros(1, 10, 2), torch.tensor([[0, 3]]))
    tensor([2.3026])
    """

    labels: Tensor
    offsets: Tensor | None = None
    temperature: float = 1.0
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(f"the temperature is {self.temperature:g}; give a finite number above 0")
        shape = list(self.labels.shape)
        if self.labels.dtype == torch.float32 and len(shape) == 1:
            if self.offsets is not None or self.temperature != 1:
                raise InputError("labels that are numbers take neither offsets nor a temperature; leave these out")
        elif self.labels.dtype == torch.float32 and len(shape) in (2, 3):
            off = (self.labels.sum(-1) - 1).abs()
            if not bool((off <= SUM_TOLERANCE).all()) or not bool((self.labels >= 0).all()):
                raise InputError("soft labels are not probabilities; give rows of numbers from 0 up that sum to 1")
        elif self.labels.dtype != torch.int64 or len(shape) != 1:
            raise InputError(
                f"labels are {_kind(self.labels)}; give int64 [images], or probabilities, float32 [images, classes] or "
                "[models, images, classes], or numbers, float32 [images]"
            )
        if self.offsets is not None and (self.offsets.dim() != 3 or self.offsets.dtype != torch.float32):
            raise InputError(
                f"logit offsets are {_kind(self.offsets)}; give float32 [models, images, classes], or "
                "[1, images, classes] for all models"
            )
        if self.weights is not None and (self.weights.dim() != 2 or self.weights.dtype != torch.float32):
            raise InputError(
                f"weights of images are {_kind(self.weights)}; give float32 [models, images], or [1, images] for all"
            )

    def loss(self, logits: Tensor, chosen: Tensor) -> Tensor:
        """The mean loss of each model over its batch.

        logits: [models, classes, batch] with `chosen`, the numbers of the images, int64 [models, batch], or [1, batch]
        if all models see the same: the losses [models]. Or, as one module returns them, [batch, classes] with `chosen`
        [batch]: one loss, a scalar.
        """
        alone, chosen = logits.dim() == 2, chosen.to(self.labels.device)

        def laid_out(values: Tensor) -> Tensor:
            """The rows of the chosen images from [1 or models, images, ...], in the order of the logits."""
            rows = values[torch.arange(len(values), device=values.device)[:, None], chosen]
            return rows[0] if alone else rows.mT if values.dim() == 3 else rows

        if self.labels.dim() == 1:
            truth = self.labels[chosen] if alone else self.labels[chosen].expand(len(logits), -1)
        else:
            truth = laid_out(self.labels if self.labels.dim() == 3 else self.labels[None]).expand_as(logits)
        if self.offsets is not None:
            logits = logits + laid_out(self.offsets)
        if self.temperature != 1:
            logits = logits / self.temperature
        losses = losses_of(logits, truth, "none")
        if self.weights is not None:
            losses = losses * laid_out(self.weights)
        loss = losses.mean(-1)
        return loss if self.temperature == 1 else loss * self.temperature**2

    def part(self, models: slice) -> Objective:
        """The objective of some of the models."""
        labels = self.labels[models] if self.labels.dim() == 3 and len(self.labels) > 1 else self.labels
        offsets, weights = (
            each if each is None or len(each) == 1 else each[models] for each in (self.offsets, self.weights)
        )
        return replace(self, labels=labels, offsets=offsets, weights=weights)

    def to(self, device: str) -> Objective:
        """The objective with its tensors on the device."""
        offsets, weights = (None if each is None else each.to(device) for each in (self.offsets, self.weights))
        return replace(self, labels=self.labels.to(device), offsets=offsets, weights=weights)

    def check(self, models: int, images: int, classes: int, augmented: bool) -> None:
        """Raise `InputError` unless it fits that many models, training images and classes, augmented or not."""
        whole = [models, images, classes]
        for name, values in (("labels", self.labels), ("logit offsets", self.offsets)):
            if values is None:
                continue
            needed = [images] if values.dim() == 1 else whole[-values.dim() :]
            shared = values.dim() == 3 and len(values) == 1
            if list(values.shape[shared:]) != needed[shared:]:
                raise InputError(
                    f"the objective's {name} are of shape {list(values.shape)}, but this training needs {needed}"
                )
        if self.weights is not None and tuple(self.weights.shape) not in ((models, images), (1, images)):
            raise InputError(
                f"the objective's weights are of shape {list(self.weights.shape)}, but this training needs "
                f"{[models, images]}"
            )
        if self.labels.dim() == 1 and self.labels.is_floating_point() and classes != 1:
            raise InputError(f"the objective's labels are numbers, for networks of one output; these have {classes}")
        if self.labels.dtype == torch.int64 and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise InputError(f"the objective's labels are not all from 0 to {classes - 1}, the classes of the images")
        if augmented and self.offsets is not None:
            raise InputError("logit offsets belong to images as they are; train without augmentation")


def losses_of(outputs: Tensor, truth: Tensor, reduction: Literal["none", "sum"]) -> Tensor:
    """The loss of outputs [batch, classes] or [models, classes, batch]: of each image, or their sum.

    truth: classes or probabilities, of which it is the cross-entropy; or numbers, float32 [batch] or [models, batch],
    of which it is the squared error of the first output.
    """
    if _are_numbers(outputs, truth):
        return F.mse_loss(outputs[:, 0], truth, reduction=reduction)
    return F.cross_entropy(outputs, truth, reduction=reduction)


def are_right(outputs: Tensor, truth: Tensor) -> Tensor:
    """Which images are answered rightly: by the class of the largest output, or where the truth is a number, by the
    sign of the first one. Shapes are as of `losses_of`."""
    if _are_numbers(outputs, truth):
        return (outputs[:, 0] >= 0) == (truth >= 0)
    return outputs.argmax(1) == truth


def _are_numbers(outputs: Tensor, truth: Tensor) -> bool:
    return truth.is_floating_point() and truth.dim() < outputs.dim()


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} of shape {list(values.shape)}"
