"""Checkpoints ⇄ tokens, masks and positions; token sets on disk."""

from zoobench.populations.evidence import Access, Evidence
from zoobench.populations.population import Population
from zoobench.populations.selection import KEPT, kept_statuses, select_checkpoints
from zoobench.populations.tokenizer import Tokenizer
from zoobench.populations.tokenset import TokenSet, kept_token_set, write_token_set
from zoobench.populations.windows import RandomWindows, WindowBatch, Windows

__all__ = [
    "KEPT",
    "Access",
    "Evidence",
    "Population",
    "RandomWindows",
    "TokenSet",
    "Tokenizer",
    "WindowBatch",
    "Windows",
    "kept_statuses",
    "kept_token_set",
    "select_checkpoints",
    "write_token_set",
]
