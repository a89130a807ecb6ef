"""Checkpoints ⇄ tokens, masks and positions; token sets on disk."""

from zoobench.tokens.tokenizer import Tokenizer
from zoobench.tokens.tokenset import KEPT, Population, TokenSet, build_token_set, kept_statuses

__all__ = ["KEPT", "Population", "TokenSet", "Tokenizer", "build_token_set", "kept_statuses"]
