"""Where a local cloud keeps its state: the one rule that the local cloud and the program share."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "TENANTCTL_LOCAL_DIR"
CONFIG_NAME: Final = "tenantctl.json"
PUBLIC_KEY_NAME: Final = "certificate-key.pem"  # what its certificates are verified with
_OF_ROOT: Final = Path("/var/lib/tenantctl/local")


def local_folder(named: str | None = None, *, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder named, else that of `TENANTCTL_LOCAL_DIR`, else the usual place for a user's state.

    Root's own home is closed to the user that PostgreSQL then runs as, so root's place is another.
    """
    if chosen := named or environment.get(VARIABLE):
        return Path(chosen)
    if os.geteuid() == 0:
        return _OF_ROOT
    return Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "tenantctl" / "local"
