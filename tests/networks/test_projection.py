"""Random projections: the same matrix however it is made, and inner products that are kept in the mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_generation.networks import projection
from zoo_generation.networks.projection import Projection, SparseProjection


@settings(max_examples=10, deadline=None)
@given(inputs=st.integers(1, 300), size=st.integers(1, 9), rows=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_projection_is_one_matrix_of_signs_however_it_is_cut(inputs: int, size: int, rows: int, seed: int) -> None:
    before, projection.BLOCK_ELEMENTS = projection.BLOCK_ELEMENTS, rows * size
    projection._signs.cache_clear()
    try:
        project = Projection(size, seed)
        matrix = project(torch.eye(inputs, dtype=torch.float64))
        values = torch.randn(2, 3, inputs, dtype=torch.float64)
        torch.testing.assert_close(project(values), values @ matrix)
    finally:
        projection.BLOCK_ELEMENTS = before
        projection._signs.cache_clear()
    torch.testing.assert_close(matrix.abs(), torch.full_like(matrix, size**-0.5))


@pytest.mark.parametrize("kind", [Projection, SparseProjection])
def test_projections_keep_inner_products_and_differ_by_seed(kind: type[Projection | SparseProjection]) -> None:
    x, y = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    products = torch.stack([project(x) @ project(y) for project in (kind(64, seed) for seed in range(200))])
    deviation = float(((x @ x) * (y @ y) + (x @ y) ** 2) / 64) ** 0.5  # of one product, at most
    assert products.std() > 0 and abs(float(products.mean() - x @ y)) < 4 * deviation / 200**0.5


@given(inputs=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_sparse_projection_has_one_sign_for_each_input_and_as_many_in_each_number(
    inputs: int, size: int, seed: int
) -> None:
    project = SparseProjection(size, seed)
    matrix = project(torch.eye(inputs, dtype=torch.float64))
    assert (matrix.abs().sum(1) == 1).all() and ((matrix == 0) | (matrix.abs() == 1)).all()
    counts = matrix.abs().sum(0)
    assert float(counts.max() - counts.min()) <= 1
    values = torch.randn(2, 3, inputs, dtype=torch.float64)
    torch.testing.assert_close(project(values), values @ matrix)
