"""Why Kafka cannot be reached, and what to do. The client raises one time-out for every cause; the cause is in its log only."""

import logging
import re
import time

from kafka.errors import KafkaTimeoutError, RequestTimedOutError

from broadcaster.model import Unavailable
from broadcaster.settings import Settings

FRESH_S = 10.0  # a cause heard longer ago belongs to another trouble


_LATE = (KafkaTimeoutError, RequestTimedOutError)


def _closed(said: str) -> bool:
    return (
        "disconnected" in said or "Invalid frame" in said
    )  # the second is a TLS alert, read as the length of an answer


class _Ear(logging.Handler):
    """Keeps the last cause that the client gave. Its lines go nowhere else: with a broker away there are several a second."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: tuple[float, BaseException] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Notes the exception that a line was made of. A time-out is no cause, and a lost connection hides none heard before."""
        given = record.args if isinstance(record.args, tuple) else ()
        for each in given:
            if not isinstance(each, BaseException) or isinstance(each, _LATE):
                continue
            if self.cause() is None or not _closed(str(each)):
                self._heard = (time.monotonic(), each)

    def cause(self) -> BaseException | None:
        """The last cause, where it is fresh."""
        heard = self._heard
        return heard[1] if heard and time.monotonic() - heard[0] < FRESH_S else None


_ear = _Ear()
logging.getLogger("kafka").setLevel(logging.CRITICAL)
_said = logging.getLogger("kafka.net")
_said.setLevel(logging.WARNING)
_said.propagate = False
_said.addHandler(_ear)


def away(settings: Settings, error: Exception) -> Unavailable:
    """What is told where no broker takes us: the cause as far as it is known, and which setting to look at."""
    cause = _ear.cause() or error
    addresses = settings.bus_url.removeprefix("kafka://")
    return Unavailable("bus", f"Kafka {_told(settings, addresses, cause)}")


def _told(settings: Settings, addresses: str, cause: BaseException) -> str:
    said, kind = re.sub(r"\[Error \d+\] |\b\w+Error: ", "", str(cause)), type(cause).__name__
    speaks = f"BROADCASTER_KAFKA_SECURITY={settings.kafka_security}"
    signs_in = settings.kafka_security.startswith("SASL")
    # Which of a refusal's two halves the client sees first, the answer or the end of the connection, is luck.
    if kind in {"SaslAuthenticationFailedError", "UnsupportedSaslMechanismError"} or (signs_in and _closed(said)):
        return (
            f"at {addresses} refuses our sign-in as {settings.kafka_user!r} ({said or kind}); look at BROADCASTER_KAFKA_USER, "
            f"BROADCASTER_KAFKA_PASSWORD, BROADCASTER_KAFKA_SASL={settings.kafka_sasl} and {speaks}"
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        trusted = settings.kafka_ca_file or "(empty: the system's)"
        return (
            f"at {addresses} shows a certificate that we do not trust: {said}; "
            f"BROADCASTER_KAFKA_CA_FILE={trusted} must hold the authority that signed it"
        )
    if settings.kafka_ca_file and not settings.kafka_ca_file.is_file():
        return f"was not asked: BROADCASTER_KAFKA_CA_FILE={settings.kafka_ca_file} cannot be read"
    if "Handshake failed" in said:
        return f"at {addresses} did not come to terms on TLS: {said}; {speaks} may not be what its port speaks"
    if _closed(said):
        return f"at {addresses} closed the connection at our first words; {speaks} may not be what its port speaks"
    return f"does not answer at {addresses}: {kind} {said}; start it, or set BROADCASTER_BUS_URL to where it is"
