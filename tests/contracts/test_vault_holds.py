"""Rule 5 of the contract of the port `Vault`, held against every vault there is: temporary holds, one object each."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from google.api_core.exceptions import Forbidden

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present
from tests.contracts.vaults import PLACES, Place, StorePlace, place


@pytest.fixture(params=PLACES)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A vault with one empty bucket."""
    with place(request.param, tmp_path) as made:
        yield made


def content_of(here: Place, name: str) -> bytes:
    return b"".join(here.vault.read(here.bucket, name))


def test_5_a_hold_is_put_on_and_taken_off(here: Place) -> None:
    """Again is a no-op; all else of the object stays as it was, its retention included."""
    seen = here.vault.put(here.bucket, "tenant/backup/dump.zst.age", b"kept")
    name = "tenant/backup/dump.zst.age"
    assert here.vault.release(here.bucket, name) == seen
    held = here.vault.hold(here.bucket, name)
    assert held == replace(seen, held=True)
    assert here.vault.hold(here.bucket, name) == held
    assert here.vault.look(here.bucket, name) == Present(held)
    assert content_of(here, name) == b"kept"
    assert here.vault.release(here.bucket, name) == here.vault.release(here.bucket, name) == seen
    assert here.vault.look(here.bucket, name) == Present(seen)


def test_5_what_is_held_outlives_its_age(here: Place) -> None:
    """It is neither expired nor deleted, however late; what lies beside it goes; once released it goes at once."""
    here.vault.put(here.bucket, "held", b"for the law")
    here.vault.put(here.bucket, "beside", b"of no interest")
    held = here.vault.hold(here.bucket, "held")
    here.advance(timedelta(days=400))
    here.expire()
    assert here.vault.look(here.bucket, "beside") == Gone()
    assert here.vault.look(here.bucket, "held") == Present(held)
    with pytest.raises((Forbidden, Refused)):
        here.delete_as_owner("held")
    assert content_of(here, "held") == b"for the law"
    here.vault.release(here.bucket, "held")
    here.expire()
    assert here.vault.look(here.bucket, "held") == Gone()


def test_5_nobody_deletes_what_is_held(here: Place) -> None:
    """Nor does a hold that is taken off shorten the retention that stands beside it."""
    here.vault.put(here.bucket, "o", b"kept")
    here.vault.hold(here.bucket, "o")
    with pytest.raises((Forbidden, Refused)):
        here.delete_as_owner("o")
    here.vault.release(here.bucket, "o")
    with pytest.raises((Forbidden, Refused)):
        here.delete_as_owner("o")


def test_5_what_is_gone_is_not_held(here: Place) -> None:
    """Gone is said so; where nobody can tell, it may be there."""
    here.vault.put(here.bucket, "lost", b"1")
    here.lose("lost")
    for act in (here.vault.hold, here.vault.release):
        with pytest.raises(NotFound):
            act(here.bucket, "lost")
        with pytest.raises(Transient):
            act(f"{here.bucket}-missing", "o")
    here.vault.put(here.bucket, "o", b"1")
    here.fall_silent()
    with pytest.raises(Transient):
        here.vault.hold(here.bucket, "o")
    with pytest.raises(Transient):
        here.vault.release(here.bucket, "o")


def test_5_a_change_at_the_same_time_is_not_taken_for_a_hold(tmp_path: Path) -> None:
    """Cloud Storage is told which state of the object is meant; whoever was first, the next try sees both."""
    with place("local", tmp_path) as here:
        assert isinstance(here, StorePlace)
        here.vault.put(here.bucket, "o", b"kept")
        adapter = here.vault
        existing = adapter._existing  # type: ignore[attr-defined]

        def and_somebody_else(bucket: str, name: str) -> object:
            found = existing(bucket, name)
            other = here.client.bucket(bucket).blob(name)
            other.metadata = {"seen": "by somebody"}
            other.patch(retry=None)
            return found

        adapter._existing = and_somebody_else  # type: ignore[attr-defined]
        with pytest.raises(Transient, match="at the same time"):
            adapter.hold(here.bucket, "o")
        adapter._existing = existing  # type: ignore[attr-defined]
        assert adapter.hold(here.bucket, "o").held
