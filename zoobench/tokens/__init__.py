"""Checkpoints ⇄ tokens, masks and positions; token sets on disk."""

from zoobench.tokens.tokenizer import Tokenizer
from zoobench.tokens.tokenset import Population, TokenSet, build_token_set

__all__ = ["Population", "TokenSet", "Tokenizer", "build_token_set"]
