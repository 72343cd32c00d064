"""The only reader of the environment. One class; the table in docs/settings.md is made from it."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from broadcaster.model import BadInput

PREFIX = "BROADCASTER_"


class Settings(BaseSettings):
    """Every setting of the program. Environment variables carry the prefix BROADCASTER_; secrets also come from NAME_FILE."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path = Field(
        Path("~/.local/share/broadcaster"),
        description="Folder of the embedded default: database, keys, spool, audio",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="Database address, as postgresql://user:password@host/name; empty = SQLite file in the home folder",
    )
    bus_url: str = Field(
        "local:",
        description="What carries chunk records: local: (tables in the database) or kafka://host:port,host:port",
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections to Kafka are protected"
    )
    kafka_ca_file: Path | None = Field(
        None, description="Certificates that Kafka's is checked against; empty = the system's"
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How we sign in to Kafka, where the connection is one of SASL"
    )
    kafka_user: str = Field("", description="Our user name at Kafka")
    kafka_password: SecretStr = Field(SecretStr(""), description="Our password at Kafka")
    kafka_partitions: int = Field(
        6, ge=1, le=1000, description="Partitions of each topic that init makes: so many workers of a lane can share it"
    )
    kafka_replicas: int = Field(
        1,
        ge=1,
        le=9,
        description="Brokers that keep each record of the topics that init makes; 3 where there are three",
    )
    kafka_session_ms: int = Field(
        10_000, ge=1000, le=300_000, description="A worker unheard of for so long loses its partitions to the others"
    )
    host: str = Field("127.0.0.1", description="Address that the web server listens on")
    port: int = Field(8000, ge=0, le=65535, description="Port that the web server listens on")
    public_url: str = Field(
        "", description="Address under which devices and browsers reach us; empty = http://host:port"
    )
    cookie_secure: bool = Field(False, description="Send the session cookie over HTTPS only; on behind TLS")
    timezone: str = Field("Asia/Shanghai", description="Zone in which times are shown and quiet hours are meant")
    language: Literal["zh-CN", "en", "ko"] = Field("zh-CN", description="Language of pages where a browser names none")
    templates: Path | None = Field(None, description="Extra folder of template sets, beside the shipped ones")
    sms_provider: Literal["spool", "http", "kannel", "twilio", "mas", "pull"] = Field(
        "spool", description="Who carries SMS; pull = a gateway that fetches them from /api/v1/gateway"
    )
    sms_second: Literal["", "http", "kannel", "twilio", "mas"] = Field(
        "", description="Who carries SMS while the first provider reaches nobody; empty = they wait"
    )
    sms_rate: float = Field(
        0,
        ge=0,
        le=100_000,
        description="Notices and promotions a second at the SMS provider, all workers together; 0 = no limit",
    )
    sms_rate_emergency: float = Field(
        0, ge=0, le=100_000, description="Emergencies a second at the SMS provider, all workers together; 0 = no limit"
    )
    sms_receipt_hours: float = Field(
        72, gt=0, le=720, description="An SMS without a receipt after this long is counted under no_receipt"
    )
    sms_silence_minutes: float = Field(
        30,
        gt=0,
        description="A provider that accepts messages and sends no receipt for this long is reported as silent",
    )
    sms_balance_least: float = Field(0, ge=0, description="A balance at the provider below this is reported as low")
    sms_url: str = Field("", description="Address of the HTTP gateway that takes SMS, where the provider is http")
    kannel_url: str = Field(
        "http://127.0.0.1:13013/cgi-bin/sendsms", description="Address of Kannel's smsbox that takes messages"
    )
    kannel_user: str = Field("", description="Our user name at Kannel (sendsms-user)")
    kannel_password: SecretStr = Field(SecretStr(""), description="Our password at Kannel")
    kannel_sender: str = Field("", description="Number or name that Kannel sends from; empty = Kannel's own")
    kannel_charset: Literal["utf8", "utf16be_raw"] = Field(
        "utf8", description="How text goes to Kannel; utf16be_raw for builds without iconv"
    )
    kannel_status_url: SecretStr = Field(
        SecretStr(""),
        description="Address of bearerbox's status.xml with its password, asked for its queue; empty = not asked",
    )
    twilio_url: str = Field("https://api.twilio.com", description="Address of Twilio's API")
    twilio_account: str = Field("", description="Account SID at Twilio (AC...)")
    twilio_token: SecretStr = Field(
        SecretStr(""), description="Auth token at Twilio; also checks the signature of callbacks"
    )
    twilio_signing_key: SecretStr = Field(
        SecretStr(""),
        description="Shared key that Twilio signs callbacks with (HMAC-SHA256); empty = it signs with the token",
    )
    twilio_sender: str = Field("", description="Number that Twilio sends from, as +1...")
    twilio_service: str = Field("", description="Messaging service at Twilio (MG...), in place of a number")
    mas_url: str = Field("", description="Address of the MAS platform's /sms/norsubmit")
    mas_company: str = Field("", description="Name of our organisation at the MAS platform (ecName)")
    mas_account: str = Field("", description="Our account at the MAS platform (apId)")
    mas_secret: SecretStr = Field(SecretStr(""), description="Our secret key at the MAS platform")
    mas_signature: str = Field("", description="Code of our signature at the MAS platform (sign)")
    mas_serial: str = Field("", description="Extension of our number at the MAS platform (addSerial); may be empty")
    mas_adds_signature: bool = Field(
        True, description="The MAS platform puts 【signature】 in front itself, so that ours is left out"
    )
    gateway_lease_seconds: float = Field(
        120, ge=5, le=3600, description="A gateway that pulls must report a claim within this time; then it is in doubt"
    )
    sms_connections: int = Field(100, ge=1, le=2000, description="Requests to the SMS provider in flight, at most")
    sms_price: int = Field(50, ge=0, description="Price of one SMS part in thousandths of the currency unit")
    sms_max_parts: int = Field(10, ge=1, le=10, description="An SMS of more parts is refused when it is submitted")
    social_provider: Literal["spool", "wecom"] = Field("spool", description="Who carries posts to group robots")
    social_url: str = Field("https://qyapi.weixin.qq.com", description="Address of the robots' provider")
    speech_engines: str = Field("espeak", description="Speech engines in the order they are tried, comma separated")
    audio_repeat: int = Field(2, ge=1, le=5, description="How often the words are said in one clip")
    window_emergency: int = Field(8, ge=1, le=100, description="Deliveries in flight per emergency worker")
    window_other: int = Field(100, ge=1, le=1000, description="Deliveries in flight per notice or promotion worker")
    lease_seconds: float = Field(
        30.0, gt=0, le=600, description="After this long without an outcome a window is in doubt"
    )
    chunk_size: int = Field(2000, ge=1, le=100_000, description="Deliveries that one chunk record announces, at most")
    retry_seconds: float = Field(
        5.0, gt=0, description="First pause before a delivery is tried again; doubles, with jitter"
    )
    max_attempts: int = Field(8, ge=1, le=50, description="Lost replies of an emergency delivery, until it is unknown")
    poll_seconds: float = Field(0.5, gt=0, le=10, description="Pause between looks for due work")
    promotion_from: str = Field("08:00", description="Promotions are not sent before this hour")
    promotion_until: str = Field("21:00", description="Promotions are not sent from this hour on")
    board_idle: str = Field("消防报警 119", description="What a billboard shows when nothing is on; never empty")
    session_idle_minutes: int = Field(30, ge=1, description="A sign-in ends after this long without a click")
    session_hours: int = Field(12, ge=1, description="A sign-in ends after this long in any case")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="Form of log lines on stderr")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @cached_property
    def folder(self) -> Path:
        """The home folder, absolute."""
        return self.home.expanduser().resolve()

    @property
    def store_url(self) -> str:
        """Address of the database."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.folder / 'broadcaster.db'}"

    @property
    def base_url(self) -> str:
        """Address that devices and browsers are given; never taken from a request's Host header."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def spool_file(self) -> Path:
        """Where the spool provider writes what would be sent."""
        return self.folder / "spool" / "messages.jsonl"

    @property
    def audio_folder(self) -> Path:
        """Where clips lie, named by their digest."""
        return self.folder / "audio"

    @property
    def key_file(self) -> Path:
        """The key file, mode 0600, made by init."""
        return self.folder / "keys.json"

    def window(self, category: str) -> int:
        """Deliveries in flight per worker of a lane: the bound of what one kill leaves in doubt."""
        return self.window_emergency if category == "emergency" else self.window_other


def _from_files() -> dict[str, str]:
    found = {}
    for name in Settings.model_fields:
        path = os.environ.get(f"{PREFIX}{name.upper()}_FILE")
        if path:
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise BadInput("setting-file", f"{PREFIX}{name.upper()}_FILE: {error}") from error
    return found


def load_settings(**given: Any) -> Settings:
    """Settings from arguments, then the environment, then files. Raises BadInput that names the variable and the value's fault."""
    try:
        return Settings(**{**_from_files(), **{k: v for k, v in given.items() if v is not None}})
    except ValidationError as error:
        lines = [f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise BadInput("setting", "; ".join(lines)) from error


def in_ci() -> bool:
    """Whether a continuous-integration run is on: a missing real part is then a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def child_environment(**extra: str) -> dict[str, str]:
    """The environment for a worker process: ours plus `extra`."""
    return {**os.environ, **extra}


def described(settings: Settings) -> list[dict[str, object]]:
    """Every setting with its value (secrets masked), default, and where the value came from."""
    rows: list[dict[str, object]] = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        variable = PREFIX + name.upper()
        source = "default"
        if f"{variable}_FILE" in os.environ:
            source = f"{variable}_FILE"
        elif variable in os.environ:
            source = variable
        elif name in settings.model_fields_set:
            source = "argument"
        shown = ("********" if value.get_secret_value() else "") if isinstance(value, SecretStr) else value
        default = "" if isinstance(field.default, SecretStr) else field.default
        rows.append(
            {
                "name": variable,
                "value": str(shown) if isinstance(shown, Path) else shown,
                "default": str(default) if isinstance(default, Path) else default,
                "source": source,
                "description": field.description or "",
            }
        )
    return rows
