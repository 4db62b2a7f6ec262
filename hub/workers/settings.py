"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub.connect.registry import shipped


def home_here() -> Path:
    """The folder that is meant where none is named: the one that one stands in when it is a hub's, that is, holds `flows/`
    or `hub.sqlite`; else `hub-home` in it. The checkout holds the shipped flows and is no hub's folder."""
    here = Path()
    own_flows = (here / "flows").is_dir() and (here / "flows").resolve() != shipped("flows").resolve()
    return here if own_flows or (here / "hub.sqlite").is_file() else here / "hub-home"


class Settings(BaseSettings):
    """`HUB_HOME` is the folder of a hub: its database, its key, and the flows, mappings and connectors that override
    shipped ones (default: see `home_here`). `HUB_DATABASE_URL` names another database; `HUB_DATABASE_ADMIN_URL` the role that owns and migrates it.
    """

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    home: Path = Field(default_factory=home_here)
    database_url: str = ""
    database_admin_url: str = ""
    #: Redis or Valkey that wakes the processes of a hub on PostgreSQL; empty: one process
    redis_url: str = ""
    bind: str = "127.0.0.1:8484"
    public_url: str = ""
    #: where a process that takes no requests answers `/metrics` and `/healthz`; empty: nowhere
    metrics_bind: str = ""
    #: seconds between polls of a connection; 0: as its connector says
    poll_seconds: int = Field(default=0, ge=0)
    #: seconds after which what a process holds is taken over by others, unless it renews it: one that was killed or that
    #: hangs keeps its work so long
    lease_seconds: int = Field(default=30, ge=2, le=600)
    #: deliveries that a process sends at once
    threads: int = Field(default=24, ge=1, le=200)
    log_level: str = "info"

    @field_validator("bind", "metrics_bind")
    @classmethod
    def _host_and_port(cls, value: str, info: ValidationInfo) -> str:
        host, _, port = value.rpartition(":")
        if not value and info.field_name == "metrics_bind":
            return value
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
            raise ValueError("it is host:port, for example 127.0.0.1:8484")
        return value

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("HUB_PUBLIC_URL is a URL that systems outside reach, for example https://hub.example.com")
        return value.rstrip("/")

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'hub.sqlite'}"

    @property
    def many(self) -> bool:
        """Whether any number of processes may work with this hub; else one, which holds the lock of its folder."""
        return self.url.startswith("postgresql")

    @property
    def host(self) -> str:
        return self.bind.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])
