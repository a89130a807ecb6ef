"""What several tests need."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # speed is measured in benchmarks/speed
settings.load_profile("untimed")

SHARED = Path(__file__).parents[2] / "shared"


def shared(name: str) -> Path:
    """A folder of recorded data that lies beside the checkout on a developer's machine."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here: recorded data of the published implementations, or real images")
    return path


@pytest.fixture
def vectors() -> Path:
    return shared("reference/vectors")


@pytest.fixture
def real_images() -> Path:
    return shared("data")
