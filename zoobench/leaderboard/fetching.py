"""Artefacts that are too large for a repository, from their addresses: over HTTPS only, and no more than was told."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from zoo_generation.datasets.cache import cache_folder
from zoobench.files import written_aside
from zoobench.leaderboard.entry import Artefact
from zoobench.leaderboard.refusal import Refused
from zoobench.leaderboard.untrusted import read_plain
from zoobench.text import quoted

SILENCE = 30  # seconds that a server may say nothing
PATIENCE = 3600  # seconds that it may take in all
BLOCK = 2**20


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A server may send us on, but to HTTPS only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith("https://"):
            raise Refused([f"the artefact's address leads to {quoted(newurl)}, which is not HTTPS"])
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetched(artefact: Artefact) -> bytes:
    """The artefact's content, from its address or, where it was fetched before, from the user's cache.

    Raises `Refused` where it cannot be had, or is another file than the entry tells of. That it has no more bytes than
    the track allows is checked before.
    """
    path = cache_folder() / "artefacts" / artefact.sha256
    if path.exists() and hashlib.sha256(content := read_plain(path, artefact.bytes)).hexdigest() == artefact.sha256:
        return content
    content = _download(artefact)
    if len(content) != artefact.bytes or hashlib.sha256(content).hexdigest() != artefact.sha256:
        raise Refused([f"what lies at {artefact.url} is not the artefact that the entry tells of"])
    _keep(path, content)
    return content


def _download(artefact: Artefact) -> bytes:
    """At most one byte more than the artefact has."""
    opener = urllib.request.build_opener(_HttpsOnly)
    until, content = time.monotonic() + PATIENCE, bytearray()
    try:
        with opener.open(str(artefact.url), timeout=SILENCE) as answer:
            while len(content) <= artefact.bytes:
                block = answer.read(min(BLOCK, artefact.bytes + 1 - len(content)))
                if not block:
                    break
                content += block
                if time.monotonic() > until:
                    raise Refused([f"{artefact.url} took more than {PATIENCE} seconds"])
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused([f"the artefact cannot be fetched from {artefact.url} ({quoted(error, 100)})"]) from None
    return bytes(content)


def _keep(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(content)
