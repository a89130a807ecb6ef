"""Linear CKA in feature space is that of the images' kernels; mixed images are what mixup makes."""

from __future__ import annotations

import pytest
import torch

from zoo_generation.networks.similarity import linear_cka, mixed_up


def test_cka_is_that_of_the_kernels_of_images() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(3, 40, 5), torch.randn(3, 40, 7)
    found = linear_cka(one, other)
    centred = torch.eye(40, dtype=torch.float64) - 1 / 40
    for number in range(3):
        kernel = centred @ one[number].double() @ one[number].double().T @ centred
        against = centred @ other[number].double() @ other[number].double().T @ centred
        expected = (kernel * against).sum() / (kernel.norm() * against.norm())
        assert float(found[number]) == pytest.approx(float(expected), rel=1e-9)


def test_cka_is_that_of_ckatorch() -> None:
    """Recorded of version 1.0.3: `cka_base(one, other, "linear")`."""
    one = torch.sin(torch.arange(60.0)).reshape(20, 3)
    other = torch.cos(torch.arange(100.0) ** 1.5).reshape(20, 5)
    assert float(linear_cka(one, other)) == pytest.approx(0.1714002566994027, rel=1e-6)


def test_pooling_keeps_independent_outputs_apart() -> None:
    """The mean over batches of 128 is .44 for independent outputs of 100 classes."""
    torch.manual_seed(0)
    one, other = torch.randn(1280, 100), torch.randn(1280, 100)
    batches = linear_cka(one.reshape(10, 128, 100), other.reshape(10, 128, 100)).mean()
    assert float(linear_cka(one, other)) < 0.1 and float(batches) == pytest.approx(0.44, abs=0.02)


def test_an_image_is_mixed_with_one_of_its_batch_by_the_share_of_the_batch() -> None:
    numbers = torch.arange(12.0).reshape(12, 1, 1, 1) ** 2
    images = torch.cat([numbers, torch.ones_like(numbers)], dim=1)  # the second channel holds the sum of the shares
    mixed = mixed_up(images, batch=6, seed=1)
    assert torch.equal(mixed, mixed_up(images, batch=6, seed=1)) and not torch.equal(mixed, images)
    torch.testing.assert_close(mixed[:, 1], torch.ones(12, 1, 1))
    for batch in (slice(0, 6), slice(6, 12)):
        torch.testing.assert_close(mixed[batch, 0].sum(), images[batch, 0].sum())
        assert 0.1 < float((mixed[batch, 0] - images[batch, 0]).norm() / images[batch, 0].norm()) < 1.2
