"""kill -9 of `tenantctl run` at each stage of a backup, of its proofs, and of the shredding of its key."""

import signal
import time
from contextlib import closing

from tenantctl.adapters.postgres import dump
from tenantctl.adapters.postgres.child_process import ChildProcess
from tenantctl.model.backup import BackupState, VerificationLevel
from tests.faults.children import met_at_work
from tests.faults.row import Row
from tests.faults.scene import HOME, PARTNER, Scene, keys_of, vault_of
from tests.localcloud.company import VERIFY_INSTANCE

WORKER = "kill -9 of the worker"
MANIFEST = r"/o\?uploadType=multipart"
ANSWERED_AFTER = 10.0  # seconds of people's time


def before_anything_is_written(scene: Scene) -> None:
    scene.kill_in(":encrypt", api="kms")
    assert scene.backups() == []


def before_the_first_key_is_kept(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{keys_of('.*')}", "POST")
    assert [one.state for one in scene.backups()] == [BackupState.BEGUN]


def between_the_keys(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{keys_of(PARTNER)}", "POST")


def before_the_dump(scene: Scene) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with scene.session(as_owner=True) as customer, scene.session() as watcher:
        customer.execute("BEGIN")
        customer.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        worker = scene.company.start("run", "--tenant", scene.uid)
        while watcher.execute(waiting.encode()).fetchone() == (0,):
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.02)
        worker.kill()
        worker.communicate()
        customer.execute("ROLLBACK")


def in_the_dump(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{vault_of(HOME)}", "PUT")


def before_the_first_seal(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "drop", method="PUT")
    scene.kill_in(f"/upload.*{vault_of(PARTNER)}", "PUT")


def before_the_second_seal(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{vault_of(PARTNER)}", "PUT")


def before_the_first_manifest(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{vault_of('.*')}{MANIFEST}", "POST")


def between_the_manifests(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{vault_of(PARTNER)}{MANIFEST}", "POST")


def before_it_is_complete(scene: Scene) -> None:
    scene.kill_in(f"/upload.*{vault_of(PARTNER)}{MANIFEST}", "POST", after_bytes=1)
    assert [one.state for one in scene.backups()] == [BackupState.BEGUN]
    assert scene.sweep_later(minutes=6) == 0
    assert [one.state for one in scene.backups()] == [BackupState.COMPLETE]


def in_the_reading_back(scene: Scene) -> None:
    scene.kill_in("/download.*dump.zst.age", "GET", after_bytes=100)
    assert scene.newest().verified_level is None


def in_the_look_at_copies(scene: Scene) -> None:
    assert scene.sweep() == 0
    scene.later(hours=25)
    scene.kill_in(f"^/storage/.*{scene.newest().id}/dump.zst.age", "GET")


def before_the_restore(scene: Scene) -> None:
    assert scene.sweep() == 0
    scene.kill_in("/download.*dump.zst.age", "GET", after_bytes=100, command="backup verify")
    assert scene.newest().verified_level is not VerificationLevel.RESTORED


def in_the_restore(scene: Scene) -> None:
    assert scene.sweep() == 0
    restoring = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 's\\_%'"
    with closing(scene.world.sessions.connect(VERIFY_INSTANCE, "postgres")) as watcher:
        worker = scene.company.start("backup", "verify", scene.tenant.label)
        while watcher.execute(restoring.encode()).fetchone() == (0,):
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.005)
        worker.kill()
        worker.communicate()
    assert scene.newest().verified_level is not VerificationLevel.RESTORED


def before_a_key_is_shredded(scene: Scene) -> None:
    _fail_one(scene)
    scene.kill_in(keys_of(HOME), "DELETE")


def between_the_shreddings(scene: Scene) -> None:
    _fail_one(scene)
    scene.kill_in(keys_of(PARTNER), "DELETE")


def before_the_shredding_is_on_record(scene: Scene) -> None:
    failed = _fail_one(scene)
    scene.kill_in(f"^/storage.*{keys_of(PARTNER)}/o/.*{failed}", "GET")


def by_ctrl_c(scene: Scene) -> None:
    held = scene.fault(f"/upload.*{vault_of(HOME)}", "delay", method="PUT", seconds=ANSWERED_AFTER, times=1)
    worker = scene.company.start("run", "--tenant", scene.uid)
    scene.waits_in(held, worker)
    worker.send_signal(signal.SIGINT)
    _, said = worker.communicate()
    assert worker.returncode != 0
    assert "Traceback" not in said
    # The store goes on with the request, in people's time: it seals before the clock is moved.
    time.sleep(ANSWERED_AFTER)


def _fail_one(scene: Scene) -> str:
    """A backup of which nothing came, so that its key is to be shredded a day later; its id."""
    with met_at_work(dump, ChildProcess.kill):
        assert scene.sweep() == 5
    scene.later(hours=25)
    return scene.backups()[-1].id


def held(request: str) -> str:
    """How a worker is killed at one place and no other."""
    return f"killed while {request} is held up"


KILLS = (
    Row("begin", WORKER, held("its first call of the KMS"), "nothing was begun", before_anything_is_written),
    Row(
        "begin",
        WORKER,
        held("the first key on its way into a bucket"),
        "on record as begun",
        before_the_first_key_is_kept,
    ),
    Row("begin", WORKER, held("the second key on its way into a bucket"), "the attempt fails", between_the_keys),
    Row("dump", WORKER, "killed while it waits for a customer's lock", "the attempt fails", before_the_dump),
    Row("dump", WORKER, held("the first chunk of an upload"), "nothing is sealed", in_the_dump, bulky=True),
    Row(
        "seal",
        WORKER,
        "one store tears connections down, and " + held("the other"),
        "nothing is sealed",
        before_the_first_seal,
    ),
    Row(
        "seal",
        WORKER,
        held("the second region's last chunk"),
        "the copy sealed first is looked for",
        before_the_second_seal,
    ),
    Row("manifest", WORKER, held("the first manifest"), "both copies are looked for", before_the_first_manifest),
    Row(
        "manifest",
        WORKER,
        held("the second manifest"),
        "completed from the manifest that is there",
        between_the_manifests,
    ),
    Row(
        "complete",
        WORKER,
        held("the answer to the last manifest"),
        "completed from its manifests",
        before_it_is_complete,
    ),
    Row("L2", WORKER, held("a download"), "read through by the next run", in_the_reading_back),
    Row("audit", WORKER, held("a look at a copy"), "looked at by the next run", in_the_look_at_copies),
    Row("L3", WORKER, held("the download"), "its empty scratch database is swept", before_the_restore),
    Row(
        "L3",
        WORKER,
        "killed once pg_restore has logged in",
        "its half-restored database is swept",
        in_the_restore,
        bulky=True,
    ),
    Row(
        "shred",
        WORKER,
        held("the first removal"),
        "shredded by the next run",
        before_a_key_is_shredded,
        "trouble",
        bulky=True,
    ),
    Row(
        "shred",
        WORKER,
        held("the second removal"),
        "shredded by the next run",
        between_the_shreddings,
        "trouble",
        bulky=True,
    ),
    Row(
        "shred",
        WORKER,
        held("the look after the removals"),
        "shredded by the next run",
        before_the_shredding_is_on_record,
        "trouble",
        bulky=True,
    ),
    Row(
        "dump",
        "Ctrl-C",
        "SIGINT to the worker in the middle of an upload",
        "it ends without a traceback",
        by_ctrl_c,
        bulky=True,
    ),
)
