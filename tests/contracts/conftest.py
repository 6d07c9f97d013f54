"""Fixtures that several contracts share; who needs another place has a fixture of that name in its own file."""

from collections.abc import Iterator

import pytest

from tenantctl.adapters.postgres.imports import PostgresImports
from tests.contracts.databases_places import PostgresPlace, local_place


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[PostgresPlace]:
    with local_place(request.getfixturevalue("local_cloud")) as found:
        yield found


@pytest.fixture
def imports(place: PostgresPlace) -> Iterator[PostgresImports]:
    made = PostgresImports(place.sessions)
    yield made
    made.close()
