"""A certificate authority and a server certificate for the loopback address, made for one test run."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate, and a server side that has one from it."""

    pem: bytes
    server: ssl.SSLContext


def make_authority(folder: Path, *names: str) -> Authority:
    """Make both; the server's key goes into ``folder``, where Python's TLS wants to read it.

    Args:
        names: of the server, besides its address.
    """
    issuer, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("authority", issuer, "authority", issuer, ())
    certificate = _certificate("server", server, "authority", issuer, names)
    chain = folder / "server.pem"
    key = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(authority.public_bytes(serialization.Encoding.PEM), context)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
) -> x509.Certificate:
    """With all that strict verification asks for (RFC 5280, 4.2.1)."""
    now, is_ca = datetime.now(UTC), subject == issuer
    all_names = [x509.IPAddress(IPv4Address("127.0.0.1")), *map(x509.DNSName, names)]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, decipher_only=False, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectAlternativeName(all_names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
