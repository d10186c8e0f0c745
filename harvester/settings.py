"""The settings of one installation: read once from lumbung.toml and the environment, then passed down."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from errno import EISDIR
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from harvester.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SETTINGS_FILE = "lumbung.toml"
_DOMAIN = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z][a-zA-Z0-9-]*)+")  # Spec: guidelines-oai-identifier 2.1
_KEY_LENGTH = 16
_MAIL = re.compile(r"[^\s@]+@([^\s@.]+\.)+[^\s@.]+")  # Spec: 4.2, adminEmail
_INDEX_NAME = re.compile(r"(?:/(?:[a-z0-9][a-z0-9_.-]{0,99}/?)?)?")


class Settings(BaseSettings):
    """Frozen settings. Each is `LUMBUNG_<NAME>` in the environment, which wins over `<name>` in lumbung.toml."""

    model_config = SettingsConfigDict(
        env_prefix="LUMBUNG_", toml_file=SETTINGS_FILE, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    home: Path = Field(Path("lumbung-data"), description="folder of all embedded state")
    catalogue: str = Field(
        "",
        description="SQLAlchemy URL of the catalogue, postgresql://... say; default: SQLite in the home folder",
        repr=False,
    )
    archive: str = Field("", description="file:///FOLDER or s3://BUCKET/PREFIX; default: in the home folder")
    s3_endpoint: str = Field("", description="address of the S3 server; default: that of AWS")
    engine: str = Field(
        "embedded:",
        description="search engine: `embedded:`, its index in the home folder, or http(s)://user:password@host:9200",
        repr=False,
    )
    engine_api_key: str = Field(
        "", description="API key of the search server, instead of user and password", repr=False
    )
    engine_ca: str = Field("", description="file of the certificates by which the search server is known")
    engine_shards: int = Field(1, ge=1, le=1024, description="parts that a new index on a search server has")
    engine_replicas: int = Field(1, ge=0, le=100, description="copies of each part on other servers")
    engine_timeout: float = Field(
        10.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="seconds that a search waits; what is written six times as long",
    )
    base_url: str = Field("http://127.0.0.1:8080", description="public URL of the site")
    admin_email: str = Field("", description="address of the network's operator; members see it in every request")
    secret_key: str = Field(
        "",
        description="signs tokens; several, apart by spaces: the first signs, the others are believed, too; default: "
        "made once, kept in the home folder",
        repr=False,
    )
    operator_key: str = Field(
        "",
        description="password of the operators' page /takedowns, of 16 characters at least; default: there is no such "
        "page",
        repr=False,
    )
    max_wait: float = Field(
        300.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="seconds, a day at most; the longest pause between two tries of one request",
    )
    stall_minutes: float = Field(
        60.0,
        gt=0,
        le=10080,
        allow_inf_nan=False,
        description="minutes, a week at most; a harvest with no progress for so long has failed",
    )
    link_days: int = Field(
        90, ge=0, le=3650, description="days after which the link of a record is checked again; 0: never"
    )
    fulltext_days: int = Field(
        180, ge=1, le=3650, description="days after which the files of a record are looked for again"
    )
    file_megabytes: int = Field(100, ge=1, le=10_000, description="a file larger than that is not kept")
    file_hosts: str = Field(
        "",
        description="hosts, apart by blanks or commas, from which files of any member may be fetched, besides its own",
    )
    allow_private: bool = Field(
        False,
        description="redirects and links found in records may lead to private and loopback addresses; development only",
    )
    smtp: str = Field(
        "",
        description="mail server, smtp://user:password@host:port or smtps://...; without it nobody is written to",
        repr=False,
    )
    mail_from: str = Field(
        "", validate_default=True, description="sender of mails to members; default: the operator's address"
    )
    oai_domain: str = Field(
        "",
        description="the domain in the OAI identifiers of our records, never to be changed; default: the host of the "
        "public URL",
    )
    oai_part: int = Field(200, ge=1, le=500, description="records in a part of a list of our OAI-PMH endpoint")
    log_format: Literal["text", "json"] = Field("text", description="how logs are written: `text` or `json`")
    network_name: str = Field("Lumbung", description="the name of the network, shown on every page")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("home", mode="before")
    @classmethod
    def _no_home_is_the_default(cls, value: object) -> object:
        return value if value != "" else cls.model_fields["home"].default

    @field_validator("base_url", "admin_email")
    @classmethod
    def _fits_a_header(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            raise ValueError("must be one line of ASCII: members see it in the headers of each request")
        return value

    @field_validator("admin_email")
    @classmethod
    def _admin_email_is_an_address(cls, value: str) -> str:
        if value and not _MAIL.fullmatch(value):
            raise ValueError("must be a mail address such as library@example.ac.id")
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url_is_a_web_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            right = parts.scheme in {"http", "https"} and parts.hostname
        except ValueError:
            right = None
        if not right:
            raise ValueError("must be a web address such as https://library.example")
        return value.rstrip("/")

    @field_validator("s3_endpoint")
    @classmethod
    def _s3_endpoint_is_an_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            right = parts.scheme in {"http", "https"} and parts.hostname and "@" not in value
            right = right and (parts.port or True) and not parts.query
        except ValueError:
            right = False
        if value and not right:
            raise ValueError("must be an address such as https://s3.example:9000, with no key in it")
        return value

    @field_validator("operator_key")
    @classmethod
    def _operator_key_is_long(cls, value: str) -> str:
        if value and len(value) < _KEY_LENGTH:
            raise ValueError(f"must have {_KEY_LENGTH} characters or more")
        return value

    @field_validator("smtp")
    @classmethod
    def _smtp_is_an_address(cls, value: str) -> str:
        if value:
            from harvester.mail import parse_server  # noqa: PLC0415 - what only those need who send mail

            parse_server(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _mail_has_a_sender(cls, value: str, info: ValidationInfo) -> str:
        sender = value or info.data.get("admin_email", "")
        if info.data.get("smtp") or value:
            from harvester.mail import parse_address  # noqa: PLC0415 - as above

            parse_address(sender)
        return str(sender)

    @field_validator("engine")
    @classmethod
    def _engine_is_known(cls, value: str) -> str:
        if value != "embedded:":
            try:
                parts = urlsplit(value)
                right = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
            except ValueError:
                right = None
            if not (right and _INDEX_NAME.fullmatch(parts.path)) or parts.query or parts.fragment:
                raise ValueError("must be `embedded:` or a search server such as https://host:9200")
        return value

    @field_validator("oai_domain")
    @classmethod
    def _oai_domain_fits_an_identifier(cls, value: str) -> str:
        if value and not _DOMAIN.fullmatch(value):
            raise ValueError("must be a domain such as library.example, each part of it beginning with a letter")
        return value

    @property
    def repository_domain(self) -> str:
        """The domain in our OAI identifiers; one made of the public URL where that has a bare address or name."""
        parts = urlsplit(self.base_url)
        host = (parts.hostname or "").removesuffix(".")
        if self.oai_domain or _DOMAIN.fullmatch(host):
            return self.oai_domain or host
        return f"p{parts.port or 80}.h{re.sub('[^a-z0-9]+', '-', host)}.localhost"

    @property
    def catalogue_url(self) -> str:
        """The SQLAlchemy URL, with the default filled in."""
        return self.catalogue or f"sqlite:///{self.home.absolute() / 'catalogue.sqlite'}"

    @property
    def archive_url(self) -> str:
        """The archive's URL, with the default filled in."""
        return self.archive or (self.home.absolute() / "archive").as_uri()

    @property
    def index_path(self) -> Path:
        """The folder of the embedded engine."""
        return self.home.absolute() / "index"

    @property
    def user_agent(self) -> str:
        """How we introduce ourselves to members: name, version, and where to complain. Spec: [harv 2]."""
        contact = f"; mailto:{self.admin_email}" if self.admin_email else ""
        return f"Lumbung/0.1 (+{self.base_url}/about{contact})"

    def get_secret_keys(self) -> list[str]:
        """The keys to sign and to check with, the present one first; made and kept in the home folder where none is
        set."""
        if self.secret_key.strip():
            return self.secret_key.split()
        path = self.home / "secret-key"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=self.home, prefix=".secret-key-") as draft:  # for our own user alone
                draft.write(secrets.token_urlsafe(32))
                draft.flush()
                os.fsync(draft.fileno())
                with suppress(FileExistsError):  # another process was faster
                    os.link(draft.name, path)  # whole at once: nobody reads half a key, and no kill leaves one
        return path.read_text().split()


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and lumbung.toml in the current folder.

    Raises:
        ConfigError: naming each wrong setting and what it should be.
    """
    try:
        if Path(SETTINGS_FILE).is_dir():  # pydantic would pass over it in silence
            raise IsADirectoryError(EISDIR, "it is a folder")
        return Settings(**overrides)  # type: ignore[arg-type]  # each field validates its own value
    except ValidationError as error:
        raise ConfigError("wrong settings: " + "; ".join(map(_sentence, error.errors()))) from error
    except OSError as error:
        raise ConfigError(f"{SETTINGS_FILE} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a lumbung.toml that is not TOML
        raise ConfigError(f"{SETTINGS_FILE} cannot be read: {error}") from error


_AT_MOST = {
    "max_wait": "seconds above 0, 86400",
    "stall_minutes": "minutes above 0, 10080",
    "link_days": "days, 0 to 3650",
    "fulltext_days": "days, 1 to 3650",
    "file_megabytes": "megabytes, 1 to 10000",
    "oai_part": "records, 1 to 500",
    "engine_shards": "parts, 1 to 1024",
    "engine_replicas": "copies, 0 to 100",
    "engine_timeout": "seconds above 0, 600",
}
# What a value must be, by the kind of pydantic's error; our own validators say it themselves.
_MUST_BE = {
    "bool": "must be true or false",
    "string": "must be a text",
    "path": "must be the path of a folder",
    "literal": "must be `text` or `json`",
}


def _sentence(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting `{name}` in {SETTINGS_FILE}"
    if problem["type"] == "value_error":
        words = str(problem["ctx"]["error"])
    elif name in _AT_MOST:
        words = f"must be a number of {_AT_MOST[name]} at most"
    else:
        words = _MUST_BE[problem["type"].partition("_")[0]]
    return f"LUMBUNG_{name.upper()}: {words}"
