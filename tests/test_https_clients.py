"""Certificates of clients, as authorities make them and as nobody should: what HTTPS_DN says is what OpenSSL says."""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from harness import programs
from harness.http import request
from harness.tls import Authority, Connection
from test_https import is_refused
from test_https_config import run

pytestmark = pytest.mark.core

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
# Of any length, in the eyes of who makes the certificates here.
STREET = NameOID.STREET_ADDRESS
Build = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def attribute(text: str, kind: ObjectIdentifier = NameOID.COMMON_NAME, how: Kind = Kind.UTF8String):
    return x509.NameAttribute(kind, text, how, _validate=False)


def rdns(*sets: list[x509.NameAttribute]) -> x509.Name:
    return x509.Name([x509.RelativeDistinguishedName(one) for one in sets])


class Ca:
    """An authority that signs whatever it is asked to."""

    def __init__(self, directory: Path, name: str = "Odd Authority") -> None:
        self._directory, self._key, self._made = directory, ec.generate_private_key(ec.SECP256R1()), 0
        self._name = rdns([attribute(name)])
        self.file = directory / "odd-ca.pem"
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        own = self._builder(self._name, self._key).add_extension(constraint, critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)

    def sign(self, subject: x509.Name, build: Build = lambda builder: builder, spoil: bool = False) -> str:
        """`FILE,KEY` of a certificate that `build` has had its way with."""
        key = ec.generate_private_key(ec.SECP256R1())
        der = (
            build(self._builder(subject, key)).sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        )
        if spoil:
            der = der[:-1] + bytes([der[-1] ^ 1])
        self._made += 1
        certificate, file = (self._directory / f"odd{self._made}.{ending}" for ending in ("crt", "key"))
        certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
        form = serialization.PrivateFormat.PKCS8
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return f"{certificate},{file}"


def oneline(own: str) -> str:
    """OpenSSL's word for the subject."""
    words = [programs.find("openssl"), "x509", "-in", own.split(",")[0], "-noout", "-subject", "-nameopt", "compat"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=20).stdout
    return said.removeprefix("subject=").removesuffix("\n").removeprefix(" ")


SUBJECTS = {
    "plain": rdns([attribute("DE", NameOID.COUNTRY_NAME, Kind.PrintableString)], [attribute("anna")]),
    "like another attribute": rdns([attribute("x/CN=admin+OU=root\\", NameOID.ORGANIZATION_NAME)]),
    "two in a set": rdns([attribute("b"), attribute("a", NameOID.ORGANIZATION_NAME)], [attribute("c")]),
    "lines and zeros": rdns([attribute("a\0b\r\nHTTPS_DN: /CN=admin\x7f\x1b[2J")]),
    "every letter": rdns([attribute("".join(map(chr, range(256))), STREET)]),
    "two bytes a letter": rdns([attribute("Jürgen ☃", how=Kind.BMPString)]),
    "old letters": rdns([attribute("plain", how=Kind.T61String)]),
    "no letters": rdns([attribute("", STREET)]),
    "long": rdns([attribute("x" * 20_000, STREET)]),
    "many": rdns(*([attribute(f"{number:04}")] for number in range(1000))),
    "many in a set": rdns([attribute(f"{number:04}") for number in range(1000, 0, -1)]),
    "unknown types": rdns(
        *([attribute("x", ObjectIdentifier(kind))] for kind in ("1.2.3.4", "1.3.6.1.4.1.99999999.7", "0.1"))
    ),
    "all types": rdns(
        *(
            [attribute("xy", kind)]
            for name, kind in sorted(vars(NameOID).items())
            # That of Russian authorities, which OpenSSL knows by an older name.
            if isinstance(kind, ObjectIdentifier) and "INN" not in name
        )
    ),
}


def test_subjects_are_what_openssl_says(boot, tmp_path):
    authority, odd = Authority(tmp_path), Ca(tmp_path)
    server = boot("environ", uwsgi=False, https=f"{authority.sign()},,!{odd.file}", https_export_cert=True)
    for what, subject in SUBJECTS.items():
        own = odd.sign(subject)
        with Connection(server.https_address, authority.context(own=own)) as connection:
            connection.send(request())
            facts = json.loads(connection.answer().body)
        assert facts["HTTPS_DN"] == oneline(own), what
        assert facts["HTTPS_CC"] == Path(own.split(",")[0]).read_text(), what


def test_a_subject_may_be_empty(boot, tmp_path):
    authority, odd = Authority(tmp_path), Ca(tmp_path)
    server = boot("environ", uwsgi=False, https=f"{authority.sign()},,!{odd.file}")
    names = x509.SubjectAlternativeName([x509.RFC822Name("anna@example.org")])
    own = odd.sign(x509.Name([]), lambda builder: builder.add_extension(names, critical=True))
    with Connection(server.https_address, authority.context(own=own)) as connection:
        connection.send(request())
        assert json.loads(connection.answer().body)["HTTPS_DN"] == ""


# Numbers as large as UUIDs are allowed (X.667), and the parser takes 32 bits of each.
UUID = x509.UnrecognizedExtension(ObjectIdentifier(f"2.25.{1 << 127}"), b"\x05\0")


def test_identifiers_of_any_size(boot, tmp_path):
    """Such a certificate serves a server and a client, whose subject is not told."""
    odd, name = Ca(tmp_path), x509.SubjectAlternativeName([x509.DNSName("localhost")])
    own = odd.sign(
        rdns([attribute("localhost")]), lambda one: one.add_extension(UUID, False).add_extension(name, False)
    )
    server = boot("environ", uwsgi=False, https=f"{own},,!{odd.file}", https_export_cert=True)
    context = ssl.create_default_context(cafile=str(odd.file))
    context.load_cert_chain(*own.split(","))
    with Connection(server.https_address, context) as connection:
        connection.send(request())
        facts = json.loads(connection.answer().body)
    assert facts["HTTPS_CC"] == Path(own.split(",")[0]).read_text()
    assert "HTTPS_DN" not in facts
    key = odd.sign(rdns([attribute("other")])).split(",")[1]
    wrong = f"{own.split(',')[0]},{key}"
    done = run("check", f"--https=:0,{wrong}", "--wsgi-file=none.py", cwd=tmp_path)
    assert done.returncode != 0 and "is not that of the certificate" in " ".join(done.stdout.split())


def extension(value: x509.ExtensionType, critical: bool = True) -> Build:
    return lambda builder: builder.add_extension(value, critical)


REFUSED: dict[str, Build] = {
    "expired": lambda builder: builder_with(builder, NOW - 2 * DAY, NOW - DAY),
    "not yet valid": lambda builder: builder_with(builder, NOW + DAY, NOW + 2 * DAY),
    "for servers only": extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
    "an authority": extension(x509.BasicConstraints(ca=True, path_length=None)),
    "something critical that nobody knows": extension(
        x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\0")
    ),
}


def builder_with(
    builder: x509.CertificateBuilder, first: datetime.datetime, last: datetime.datetime
) -> x509.CertificateBuilder:
    builder._not_valid_before = builder._not_valid_after = None
    return builder.not_valid_before(first).not_valid_after(last)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
def test_who_is_not_vouched_for_is_refused(boot, tmp_path, version):
    """And the server serves on."""
    authority, odd, stranger = Authority(tmp_path), Ca(tmp_path), tmp_path / "stranger"
    stranger.mkdir()
    # The name of the authority, but not its key.
    same_name = Ca(stranger)
    server = boot("environ", uwsgi=False, https=f"{authority.sign()},,!{odd.file}", ssl_verbose=True)
    anna = rdns([attribute("anna")])
    made = {what: odd.sign(anna, build) for what, build in REFUSED.items()}
    made["a broken signature"] = odd.sign(anna, spoil=True)
    made["signed by somebody of the same name"] = same_name.sign(anna)
    for what, own in made.items():
        assert is_refused(server, authority.context(version, own)), what
    with Connection(server.https_address, authority.context(version, odd.sign(anna))) as connection:
        connection.send(request())
        assert json.loads(connection.answer().body)["HTTPS_DN"] == "/CN=anna"
    server.log.wait(r"the TLS session of 127\.0\.0\.1:\d+ failed: invalid peer certificate", count=len(made))
