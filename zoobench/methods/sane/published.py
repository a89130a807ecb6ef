"""Weights of the released code of MultiZoo-SANE, under our names (arXiv 2504.10141; parameter names are data)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.sane.model import Autoencoder

NAMES = {
    "transformer_encoder.transformer.": "encoder.blocks.",
    "transformer_decoder.transformer.": "decoder.blocks.",
    "attn.c_attn": "qkv",
    "attn.c_proj": "attention_out",
    "mlp.c_fc": "mlp_in",
    "mlp.c_proj": "mlp_out",
    "encoder_comp": "latent",
    "decoder_comp": "latent_in",
    "detokenizer": "token_out",
    "tokenizer": "token_in",
    "pe.pe1": "positions.n",
    "pe.pe2": "positions.l",
    "pe.pe3": "positions.k",
    "projection_head.head": "projection",
}
"""Part of our parameter name by part of the released one; in this order, because one contains another."""


def autoencoder_from_published(weights: Mapping[str, Tensor], heads: int) -> Autoencoder:
    """The autoencoder of such weights, with sizes read off them; heads: of attention, which shapes do not show.

    Raises `InputError` if they are not those of a released autoencoder with pre-norm blocks and three positions.
    """
    state = {_renamed(name): value for name, value in weights.items()}
    try:
        width, token_size = state["token_in.weight"].shape
        latent = state["latent.weight"].shape[0]
        projection, window_latents = state["projection.0.weight"].shape
        n, layer, channel = (len(state[f"positions.{axis}.weight"]) for axis in "nlk")
        model = Autoencoder(
            token_size,
            latent,
            width,
            heads,
            layers=1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.blocks.")),
            max_positions=(n, layer, channel),
            window=window_latents // latent,
            projection=projection,
        )
        model.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"these are not weights of a published SANE autoencoder ({reason})") from None
    return model.eval()


def _renamed(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name
