"""The settings of one installation: read once from lumbung.toml and the environment, then passed down."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from harvester.errors import ConfigError

SETTINGS_FILE = "lumbung.toml"


class Settings(BaseSettings):
    """Frozen settings. Each is `LUMBUNG_<NAME>` in the environment, which wins over `<name>` in lumbung.toml."""

    model_config = SettingsConfigDict(env_prefix="LUMBUNG_", toml_file=SETTINGS_FILE, frozen=True, extra="forbid")

    home: Path = Field(Path("lumbung-data"), description="folder of all embedded state")
    catalogue: str = Field("", description="SQLAlchemy URL of the catalogue; default: SQLite in the home folder")
    archive: str = Field("", description="URL of the archive, file:///...; default: in the home folder")
    engine: str = Field("embedded:", description="search engine; `embedded:` keeps its index in the home folder")
    base_url: str = Field("http://127.0.0.1:8080", description="public URL of the site")
    admin_email: str = Field("", description="address of the network's operator; members see it in every request")
    secret_key: str = Field(
        "", description="signs cookies and tokens; default: made once, kept in the home folder", repr=False
    )
    max_wait: float = Field(300.0, gt=0, description="seconds; the longest pause between two tries of one request")
    allow_private: bool = Field(
        False,
        description="links found in records may lead to private and loopback addresses; development only",
    )
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

    @field_validator("base_url", "admin_email")
    @classmethod
    def _fits_a_header(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            raise ValueError("must be one line of ASCII: members see it in the headers of each request")
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url_is_a_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a web address such as https://library.example")
        return value.rstrip("/")

    @field_validator("engine")
    @classmethod
    def _engine_is_known(cls, value: str) -> str:
        if value != "embedded:":
            raise ValueError("must be `embedded:`")
        return value

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

    def get_secret_key(self) -> str:
        """The signing key; made and kept in the home folder where none is set."""
        if self.secret_key:
            return self.secret_key
        path = self.home / "secret-key"
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as file:
                path.chmod(0o600)
                file.write(secrets.token_urlsafe(32))
        except FileExistsError:
            pass
        return path.read_text()


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and lumbung.toml in the current folder.

    Raises:
        ConfigError: naming each wrong setting and what it should be.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # each field validates its own value
    except ValidationError as error:
        parts = [
            f"LUMBUNG_{'_'.join(str(p) for p in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ConfigError("wrong settings: " + "; ".join(parts)) from error
    except ValueError as error:  # a lumbung.toml that is not TOML
        raise ConfigError(f"{SETTINGS_FILE} cannot be read: {error}") from error
