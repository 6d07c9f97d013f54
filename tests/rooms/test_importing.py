"""A customer's own dump, in a whole company in memory: all of it or nothing, whatever happens on the way."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tenantctl.adapters.memory.archives import MemoryDump
from tenantctl.adapters.memory.fuse import Crash, Fuse, fused
from tenantctl.adapters.memory.imports import MemoryImports
from tenantctl.model.errors import LeaseLost, Refused, Transient
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting, Tenant
from tenantctl.model.work import TROUBLE
from tenantctl.onboarding.credentials import rotate_password
from tenantctl.onboarding.importing import Imported, examine, import_dump, undo_import
from tenantctl.ports.databases import LoginsSeen
from tenantctl.ports.imports import BroughtIn, DumpSeen
from tenantctl.ports.world import World
from tests.rooms.company import Company, fused_world

TABLES = {"public.customers": ["Zoë", "Ann"], "public.orders": ["one", "two", "three"]}
OPEN = Present(LoginsSeen(can_log_in=True, sessions=0))


class Meddled(MemoryImports):
    """Somebody does something before a dump comes in, or after."""

    def __init__(
        self, company: Company, *, before: Callable[[], object] = bool, after: Callable[[], object] = bool
    ) -> None:
        super().__init__(company.databases)
        self._before, self._after = before, after

    def bring_in(self, hosting: Hosting, chunks: Iterator[bytes], seen: DumpSeen, *, seconds_max: float) -> BroughtIn:
        self._before()
        brought_in = super().bring_in(hosting, chunks, seen, seconds_max=seconds_max)
        self._after()
        return brought_in


@pytest.fixture
def company() -> Company:
    return Company()


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "customers.dump"
    path.write_bytes(b"".join(MemoryDump(TABLES, (), lambda: None).chunks()))
    return path


def newcomer(company: Company) -> Tenant:
    """An active tenant whose database is empty."""
    tenant = company.create(rows=())
    del company.database(tenant).tables["public.orders"]
    return tenant


def bring(company: Company, tenant: Tenant, dump: Path, *, imports: MemoryImports | None = None) -> Imported:
    imports = imports or MemoryImports(company.databases)
    world = company.world
    return import_dump(world, imports, tenant, examine(world, imports, dump))


def is_as_before(company: Company, tenant: Tenant) -> bool:
    """Whether the database is empty, with its marker, the customer let in and no alarm open."""
    database = company.database(tenant)
    right = database.marker == tenant.hosting.marker and database.schema_owner == tenant.hosting.owner
    return (
        right
        and not database.tables
        and company.alarms(tenant) <= {TROUBLE}  # a worker died, and the next one looks after its evidence
        and company.databases.look_at_logins(tenant.hosting) == OPEN
    )


def test_a_dump_comes_in_and_is_on_record(company: Company, dump: Path) -> None:
    tenant = newcomer(company)
    imported = bring(company, tenant, dump)
    assert (imported.tables, imported.rows) == (2, 5)
    assert company.database(tenant).tables == TABLES
    assert company.databases.look_at_logins(tenant.hosting) == OPEN
    assert company.alarms(tenant) == set()
    assert [event for event in company.events(tenant) if event.startswith("import")] == ["import-begun", "import-done"]
    assert rotate_password(company.world, tenant)
    company.advance(days=1)
    company.run()
    assert company.registry.backups(tenant.uid)[-1].rows == 5


def test_only_into_an_empty_database(company: Company, dump: Path) -> None:
    """Nothing is changed, and the customer keeps its password."""
    tenant = company.create(rows=("mine",))
    password = rotate_password(company.world, tenant)
    with pytest.raises(Refused, match="not empty"):
        bring(company, tenant, dump)
    assert company.database(tenant).tables == {"public.orders": ["mine"]}
    company.servers.connect(tenant.hosting, password)
    assert company.alarms(tenant) == set()


@pytest.mark.parametrize("kept", [0, 5, 60])
def test_a_file_that_is_no_whole_dump_changes_nothing(company: Company, dump: Path, kept: int) -> None:
    tenant = newcomer(company)
    before = company.events(tenant)
    dump.write_bytes(dump.read_bytes()[:kept])
    with pytest.raises(Refused):
        bring(company, tenant, dump)
    assert is_as_before(company, tenant)
    assert company.events(tenant) == before


def test_what_the_policy_does_not_allow(company: Company, dump: Path, tmp_path: Path) -> None:
    """An extension, a size, a folder, a file that is not there: a sentence each."""
    imports = MemoryImports(company.databases)
    imports.extensions = {"postgis": "public", "citext": "public"}
    with pytest.raises(Refused, match="postgis, which the policy does not allow"):
        examine(company.world, imports, dump)
    examined = examine(company.world, imports, dump, leave_out=["postgis"])
    assert (examined.seen.extensions, examined.seen.left_out) == ({"citext": "public"}, ("CREATE EXTENSION postgis",))
    with pytest.raises(Refused, match="folder"):
        examine(company.world, imports, tmp_path)
    with pytest.raises(Refused, match="no file"):
        examine(company.world, imports, tmp_path / "nonesuch")
    lifecycle = company.policies.lifecycle
    small = replace(lifecycle, imports=replace(lifecycle.imports, gigabytes_max=0))
    company.policies = replace(company.policies, lifecycle=small)
    with pytest.raises(Refused, match="more than 0 GB"):
        examine(company.world, imports, dump)


def test_a_table_that_lost_a_row_undoes_all(company: Company, dump: Path) -> None:
    tenant = newcomer(company)
    imports = MemoryImports(company.databases)
    imports.loses = {"public.orders"}
    with pytest.raises(Refused, match=r"public\.orders has 2 rows, and 3 stood in it"):
        bring(company, tenant, dump, imports=imports)
    assert is_as_before(company, tenant)


def test_a_file_that_changes_meanwhile_undoes_all(company: Company, dump: Path) -> None:
    tenant = newcomer(company)
    imports = MemoryImports(company.databases)
    examined = examine(company.world, imports, dump)
    dump.write_bytes(dump.read_bytes().replace(b"one", b"eno"))
    with pytest.raises(Refused, match="changed while"):
        import_dump(company.world, imports, tenant, examined)
    assert is_as_before(company, tenant)


def test_a_tenant_that_is_not_active_gets_none(company: Company, dump: Path) -> None:
    tenant = company.deactivated()
    with pytest.raises(Refused, match="is deactivated"):
        bring(company, tenant, dump)


def test_an_instance_that_goes_away_leaves_an_alarm_that_the_next_one_clears(company: Company, dump: Path) -> None:
    """What could not be undone then is undone by whoever asks next; until then nobody is let in."""
    tenant = newcomer(company)
    imports = MemoryImports(company.databases)
    examined = examine(company.world, imports, dump)
    server = company.servers[tenant.hosting.instance]

    def go_away() -> None:
        server.reachable = False
        raise Transient("It went away.")

    with pytest.raises(Transient, match="went away"):
        import_dump(company.world, Meddled(company, after=go_away), tenant, examined)
    server.reachable = True
    assert company.alarms(tenant) == {"import-closed", "import-unfinished"}
    with pytest.raises(Refused, match="broke off"):
        rotate_password(company.world, tenant)
    assert undo_import(company.world, tenant)
    assert is_as_before(company, tenant)
    assert not undo_import(company.world, tenant)


def test_a_cancellation_meanwhile_ends_it_and_nobody_is_let_in(company: Company, dump: Path) -> None:
    tenant = newcomer(company)
    imports = MemoryImports(company.databases)
    examined = examine(company.world, imports, dump)

    meddled = Meddled(company, before=lambda: company.cancel(tenant))
    with suppress(LeaseLost):
        import_dump(company.world, meddled, tenant, examined)
    company.run()
    assert company.registry.tenant(tenant.uid).state == "deactivated"
    assert company.databases.look_at_logins(tenant.hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))


def test_a_crash_at_any_call_leaves_all_or_nothing(tmp_path: Path) -> None:
    """Undone or asked for again, the database is empty as before or holds all of the dump; never less, never more."""
    touches, blown = 0, True
    while blown:
        company = Company()
        path = tmp_path / "customers.dump"
        path.write_bytes(b"".join(MemoryDump(TABLES, (), lambda: None).chunks()))
        tenant = newcomer(company)
        plain = MemoryImports(company.databases)
        examined = examine(company.world, plain, path)
        fuse = Fuse(touches)
        world: World = fused_world(company.bare_world, fuse)
        with suppress(Crash):
            import_dump(world, fused(plain, fuse), tenant, examined)
        blown, touches = fuse.blown, touches + 1
        company.advance(minutes=6)  # the dead process's lease has ended
        if "import-unfinished" in company.alarms(tenant):
            with pytest.raises(Refused):
                rotate_password(company.world, tenant)
        undo_import(company.world, tenant)
        whole = company.database(tenant).tables == TABLES
        assert whole == ("import-done" in company.events(tenant)), touches
        assert whole or is_as_before(company, tenant), touches
        assert company.databases.look_at_logins(tenant.hosting) == OPEN
        assert not {"import-closed", "import-unfinished"} & company.alarms(tenant)
        if not whole:
            assert import_dump(company.world, plain, tenant, examined).rows == 5
        company.run()
        assert company.alarms(tenant) == set()
    assert touches > 30


def test_two_at_once(company: Company, dump: Path) -> None:
    """The second is told that somebody has the tenant, and changes nothing."""
    tenant = newcomer(company)
    imports = MemoryImports(company.databases)
    examined = examine(company.world, imports, dump)

    def second() -> None:
        with pytest.raises(Transient, match="Another worker has tenant"):
            import_dump(company.world, imports, tenant, examined)

    import_dump(company.world, Meddled(company, before=second), tenant, examined)
    assert company.database(tenant).tables == TABLES
