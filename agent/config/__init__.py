"""The configuration: frozen typed sections, read from INI files, refused when anything is wrong."""

from agent.config.load import ConfigError, Live, load, reload
from agent.config.sections import (
    Access,
    Api,
    Auth,
    Config,
    Database,
    Files,
    Head,
    Log,
    Services,
    State,
)

__all__ = [
    "Access",
    "Api",
    "Auth",
    "Config",
    "ConfigError",
    "Database",
    "Files",
    "Head",
    "Live",
    "Log",
    "Services",
    "State",
    "load",
    "reload",
]
