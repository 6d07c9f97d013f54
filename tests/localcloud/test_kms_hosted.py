"""Cloud KMS inside a whole local cloud: one endpoint more, on the one clock, with the same faults."""

import json
import shutil
from datetime import datetime, timedelta

import pytest
from google.api_core.exceptions import ServiceUnavailable

from tenantctl.localcloud import client as local
from tests.localcloud.clouds import throw_away_cloud
from tests.localcloud.kms_service import KEY, client_of, make_key


def test_keys_live_as_long_as_the_cloud() -> None:
    """Faults strike them, the clock rotates them, a restart keeps them, and a cloud from before they were works too."""
    with throw_away_cloud() as cloud:
        client = client_of(cloud.endpoints["kms"])
        at = datetime.fromisoformat(cloud.status()["clock"]) + timedelta(days=90)
        make_key(client, rotation_period=timedelta(days=90), next_rotation_time=at)
        wrapped = client.encrypt({"name": KEY, "plaintext": b"secret"}).ciphertext
        cloud.add_fault("kms", "status", status=503, times=1)
        with pytest.raises(ServiceUnavailable):
            client.decrypt({"name": KEY, "ciphertext": wrapped}, retry=None)
        cloud.advance(timedelta(days=100))
        assert client.get_crypto_key(name=KEY).primary.name.endswith("/2")

        cloud.stop()
        again = local.start(cloud.folder.path, operation_seconds=0.0, leashed=True)
        assert again.endpoints == cloud.endpoints | {"control": again.endpoints["control"]}
        back = client_of(again.endpoints["kms"]).decrypt({"name": KEY, "ciphertext": wrapped})
        assert back.plaintext == b"secret"

        again.stop()
        path = again.folder.path / "cloud.json"
        document = json.loads(path.read_text())
        del document["ports"]["kms"]
        path.write_text(json.dumps(document))
        shutil.rmtree(again.folder.path / "kms")
        older = local.start(cloud.folder.path, operation_seconds=0.0, leashed=True)
        make_key(client_of(older.endpoints["kms"]))
        assert set(older.status()["endpoints"]) == {"storage", "sqladmin", "kms", "control"}
