"""Flow matching or diffusion over SANE's latents, token by token: for any architecture.

Sources: Schürholt, Mahoney & Borth, SANE, arXiv 2406.09997; Lipman et al., arXiv 2210.02747; Ho, Jain & Abbeel, arXiv
2006.11239. The combination is not published.
"""

from zoobench.methods.method import Method
from zoobench.methods.sane_diffusion.method import PRESETS, SaneDiffusion, SaneDiffusionConfig

__all__ = ["METHOD", "PRESETS", "SaneDiffusion", "SaneDiffusionConfig"]

METHOD = Method(
    "sane_diffusion",
    SaneDiffusion,
    PRESETS,
    summary="Flow matching or diffusion over SANE's latents, for any architecture: generates",
    paper="arXiv 2406.09997",
)
