"""The installation's keys: numbers sealed at rest, look-up hashes, record and URL signatures, device signatures."""

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broadcaster.model import BadInput

NONCE = 12
NAMES = ("seal", "lookup", "record", "address", "device")


def fingerprint(secret: str) -> bytes:
    """What is stored of a token: it has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def new_token() -> str:
    """256 random bits, fit for a URL path."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@dataclass(frozen=True)
class Keys:
    """Five keys of 32 bytes, each for one purpose."""

    seal: bytes
    lookup: bytes
    record: bytes
    address: bytes
    device: bytes

    @cached_property
    def _aes(self) -> AESGCM:
        return AESGCM(self.seal)

    def address_key(self, address: str) -> bytes:
        """Keyed hash of an address: finds and compares it without opening the seal. 16 bytes."""
        return hmac.digest(self.lookup, address.encode(), "sha256")[:16]

    def seal_address(self, address: str) -> bytes:
        """The address as it lies in the database."""
        nonce = os.urandom(NONCE)
        return nonce + self._aes.encrypt(nonce, address.encode(), None)

    def open_address(self, sealed: bytes) -> str:
        """The address in clear. Raises BadInput where the key file is not the one it was sealed with."""
        try:
            return self._aes.decrypt(sealed[:NONCE], sealed[NONCE:], None).decode()
        except InvalidTag as error:
            raise BadInput("key-file", "the key file is not the one this database was sealed with") from error

    def record_hmac(self, data: bytes) -> str:
        """Signature of a bus record."""
        return hmac.new(self.record, data, hashlib.sha256).hexdigest()

    def address_hmac(self, text: str) -> str:
        """Signature inside a callback or one-time address."""
        return hmac.digest(self.address, text.encode(), "sha256")[:16].hex()

    @cached_property
    def _device_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.device)

    def sign_for_devices(self, data: bytes) -> str:
        """Ed25519 signature over a manifest, base64."""
        return base64.b64encode(self._device_key.sign(data)).decode()

    @cached_property
    def device_public(self) -> str:
        """Public half that devices pin at enrolment, base64 of 32 bytes."""
        public = self._device_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(public).decode()


def make_key_file(path: Path) -> Keys:
    """Writes a new key file of mode 0600. Never overwrites: a lost key is a database nobody can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: base64.b64encode(os.urandom(32)).decode() for name in NAMES}
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return read_key_file(path)


def read_key_file(path: Path) -> Keys:
    """The keys. Raises BadInput where the file is missing, open to others, or not a key file."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadInput("key-file-open", f"{path} can be read by others; type: chmod 600 {path}")
        values = json.loads(path.read_text())
        return Keys(**{name: base64.b64decode(values[name]) for name in NAMES})
    except FileNotFoundError as error:
        raise BadInput("not-initialised", f"{path} does not exist; type: broadcaster init") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("key-file", f"{path} is not a key file: {error}") from error
