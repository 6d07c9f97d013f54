"""Where a fault is committed: one tenant of a company on a throw-away local cloud, and all that can be done to it.

What needs a process of its own to be killed runs the command line; everything else runs the same sweep in this
process, over the real adapters, so that a fault can be put between any two of its calls.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.backups.planning import newest_complete
from tenantctl.bootstrap import CloudWorld
from tenantctl.entrypoints.cli.progress import Progress, follow
from tenantctl.localcloud import client
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.backup import Backup, Copy, TableDigest
from tenantctl.model.errors import TenantctlError
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Tenant
from tenantctl.ports.registry import FencedWrites
from tenantctl.sweeps.tenants import sweep
from tests.asking import ask_for_tenant
from tests.localcloud.company import HOME, Company

PARTNER = "us-central1"
HELD_SECONDS = 60.0  # how long a request is held up that somebody is killed in; it never comes to its end
LEASE = timedelta(minutes=6)  # in which the lease of a worker that was killed ends
DATA = (
    "CREATE TYPE mood AS ENUM ('glad', 'sad')",
    "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL, mood mood NOT NULL, at timestamptz NOT NULL)",
    """INSERT INTO orders SELECT i, repeat('note ' || i, 5), 'glad', '2026-01-01'::timestamptz + i * '1 min'::interval
       FROM generate_series(1, 300) i""",
    'CREATE TABLE "odd ""name"" Ω" (id int REFERENCES orders, twice int GENERATED ALWAYS AS (id * 2) STORED)',
    'INSERT INTO "odd ""name"" Ω" SELECT id FROM orders',
    "SELECT lo_from_bytea(0, '\\x00ff00'::bytea)",
)
# Four megabytes that no compression makes smaller: more than a pipe, a chunk or a queue takes in at once.
BULK = (
    "CREATE TABLE bulk (piece bytea NOT NULL)",
    """INSERT INTO bulk SELECT (SELECT string_agg(sha512((i * 1000 + j)::text::bytea), '')
       FROM generate_series(1, 1000) j) FROM generate_series(1, 70) i""",
)


@dataclass
class Scene:
    """One tenant, in whose life something goes wrong.

    Attributes:
        company: The company and its cloud, shared with other tenants.
        world: The real adapters, in this process.
        tenant: As it was when it became active.
        truth: What its tables hold; nobody changes them.
    """

    company: Company
    world: CloudWorld
    tenant: Tenant
    truth: dict[str, TableDigest] = field(default_factory=dict)

    @classmethod
    def begin(cls, company: Company, world: CloudWorld, name: str, *, bulky: bool) -> "Scene":
        """A tenant that is active and has data, and whose first backup is due and not yet made."""
        tenant = ask_for_tenant(world, name)
        scene = cls(company, world, tenant)
        assert scene.sweep(Duty.PROVISION) == 0
        scene.tenant = world.registry.tenant(tenant.uid)
        with scene.session(as_owner=True) as session:
            for statement in (*DATA, *(BULK if bulky else ())):
                session.execute(statement.encode())
        with scene.session() as session:
            scene.truth = digest(session, list_tables(session))
        return scene

    @property
    def uid(self) -> str:
        """The tenant's uid."""
        return self.tenant.uid

    @property
    def cloud(self) -> LocalCloud:
        """The local cloud."""
        return self.company.cloud

    # What the program does

    def sweep(self, duty: Duty | None = None) -> int:
        """What `tenantctl run --tenant` does, in this process; its exit code."""
        try:
            return follow(sweep(self.world, duty=duty, tenant=self.uid), Progress(as_json=True))[1]
        except TenantctlError as error:
            print(f"sweep: {error.sentence}")
            return error.exit_code

    def later(self, **time_that_passes: float) -> None:
        """Time passes."""
        self.cloud.advance(timedelta(**time_that_passes))

    def sweep_later(self, **time_that_passes: float) -> int:
        """Time passes, and then a sweep; its exit code."""
        self.later(**time_that_passes)
        return self.sweep()

    def backups(self) -> Sequence[Backup]:
        """The tenant's backups, oldest first."""
        return self.world.registry.backups(self.uid)

    def newest(self) -> Backup:
        """The newest complete backup; there is one."""
        found = newest_complete(self.backups())
        assert found is not None
        return found

    def copy_in(self, region: str) -> Copy:
        """The newest complete backup's copy in a region."""
        return next(copy for copy in self.newest().copies if copy.region == region)

    def alarms(self) -> set[str]:
        """The codes of the alarms that are open."""
        return {alarm.code for alarm in self.world.registry.alarms(self.uid)}

    @contextmanager
    def fenced(self) -> Iterator[FencedWrites]:
        """A write into the registry as a worker makes it, for what cannot happen by itself."""
        registry = self.world.registry
        registry.make_due(self.uid)
        lease = registry.claim("whoever damages it", lease=LEASE, tenant=self.uid)
        assert lease is not None
        with registry.fenced(lease) as writes:
            yield writes
        registry.release(lease, due_at=registry.now(), duty=None)

    @contextmanager
    def session(self, *, as_owner: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """A session in the tenant's database."""
        hosting = self.tenant.hosting
        settings = {"role": hosting.owner if as_owner else "cloudsqlsuperuser"}
        with closing(self.world.sessions.connect(hosting.instance, hosting.database, settings=settings)) as session:
            yield session

    # What goes wrong

    def fault(self, path: str, kind: str = "status", *, api: str = "storage", **details: Any) -> str:
        """Has requests to an interface go wrong; the fault's name."""
        return self.cloud.add_fault(api, kind, path=path, **details)

    def waits_in(self, identifier: str, worker: Any = None) -> None:
        """Returns once a request was struck by a fault that strikes once; the worker must still be at it."""
        while any(one["id"] == identifier for one in self.cloud.faults()):
            assert worker is None or worker.poll() is None, worker.communicate()
            time.sleep(0.01)

    def kill_in(
        self, path: str, method: str | None = None, *, api: str = "storage", after_bytes: int = 0, command: str = "run"
    ) -> None:
        """Kills a worker, by kill -9, while a request of its waits for an answer."""
        held = self.fault(path, "delay", api=api, method=method, seconds=HELD_SECONDS, times=1, after_bytes=after_bytes)
        arguments = ("run", "--tenant", self.uid) if command == "run" else (*command.split(), self.tenant.label)
        worker = self.company.start(*arguments)
        self.waits_in(held, worker)
        worker.kill()
        worker.communicate()
        assert worker.returncode < 0

    @contextmanager
    def meanwhile(self, action: Callable[[], object], path: str, **details: Any) -> Iterator[None]:
        """Does something while one request of the block is held up, which then goes on."""
        held = self.fault(path, "delay", seconds=6.0, times=1, **details)
        failures: list[BaseException] = []

        def act() -> None:
            try:
                self.waits_in(held)
                action()
            except BaseException as failure:  # noqa: BLE001 - raised where it can be seen
                failures.append(failure)

        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        yield
        self.cloud.clear_faults(held)
        thread.join()
        assert not failures, failures

    def lift(self) -> None:
        """Ends whatever trouble there is in the cloud; what it has done stays done."""
        if LocalCloud.find(self.company.folder) is None:
            client.start(self.company.folder)
        self.cloud.clear_faults()
        self.cloud.start_what_is_down()
        for one in self.cloud.status()["instances"]:
            if one["state"] != "RUNNABLE":
                self.cloud.start_instance(one["name"])


def vault_of(region: str) -> str:
    """A pattern of the requests to a region's buckets of copies."""
    return f"/b/tenantctl-local-{region}-[a-z]+-[0-9]+d"


def keys_of(region: str) -> str:
    """A pattern of the requests to a region's key bucket."""
    return f"/b/tenantctl-local-{region}-keys"


__all__ = ["HOME", "PARTNER", "Scene", "keys_of", "vault_of"]
