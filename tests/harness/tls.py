"""TLS clients, and certificates made for one test."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
from datetime import datetime
from pathlib import Path

import trustme

from . import programs
from .http import Connection as Plain
from .packet import Address


class Authority:
    """Signs certificates and puts them into files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA(organization_name="Tests", key_type=trustme.KeyType.ECDSA)
        self.directory = directory
        self.file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def sign(
        self,
        name: str = "localhost",
        kind: trustme.KeyType = trustme.KeyType.ECDSA,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> str:
        """`NAME.crt,NAME.key`, as the options have them."""
        made = self._ca.issue_cert(
            name,
            common_name=name,
            organization_name="Örg & Co",
            key_type=kind,
            not_before=not_before,
            not_after=not_after,
        )
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        return f"{certificate},{key}"

    def context(self, version: ssl.TLSVersion | None = None, own: str | None = None) -> ssl.SSLContext:
        """A client's, that trusts this authority only; `own` is its certificate, as `sign` has returned it."""
        context = ssl.create_default_context(cafile=str(self.file))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if own is not None:
            context.load_cert_chain(*own.split(","))
        return context


class Connection(Plain):
    """`name` is that which the client asks for, and finds in the certificate."""

    socket: ssl.SSLSocket

    def __init__(self, address: Address, context: ssl.SSLContext, name: str = "localhost", **more: object) -> None:
        super().__init__(address)
        # A connection that ends without close_notify is an error here.
        wrap = context.wrap_socket
        self.socket = wrap(self.socket, server_hostname=name, suppress_ragged_eofs=False, **more)

    def certificate(self) -> dict[str, object]:
        """The server's."""
        return self.socket.getpeercert() or {}


class ByHand(Plain):
    """A session whose steps are the test's to take, over a plain connection."""

    def __init__(self, address: Address, context: ssl.SSLContext, name: str = "localhost") -> None:
        super().__init__(address)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._in, self._out, server_hostname=name)

    def step(self) -> bool:
        """Is the handshake done? If not, what the client wants to say waits."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def said(self) -> bytes:
        """What waits to be sent."""
        return self._out.read()

    def handshake(self) -> None:
        while not self.step():
            self.send(b"")
            self.hear()
        self.send(b"")

    def send(self, data: bytes) -> None:
        if data:
            self.session.write(data)
        self.socket.sendall(self.said())

    def hear(self) -> None:
        if data := self.socket.recv(65536):
            self._in.write(data)
        else:
            self._in.write_eof()

    def is_quiet(self, seconds: float) -> bool:
        return not select.select([self.socket], [], [], seconds)[0]

    def _more(self) -> bool:
        while True:
            try:
                got = self.session.read(65536)
            except ssl.SSLWantReadError:
                self.hear()
            except ssl.SSLZeroReturnError:
                return False
            else:
                self._held += got
                return bool(got)


class Openssl(Plain):
    """The client of the command line: Python's can neither choose among the suites of TLS 1.3 nor change its keys."""

    def __init__(self, address: tuple[str, int], *options: str, commands: bool = False) -> None:
        """With `commands`, what is sent may be one of its letters."""
        quiet = "-brief" if commands else "-quiet"
        words = [programs.find("openssl"), "s_client", quiet, "-connect", "{}:{}".format(*address), *options]
        said = subprocess.PIPE if commands else subprocess.DEVNULL
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=said, text=True)
        self._held = b""

    def change_keys(self) -> None:
        """KeyUpdate (RFC 8446 §4.6.3)."""
        assert self.process.stderr
        self.send(b"K\n")
        while "KEYUPDATE" not in (line := self.process.stderr.readline()):
            assert line

    def close(self) -> None:
        super().close()
        if self.process.stderr:
            self.process.stderr.close()
        self.process.terminate()
        self.process.wait()
