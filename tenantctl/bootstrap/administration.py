"""The way to the registry for who administers it: whatever its schema is, for it may have to be laid first."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Final

from sqlalchemy import Engine

from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings

LOCAL_MIGRATOR: Final = "migrator@example.com"  # who lays the schema on a local cloud


@contextmanager
def registry_administration() -> Iterator[Engine]:
    """An engine on the registry, closed at the end; on a local cloud the migrator's own, else whoever we are.

    Raises:
        Refused: no cloud is configured, or its settings are wrong.
    """
    settings = load_settings()
    login = LOCAL_MIGRATOR if settings.local else settings.login
    with closing(CloudWorld(replace(settings, login=login))) as world:
        engine = world.registry_engine()
        try:
            yield engine
        finally:
            engine.dispose()
