"""Fetch files that are too large for a repository: over HTTPS only, and no more bytes than allowed."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import threading
import time
import urllib.request
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from zoo_generation.files import cache_folder, written_aside
from zoo_generation.text import quoted
from zoobench.leaderboard.untrusted.files import Refused, read_plain

SILENCE = 30  # seconds that a server may say nothing
PATIENCE = 3600  # seconds that it may take in all
BLOCK = 2**20
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # of a host's name


def reachable(url: str) -> str:
    """An address as it was given. Raises `ValueError` if its host or its port is impossible."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if len(host) > 253 or not re.fullmatch(rf"{LABEL}(\.{LABEL})*", host):
        raise ValueError(f"'{quoted(host)}' is not a host; give https://host/path")
    if parts.port == 0:  # `port` itself raises for other impossible ones
        raise ValueError("Port out of range 1-65535")
    return url


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A server may redirect us, but to HTTPS only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith("https://"):
            raise Refused([f"the artefact's address leads to {quoted(newurl)}, which is not HTTPS"])
        try:
            reachable(newurl)
        except ValueError as error:
            raise Refused([f"the artefact's address leads to {quoted(newurl)}: {quoted(error, 200)}"]) from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _PublicOnly(urllib.request.HTTPSHandler):
    """Connections to public addresses only: an entry's author must not reach into the verifier's own network."""

    def https_open(self, req: Any) -> Any:
        return self.do_open(_Connection, req, context=self._context)  # type: ignore[attr-defined]


class _Connection(HTTPSConnection):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._create_connection = self._connected  # of http.client: what opens the socket

    def _connected(self, address: tuple[str, int], timeout: Any = None, source: Any = None) -> socket.socket:
        """A socket to the host; behind a proxy, which the user chose, the proxy looks up the host."""
        if self._tunnel_host is not None:  # type: ignore[attr-defined]
            return socket.create_connection(address, timeout, source)
        failed: OSError | None = None
        for public in _public(*address):  # these, so that the name cannot change its meaning in between
            try:
                return socket.create_connection((public, address[1]), timeout, source)
            except OSError as error:
                failed = error
        raise failed or OSError("the host has no address")


def _public(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises `Refused` if one of them is not public."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for each in found:
        address = ipaddress.ip_address(each.partition("%")[0])
        if not (getattr(address, "ipv4_mapped", None) or address).is_global:
            raise Refused([f"the artefact's address leads to {quoted(host)}, at {each}, which is not a public address"])
    return found


def fetched(url: str, sha256: str, size: int) -> bytes:
    """The content of that size and SHA-256, from its address, or from the user's cache.

    Raises `Refused` if it cannot be had, or differs. The caller must check before that `size` is not too large.
    """
    path = cache_folder() / "artefacts" / sha256
    if path.is_file() and path.stat().st_size == size:
        content = read_plain(path, size)
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    content = _download(url, size)
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise Refused([f"the file at {url} is not the artefact that the entry describes"])
    with written_aside(path) as aside:
        aside.write_bytes(content)
    return content


def _download(url: str, size: int) -> bytes:
    """At most one byte more than `size`, given up after `PATIENCE` seconds.

    A thread waits for it, whatever blocks: looking up a name, a handshake, slow headers.
    """
    until, came = time.monotonic() + PATIENCE, _Came()
    waiting = threading.Thread(target=_receive, args=(url, size, came, until), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    if came.reason is not None:
        raise Refused([came.reason])
    if waiting.is_alive() or not came.is_whole:
        raise Refused([f"{url} took more than {PATIENCE:g} seconds, and was given up"])
    return bytes(came.content)


class _Came:
    """The download so far: content, whether it is complete, and why there is none."""

    def __init__(self) -> None:
        self.content, self.is_whole = bytearray(), False
        self.reason: str | None = None


def _receive(url: str, size: int, came: _Came, until: float) -> None:
    """Read from an address until it ends, or has more than `size` bytes, or it is too late."""
    opener = urllib.request.build_opener(_HttpsOnly, _PublicOnly)
    try:
        with opener.open(url, timeout=SILENCE) as answer:
            while time.monotonic() <= until:
                block = answer.read1(min(BLOCK, size + 1 - len(came.content)))  # what has arrived, at once
                came.content += block
                if not block or len(came.content) > size:
                    came.is_whole = True
                    return
    except Refused as refused:
        came.reason = str(refused)
    except Exception as error:  # whatever a server, or an address, makes libraries raise
        came.reason = f"the artefact cannot be fetched from {url} ({quoted(error, 100) or type(error).__name__})"
