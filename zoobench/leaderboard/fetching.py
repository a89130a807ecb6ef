"""Artefacts that are too large for a repository, from their addresses: over HTTPS only, and no more than was told."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import threading
import time
import urllib.request
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from zoo_generation.files import cache_folder, written_aside
from zoo_generation.text import quoted
from zoobench.leaderboard.entry import Artefact, reachable
from zoobench.leaderboard.untrusted.files import read_plain
from zoobench.leaderboard.untrusted.refusal import Refused

SILENCE = 30  # seconds that a server may say nothing
PATIENCE = 3600  # seconds that it may take in all
BLOCK = 2**20


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A server may send us on, but to HTTPS only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith("https://"):
            raise Refused([f"the artefact's address leads to {quoted(newurl)}, which is not HTTPS"])
        try:
            reachable(newurl)
        except ValueError as error:
            raise Refused([f"the artefact's address leads to {quoted(newurl)}: {quoted(error, 200)}"]) from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _PublicOnly(urllib.request.HTTPSHandler):
    """Connections to public addresses: an entry's author has no say in what is asked of the verifier's own network."""

    def https_open(self, req: Any) -> Any:
        return self.do_open(_Connection, req, context=self._context)  # type: ignore[attr-defined]


class _Connection(HTTPSConnection):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._create_connection = self._connected  # of http.client: what opens the socket

    def _connected(self, address: tuple[str, int], timeout: Any = None, source: Any = None) -> socket.socket:
        """A socket to the host; behind a proxy, which the user chose, it is the proxy that looks for the host."""
        if self._tunnel_host is not None:  # type: ignore[attr-defined]
            return socket.create_connection(address, timeout, source)
        failed: OSError | None = None
        for public in _public(*address):  # these, so that the name cannot change what it stands for in between
            try:
                return socket.create_connection((public, address[1]), timeout, source)
            except OSError as error:
                failed = error
        raise failed or OSError("the host has no address")


def _public(host: str, port: int) -> list[str]:
    """The addresses of a host; raises `Refused` where one of them is not public."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for each in found:
        address = ipaddress.ip_address(each.partition("%")[0])
        if not (getattr(address, "ipv4_mapped", None) or address).is_global:
            raise Refused([f"the artefact's address leads to {quoted(host)}, at {each}, which is no public address"])
    return found


def fetched(artefact: Artefact) -> bytes:
    """The artefact's content, from its address or, where it was fetched before, from the user's cache.

    Raises `Refused` where it cannot be had, or is another file than the entry tells of. That it has no more bytes than
    the track allows is checked before.
    """
    path = cache_folder() / "artefacts" / artefact.sha256
    if path.is_file() and path.stat().st_size == artefact.bytes:
        content = read_plain(path, artefact.bytes)
        if hashlib.sha256(content).hexdigest() == artefact.sha256:
            return content
    content = _download(artefact)
    if len(content) != artefact.bytes or hashlib.sha256(content).hexdigest() != artefact.sha256:
        raise Refused([f"what lies at {artefact.url} is not the artefact that the entry tells of"])
    _keep(path, content)
    return content


def _download(artefact: Artefact) -> bytes:
    """At most one byte more than the artefact has, given up after `PATIENCE` seconds.

    A thread waits for it, whatever it waits for: a name that is looked up, a handshake, headers that drip.
    """
    until, came = time.monotonic() + PATIENCE, _Came()
    waiting = threading.Thread(target=_receive, args=(artefact, came, until), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    if came.reason is not None:
        raise Refused([came.reason])
    if waiting.is_alive() or not came.is_whole:
        raise Refused([f"{artefact.url} took more than {PATIENCE:g} seconds, and was given up"])
    return bytes(came.content)


class _Came:
    """What came of an address so far: content, whether that is all, and why there is none."""

    def __init__(self) -> None:
        self.content, self.is_whole = bytearray(), False
        self.reason: str | None = None


def _receive(artefact: Artefact, came: _Came, until: float) -> None:
    """Read what lies at an address until it ends, or is more than the artefact has, or it is too late."""
    opener = urllib.request.build_opener(_HttpsOnly, _PublicOnly)
    try:
        with opener.open(str(artefact.url), timeout=SILENCE) as answer:
            while time.monotonic() <= until:
                block = answer.read1(min(BLOCK, artefact.bytes + 1 - len(came.content)))  # what is there, at once
                came.content += block
                if not block or len(came.content) > artefact.bytes:
                    came.is_whole = True
                    return
    except Refused as refused:
        came.reason = str(refused)
    except Exception as error:  # whatever a server, or an address, makes libraries raise
        came.reason = (
            f"the artefact cannot be fetched from {artefact.url} ({quoted(error, 100) or type(error).__name__})"
        )


def _keep(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(content)
