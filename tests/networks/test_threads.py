"""Kernels use PyTorch's number of threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

JOIN = """
from zoo_generation.networks.architectures import get_architecture
from zoobench.populations import Tokenizer
tokenizer = Tokenizer.of(get_architecture("cnn_s").layout(1, 10), 201)
weights = torch.randn(64, tokenizer.layout.size)
assert torch.equal(tokenizer.weights(tokenizer.tokens(weights)), weights)
"""
STACK = """
from zoo_generation.data import load_dataset
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
dataset = load_dataset("digits", train_images=32).fit(1, 28)
train_models(make_spec({"datasets": "digits", "learning_rate": 1e-3, "seeds": 2, "epochs": 1}).models(), dataset, 2)
"""


@pytest.mark.faults
@pytest.mark.parametrize("work", [JOIN, STACK])
def test_kernels_leave_pytorch_its_threads(work: str) -> None:
    """In a process of its own, since threads start once; numba would set PyTorch's to the number of cores."""
    script = f"import torch\ntorch.set_num_threads(1)\n{work}\nprint(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
