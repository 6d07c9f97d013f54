"""The manifest beside each copy: what was dumped, when, and how to know it again.

Written last: a copy without its manifest is not a backup. The same bytes stand
beside every copy, so that either can vouch for the other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tenantctl.model.backup import Backup, RetentionClass, TableDigest
from tenantctl.model.errors import Refused

FORMAT: Final = 2
ARCHIVE: Final = "pg_dump custom archive, zstd, age v1: age -d -i KEY | zstd -d | pg_restore"
FORMATS_READ: Final = (1, 2)  # 1 was stored in the clear, without a recipient


@dataclass(frozen=True)
class Manifest:
    """A backup as it describes itself; sizes in bytes, `sha256` of the stored object in hex."""

    backup_id: str
    tenant_uid: str
    generation: int
    slot: str
    retention_class: RetentionClass
    begun_at: datetime
    server_version: str
    size: int
    raw_size: int
    sha256: str
    crc32c: str
    recipient: str | None
    forced_row_security: tuple[str, ...]
    tables: Mapping[str, TableDigest]

    def to_bytes(self) -> bytes:
        """The manifest as JSON, the same bytes for the same content."""
        content = {
            "format": FORMAT,
            "archive": ARCHIVE,
            "backup": self.backup_id,
            "tenant": self.tenant_uid,
            "generation": self.generation,
            "slot": self.slot,
            "class": self.retention_class.value,
            "begun_at": self.begun_at.isoformat(),
            "server_version": self.server_version,
            "size": self.size,
            "raw_size": self.raw_size,
            "sha256": self.sha256,
            "crc32c": self.crc32c,
            "recipient": self.recipient,
            "forced_row_security": list(self.forced_row_security),
            "tables": {name: [digest.rows, digest.checksum] for name, digest in sorted(self.tables.items())},
        }
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Reads a manifest of any released format.

        Raises:
            Refused: it is not one.
        """
        try:
            said: dict[str, Any] = json.loads(content)
            if said["format"] not in FORMATS_READ:
                raise Refused(f"A manifest of format {said['format']} needs a newer tenantctl.")
            return cls(
                backup_id=said["backup"],
                tenant_uid=said["tenant"],
                generation=said["generation"],
                slot=said["slot"],
                retention_class=RetentionClass(said["class"]),
                begun_at=datetime.fromisoformat(said["begun_at"]),
                server_version=said["server_version"],
                size=said["size"],
                raw_size=said["raw_size"],
                sha256=said["sha256"],
                crc32c=said["crc32c"],
                recipient=said["recipient"] if said["format"] > 1 else None,
                forced_row_security=tuple(said["forced_row_security"]),
                tables={name: TableDigest(rows, checksum) for name, (rows, checksum) in said["tables"].items()},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"This is not a manifest: {error}") from error

    def describes(self, backup: Backup) -> bool:
        """Whether this is the manifest of that backup."""
        return (self.backup_id, self.tenant_uid, self.slot) == (backup.id, backup.tenant_uid, backup.slot)
