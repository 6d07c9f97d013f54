"""Clocks that leap, leases that end, workers that wake up late, and requests that come in between."""

import signal
from datetime import timedelta

from tenantctl.adapters.postgres import dump
from tenantctl.model.backup import BackupState
from tests.faults.children import met_at_work
from tests.faults.row import Row
from tests.faults.scene import HOME, LEASE, Scene, vault_of


def the_clock_leaps_in_the_dump(scene: Scene) -> None:
    with met_at_work(dump, lambda _: scene.cloud.advance(LEASE)):
        scene.sweep()
    assert scene.backups()[0].regions_holding() == ()


def the_clock_leaps_a_week_in_an_upload(scene: Scene) -> None:
    with scene.meanwhile(lambda: scene.cloud.advance(timedelta(days=7)), f"/upload.*{vault_of(HOME)}", method="PUT"):
        scene.sweep()


def another_worker_takes_over(scene: Scene) -> None:
    codes: list[int] = []

    def take_over(_: object) -> None:
        scene.later(minutes=6)
        codes.append(scene.company.ask("run", "--tenant", scene.uid).code)

    with met_at_work(dump, take_over):
        scene.sweep()
    assert codes == [0]
    assert [one.state for one in scene.backups()] == [BackupState.FAILED, BackupState.COMPLETE]


def a_worker_sleeps_through_its_lease(scene: Scene) -> None:
    held = scene.fault(f"/upload.*{vault_of(HOME)}", "delay", method="PUT", seconds=5.0, times=1)
    worker = scene.company.start("run", "--tenant", scene.uid)
    scene.waits_in(held, worker)
    worker.send_signal(signal.SIGSTOP)
    assert scene.sweep_later(minutes=6) == 0
    entries = len(scene.world.registry.entries(scene.uid))
    worker.send_signal(signal.SIGCONT)
    _, said = worker.communicate()
    assert "Traceback" not in said
    assert len(scene.world.registry.entries(scene.uid)) == entries, "who lost its lease writes nothing"


def the_customer_leaves_and_returns(scene: Scene) -> None:
    def leave(_: object) -> None:
        scene.company.do("tenant", "cancel", scene.uid)

    with met_at_work(dump, leave):
        scene.sweep()
    assert not any(one.state is BackupState.COMPLETE for one in scene.backups()[:1])
    scene.company.do("tenant", "reinstate", scene.uid)


CLOCKS = (
    Row(
        "dump",
        "the clock leaps ahead, past the lease",
        "moved by six minutes while pg_dump runs",
        "nothing is sealed",
        the_clock_leaps_in_the_dump,
        bulky=True,
    ),
    Row(
        "seal",
        "the clock leaps ahead by a week",
        "moved while a last chunk is held up",
        "its terms count from where the store says",
        the_clock_leaps_a_week_in_an_upload,
    ),
    Row(
        "dump",
        "another worker takes over",
        "the lease ends while pg_dump runs; another run does the work",
        "the first seals nothing",
        another_worker_takes_over,
        bulky=True,
    ),
    Row(
        "upload",
        "a worker sleeps through its lease",
        "SIGSTOP, another run, SIGCONT",
        "what wakes up writes nothing",
        a_worker_sleeps_through_its_lease,
    ),
    Row(
        "dump",
        "the customer cancels, and comes back",
        "while pg_dump runs",
        "the dump gives way",
        the_customer_leaves_and_returns,
        bulky=True,
    ),
)
