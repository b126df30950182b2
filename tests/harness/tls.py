"""TLS clients, and certificates made for one test."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import trustme

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
