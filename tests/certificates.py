"""Certificates for tests, of an authority of their own."""

from __future__ import annotations

import pathlib

import trustme

__all__ = ["Certificates"]


class Certificates:
    """An authority, and the files that it hands out in *folder*."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self.server()

    def server(self, name: str = "server") -> tuple[str, str]:
        """The files of a new certificate and its key, for this machine; they take the place of those of that name."""
        return self._written(self.authority.issue_cert("localhost", "127.0.0.1"), name)

    def client(self, common_name: str) -> tuple[str, str]:
        """The same for a client called *common_name*."""
        return self._written(self.authority.issue_cert("client.invalid", common_name=common_name), common_name)

    def _written(self, made: trustme.LeafCert, name: str) -> tuple[str, str]:
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made.private_key_pem.write_to_path(str(key))
        cert.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        return str(cert), str(key)

    @property
    def options(self) -> tuple[str, str]:
        """Of a server that has them."""
        return f"--tls-cert={self.cert}", f"--tls-key={self.key}"
