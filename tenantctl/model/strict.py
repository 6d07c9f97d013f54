"""How what is read from files is held to its types: nothing is converted, and nothing unknown is put up with."""

from typing import Any, Final

STRICT: Final[dict[str, Any]] = {"strict": True, "extra": "forbid"}
