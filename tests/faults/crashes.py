"""The death of everything but the worker: PostgreSQL's programs, its servers, the stores, and sessions between them."""

import os
import signal

from tenantctl.adapters.postgres import archive, dump, restoring
from tenantctl.adapters.postgres.child_process import ChildProcess
from tenantctl.localcloud import client
from tenantctl.model.backup import BackupState, VerificationLevel
from tenantctl.model.plan import Duty
from tests.faults.children import met_at_work
from tests.faults.row import Row
from tests.faults.scene import PARTNER, Scene, vault_of
from tests.localcloud.company import TENANTS_INSTANCE, VERIFY_INSTANCE

REGISTRY = "registry"
END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def verify(scene: Scene) -> int:
    """`tenantctl backup verify` of the newest backup; its exit code."""
    return scene.company.ask("backup", "verify", scene.tenant.label).code


def pg_dump_is_killed(scene: Scene) -> None:
    with met_at_work(dump, ChildProcess.kill):
        assert scene.sweep() == 5
    assert [one.state for one in scene.backups()] == [BackupState.FAILED]


def pg_restore_is_killed(scene: Scene) -> None:
    assert scene.sweep() == 0
    with met_at_work(restoring, ChildProcess.kill):
        _prove_in_this_process(scene, 5)
    assert scene.newest().verified_level is not VerificationLevel.RESTORED


def pg_restore_is_killed_in_l2(scene: Scene) -> None:
    assert scene.sweep(Duty.BACKUP) == 0
    with met_at_work(archive, ChildProcess.kill, piece=1):
        assert scene.sweep() == 5
    assert len(scene.newest().regions_holding()) == 2


def pg_restore_is_killed_at_the_contents(scene: Scene) -> None:
    assert scene.sweep() == 0
    with met_at_work(archive, ChildProcess.kill, piece=1):
        _prove_in_this_process(scene, 5)
    assert scene.backups()[0].state is BackupState.COMPLETE


def the_stores_are_killed(scene: Scene) -> None:
    with met_at_work(dump, lambda _: _kill_the_stores(scene)):
        assert scene.sweep() == 5
    scene.lift()
    assert [one.state for one in scene.backups()] == [BackupState.BEGUN]


def the_stores_are_restarted(scene: Scene) -> None:
    def restart(_: ChildProcess) -> None:
        _kill_the_stores(scene)
        scene.lift()

    with met_at_work(dump, restart):
        scene.sweep()
    assert not any(one.state is BackupState.COMPLETE for one in scene.backups())


def the_power_fails_at_the_tenants(scene: Scene) -> None:
    with met_at_work(dump, lambda _: scene.cloud.kill_instance(TENANTS_INSTANCE)):
        assert scene.sweep() == 5
    assert [one.state for one in scene.backups()] == [BackupState.FAILED]


def the_instance_is_restarted(scene: Scene) -> None:
    def restart(_: ChildProcess) -> None:
        scene.cloud.stop_instance(TENANTS_INSTANCE)
        scene.cloud.start_instance(TENANTS_INSTANCE)

    with met_at_work(dump, restart):
        assert scene.sweep() == 5


def the_instance_is_down(scene: Scene) -> None:
    scene.cloud.stop_instance(TENANTS_INSTANCE)
    assert scene.sweep() == 5


def a_session_of_the_dump_is_ended(scene: Scene) -> None:
    def end(_: ChildProcess) -> None:
        with scene.session() as session:
            session.execute(END_SESSIONS.encode())

    with met_at_work(dump, end):
        assert scene.sweep() == 5


def the_sessions_of_the_registry_are_ended(scene: Scene) -> None:
    def end(_: ChildProcess) -> None:
        _end_sessions_of_the_registry(scene)

    with met_at_work(dump, end):
        scene.sweep()


def the_registry_restarts_in_the_dump(scene: Scene) -> None:
    def restart(_: ChildProcess) -> None:
        scene.cloud.kill_instance(REGISTRY)
        scene.cloud.start_instance(REGISTRY)

    with met_at_work(dump, restart):
        scene.sweep()


def the_registry_dies_before_it_is_complete(scene: Scene) -> None:
    path = rf"/upload.*{vault_of(PARTNER)}/o\?uploadType=multipart"
    with scene.meanwhile(lambda: scene.cloud.kill_instance(REGISTRY), path, method="POST"):
        assert scene.sweep() == 5
    scene.cloud.start_instance(REGISTRY)
    assert scene.sweep_later(minutes=6) == 0
    assert [one.state for one in scene.backups()] == [BackupState.COMPLETE]


def the_power_fails_at_the_restore(scene: Scene) -> None:
    assert scene.sweep() == 0
    with met_at_work(restoring, lambda _: scene.cloud.kill_instance(VERIFY_INSTANCE)):
        _prove_in_this_process(scene, 5)
    assert scene.backups()[0].state is BackupState.COMPLETE


def the_verifier_is_down(scene: Scene) -> None:
    assert scene.sweep() == 0
    scene.cloud.stop_instance(VERIFY_INSTANCE)
    assert verify(scene) == 5
    assert scene.backups()[0].state is BackupState.COMPLETE


def the_admin_api_is_down(scene: Scene) -> None:
    scene.fault(".*", api="sqladmin")
    answer = scene.company.ask("run", "--tenant", scene.uid)
    assert answer.code == 5
    assert scene.backups() == []


def _kill_the_stores(scene: Scene) -> None:
    """The supervisor of the local cloud: both stores, every KMS, and the way to all instances."""
    os.kill(scene.cloud.status()["pid"], signal.SIGKILL)
    while client.LocalCloud.find(scene.company.folder) is not None:
        pass


def _end_sessions_of_the_registry(scene: Scene) -> None:
    sessions, settings = scene.world.sessions, scene.world.settings
    session = sessions.connect(settings.registry_instance, settings.registry_database)
    try:
        session.execute(END_SESSIONS.encode())
    finally:
        session.close()


def _prove_in_this_process(scene: Scene, code: int) -> None:
    from tenantctl.backups.planning import plan_verification
    from tenantctl.entrypoints.cli.progress import Progress, follow
    from tenantctl.sweeps.tenants import carry_out

    newest = scene.newest()
    progress = Progress(as_json=True)
    asked = carry_out(scene.world, lambda _, of: plan_verification(of, newest, "asked for"), scene.tenant)
    assert follow(iter((asked,)), progress)[1] == code


CRASHES = (
    Row(
        "dump",
        "pg_dump killed",
        "SIGKILL before its second piece is read",
        "no object; the attempt failed",
        pg_dump_is_killed,
        "trouble",
        bulky=True,
    ),
    Row(
        "L2",
        "pg_restore killed",
        "SIGKILL while it reads a copy through",
        "the copy is not called lost",
        pg_restore_is_killed_in_l2,
        "trouble",
    ),
    Row(
        "L3",
        "pg_restore killed",
        "SIGKILL while it lists the contents",
        "the backup is not called bad",
        pg_restore_is_killed_at_the_contents,
        "trouble",
    ),
    Row(
        "L3",
        "pg_restore killed",
        "SIGKILL in the middle of the restore",
        "the backup is not called bad",
        pg_restore_is_killed,
        "trouble",
        bulky=True,
    ),
    Row(
        "dump",
        "the stores, the KMS and the way to the instances die",
        "kill -9 of the supervisor while pg_dump runs",
        "nothing is sealed",
        the_stores_are_killed,
        bulky=True,
    ),
    Row(
        "dump",
        "the stores die and come back",
        "kill -9 of the supervisor while pg_dump runs, and a new start",
        "whatever came of it is on record",
        the_stores_are_restarted,
        "trouble",
        bulky=True,
    ),
    Row(
        "dump",
        "power cut at the tenants' instance",
        "its server killed while pg_dump runs",
        "no object; the attempt failed",
        the_power_fails_at_the_tenants,
        "trouble",
        bulky=True,
    ),
    Row(
        "dump",
        "the tenants' instance is restarted",
        "stopped and started while pg_dump runs",
        "no object",
        the_instance_is_restarted,
        "trouble",
        bulky=True,
    ),
    Row(
        "begin",
        "the tenants' instance is down",
        "stopped before the backup",
        "told, and made once it is back",
        the_instance_is_down,
        "trouble",
    ),
    Row(
        "dump",
        "the sessions of a dump are ended",
        "pg_terminate_backend while pg_dump runs",
        "no object",
        a_session_of_the_dump_is_ended,
        "trouble",
        bulky=True,
    ),
    Row(
        "dump",
        "the registry's sessions are cut",
        "pg_terminate_backend on all of them while pg_dump runs",
        "sealed only under a lease",
        the_sessions_of_the_registry_are_ended,
        bulky=True,
    ),
    Row(
        "dump",
        "power cut at the registry",
        "its server killed and started while pg_dump runs",
        "sealed only under a lease",
        the_registry_restarts_in_the_dump,
        bulky=True,
    ),
    Row(
        "complete",
        "power cut at the registry",
        "its server killed while the last manifest is written",
        "completed from its manifests",
        the_registry_dies_before_it_is_complete,
    ),
    Row(
        "L3",
        "power cut at the verifying instance",
        "its server killed in the middle of a restore",
        "the backup is not called bad; the rest is swept",
        the_power_fails_at_the_restore,
        "trouble",
        bulky=True,
    ),
    Row(
        "L3",
        "the verifying instance is down",
        "stopped before the restore",
        "the backup is not called bad",
        the_verifier_is_down,
        "trouble",
    ),
    Row(
        "begin",
        "the Admin API is down",
        "503 to a worker that has just started",
        "exit code 5, nothing begun",
        the_admin_api_is_down,
    ),
)
