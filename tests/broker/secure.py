"""How a broker is protected: certificates made for the test, and the lines of server.properties that ask for them and for a password."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

USER, PASSWORD = "broadcaster", "right-one"
MODULES = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, and a server certificate for 127.0.0.1 that it signed."""

    folder: Path

    @property
    def ca(self) -> Path:
        """What clients trust."""
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    @property
    def both(self) -> Path:
        """Key and certificates in one file, as a PEM key store of Kafka wants them."""
        return self.folder / "store.pem"


def authority(folder: Path) -> Authority:
    """Makes both in a folder. Two calls make two authorities that do not know each other."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Authority(folder)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (f"authority {folder.name}", "127.0.0.1")
    )
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = _certificate(name, ca_name, key.public_key()).add_extension(address, critical=False)
    signed = certificate.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    made.certificate.write_bytes(signed)
    made.key.touch(0o600)
    made.key.write_bytes(secret)
    made.both.touch(0o600)
    made.both.write_bytes(secret + signed + made.ca.read_bytes())
    return made


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@dataclass(frozen=True)
class Guard:
    """What a client must bring: `protocol` as Kafka names it, `sasl` the mechanism where it is one of SASL."""

    protocol: str
    sasl: str = ""
    certificates: Authority | None = None

    def properties(self, ports: tuple[int, int, int]) -> dict[str, str]:
        """Lines of server.properties. Clients come in by OUTSIDE; INSIDE is open, for the broker itself and the fixture."""
        outside, controller, inside = ports
        found = {
            "listeners": f"OUTSIDE://127.0.0.1:{outside},CONTROLLER://127.0.0.1:{controller},INSIDE://127.0.0.1:{inside}",
            "advertised.listeners": f"OUTSIDE://127.0.0.1:{outside},INSIDE://127.0.0.1:{inside}",
            "listener.security.protocol.map": f"OUTSIDE:{self.protocol},CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
        }
        if self.certificates:
            found |= {
                "listener.name.outside.ssl.keystore.type": "PEM",
                "listener.name.outside.ssl.keystore.location": str(self.certificates.both),
            }
        if self.sasl:
            users = f' user_{USER}="{PASSWORD}"' if self.sasl == "PLAIN" else ""  # SCRAM keeps its users in the log
            module = f"org.apache.kafka.common.security.{MODULES[self.sasl]} required{users};"
            found |= {
                "listener.name.outside.sasl.enabled.mechanisms": self.sasl,
                f"listener.name.outside.{self.sasl.lower()}.sasl.jaas.config": module,
            }
        return found

    def format_words(self) -> list[str]:
        """What the storage is formatted with: the user, where the broker keeps users itself."""
        return (
            ["--add-scram", f"{self.sasl}=[name={USER},password={PASSWORD}]"] if self.sasl.startswith("SCRAM") else []
        )

    def settings(self) -> dict[str, str]:
        """The product's settings for it, as variables are named without their prefix."""
        found = {"kafka_security": self.protocol}
        if self.certificates:
            found["kafka_ca_file"] = str(self.certificates.ca)
        if self.sasl:
            found |= {"kafka_sasl": self.sasl, "kafka_user": USER, "kafka_password": PASSWORD}
        return found
