"""Checkpoints ⇄ tokens, masks and positions; token sets on disk."""

from zoobench.tokens.population import Population
from zoobench.tokens.selection import KEPT, kept_statuses, select_checkpoints
from zoobench.tokens.tokenizer import Tokenizer
from zoobench.tokens.tokenset import TokenSet, write_token_set
from zoobench.tokens.windows import RandomWindows, WindowBatch, Windows

__all__ = [
    "KEPT",
    "Population",
    "RandomWindows",
    "TokenSet",
    "Tokenizer",
    "WindowBatch",
    "Windows",
    "kept_statuses",
    "select_checkpoints",
    "write_token_set",
]
