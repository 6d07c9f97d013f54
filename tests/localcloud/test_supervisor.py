"""A local cloud keeps what it answered, through stops, restarts and kill -9, and has one clock for everything."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenantctl.localcloud import client
from tenantctl.localcloud.client import LocalCloud, LocalCloudFailed, LocalCloudRefused
from tenantctl.localcloud.state import find_state_folder
from tests.localcloud.clouds import (
    OPERATOR,
    admin_client,
    ask_as_operator,
    finish,
    make_instances,
    refused,
    storage_client,
    throw_away_cloud,
    throw_away_folder,
)


def kill_supervisor(cloud: LocalCloud) -> None:
    """Kill -9, and wait until it is gone."""
    os.kill(cloud.status()["pid"], signal.SIGKILL)
    while cloud.folder.supervised():
        time.sleep(0.01)


def up_again(cloud: LocalCloud) -> LocalCloud:
    """Start the same local cloud anew."""
    return client.start(cloud.folder.path, operation_seconds=0.0, leashed=True)


def server_pids(cloud: LocalCloud) -> set[int]:
    """The process ids of the postmasters."""
    files = cloud.folder.instances.glob("*/data/postmaster.pid")
    return {int(path.read_text().split("\n", 1)[0]) for path in files}


def bucket_names(cloud: LocalCloud) -> list[str]:
    """The buckets, as the real client lists them."""
    return [bucket.name for bucket in storage_client(cloud).list_buckets()]


def test_everything_is_there_after_down_and_up() -> None:
    """Data, instances, roles, the clock, the endpoints and the data plane's address."""
    with throw_away_cloud({"one": "us-central1"}) as cloud:
        storage_client(cloud).create_bucket("kept")
        insert = admin_client(cloud).databases().insert(project=cloud.project, instance="one", body={"name": "kept"})
        operation = finish(cloud, insert.execute())
        cloud.advance(timedelta(days=40))
        before = cloud.status()
        cloud.stop()
        assert LocalCloud.find(cloud.folder.path) is None
        assert server_pids(cloud) == set()
        assert not Path(str(cloud.file.sockets)).exists()
        again = up_again(cloud)
        after = again.status()
        assert (after["endpoints"], after["address"]) == (before["endpoints"], before["address"])
        assert after["clock"] >= before["clock"]
        assert [one["state"] for one in after["instances"]] == ["RUNNABLE"]
        assert bucket_names(again) == ["kept"]
        assert ask_as_operator(again, "one", "SELECT count(*) FROM pg_database WHERE datname = 'kept'") == (1,)
        found = admin_client(again).operations().get(project=again.project, operation=operation["name"]).execute()
        assert found == operation


def test_kill_nine_of_the_supervisor_leaves_the_servers_and_the_next_one_takes_them_over() -> None:
    """The servers are the same processes; nothing that was answered is missing."""
    with throw_away_cloud({"one": "us-central1", "two": "europe-west1"}) as cloud:
        cloud.advance(timedelta(days=3))
        pids, status = server_pids(cloud), cloud.status()
        kill_supervisor(cloud)
        assert LocalCloud.find(cloud.folder.path) is None
        with pytest.raises(LocalCloudFailed, match="does not answer"):
            cloud.status()
        again = up_again(cloud)
        assert server_pids(again) == pids
        assert again.status()["endpoints"] == status["endpoints"]
        assert again.status()["clock_offset_seconds"] == status["clock_offset_seconds"]
        assert ask_as_operator(again, "two", "SELECT session_user::text") == (OPERATOR,)


def test_kill_nine_of_everything_is_recovered_from() -> None:
    """As after a power cut: servers gone, pid files left, and the data is there."""
    with throw_away_cloud({"one": "us-central1"}) as cloud:
        insert = admin_client(cloud).databases().insert(project=cloud.project, instance="one", body={"name": "kept"})
        finish(cloud, insert.execute())
        pids = server_pids(cloud)
        kill_supervisor(cloud)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        again = up_again(cloud)
        assert server_pids(again).isdisjoint(pids)
        assert ask_as_operator(again, "one", "SELECT count(*) FROM pg_database WHERE datname = 'kept'") == (1,)


def test_operations_that_were_cut_off_are_ended_by_the_next_supervisor() -> None:
    """A creation, a change, a deletion and a new database, cut off before they had begun: all are done.

    While they wait, every other change of their instances is 409, and reading is free.
    """
    with throw_away_cloud({"one": "us-central1", "two": "us-central1", "three": "us-central1"}) as cloud:
        cloud.stop()
        slow = client.start(cloud.folder.path, operation_seconds=1200, leashed=True)
        admin, project = admin_client(slow), slow.project
        body = {"name": "four", "region": "us-central1", "settings": {"tier": "t"}}
        stopped = {"settings": {"activationPolicy": "NEVER"}}
        operations = [
            admin.instances().insert(project=project, body=body).execute(),
            admin.instances().patch(project=project, instance="two", body=stopped).execute(),
            admin.instances().delete(project=project, instance="three").execute(),
            admin.databases().insert(project=project, instance="one", body={"name": "wanted"}).execute(),
        ]
        assert {operation["status"] for operation in operations} == {"PENDING"}
        busy = (409, "operationInProgress")
        assert refused(admin.databases().insert(project=project, instance="one", body={"name": "x"})) == busy
        assert refused(admin.instances().patch(project=project, instance="one", body={})) == busy
        assert refused(admin.users().delete(project=project, instance="one", name="postgres")) == busy
        assert refused(admin.instances().delete(project=project, instance="one")) == busy
        assert admin.instances().get(project=project, instance="one").execute()["state"] == "RUNNABLE"
        kill_supervisor(slow)
        again = up_again(slow)
        for operation in operations:
            finish(again, operation)
        states = {one["name"]: one["state"] for one in again.status()["instances"]}
        assert states == {"one": "RUNNABLE", "two": "STOPPED", "four": "RUNNABLE"}
        assert ask_as_operator(again, "one", "SELECT count(*) FROM pg_database WHERE datname = 'wanted'") == (1,)


def test_two_starts_at_once_make_one_local_cloud() -> None:
    """Both callers get the same one."""
    with throw_away_folder() as folder:
        found: list[LocalCloud] = []
        starters = [threading.Thread(target=lambda: found.append(client.start(folder, leashed=True))) for _ in range(3)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        assert len({one.status()["pid"] for one in found}) == 1
        assert len(found) == 3


def test_up_again_starts_what_has_crashed() -> None:
    """A server that died by itself comes back, without a restart of the rest."""
    with throw_away_cloud({"one": "us-central1", "two": "europe-west1"}) as cloud:
        cloud.kill_instance("one")
        assert [one["state"] for one in cloud.status()["instances"]] == ["DOWN", "RUNNABLE"]
        again = up_again(cloud)
        assert again.status()["pid"] == cloud.status()["pid"]
        assert [one["state"] for one in again.status()["instances"]] == ["RUNNABLE", "RUNNABLE"]


def test_an_anxious_umask_does_not_lock_the_servers_out() -> None:
    """Folders are opened on purpose, and what is private is closed on purpose."""
    before = os.umask(0o077)
    try:
        with throw_away_cloud({"one": "us-central1"}) as cloud:
            assert cloud.status()["instances"][0]["state"] == "RUNNABLE"
            assert cloud.folder.storage.stat().st_mode & 0o077 == 0
            assert cloud.folder.certificates.stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)


def test_down_after_a_killed_supervisor_stops_what_it_left() -> None:
    """The servers go, and the data stays."""
    with throw_away_cloud({"one": "us-central1"}) as cloud:
        kill_supervisor(cloud)
        assert len(server_pids(cloud)) == 1
        assert client.stop(cloud.folder.path) is True
        assert server_pids(cloud) == set()
        assert client.stop(cloud.folder.path) is False
        assert up_again(cloud).status()["instances"][0]["state"] == "RUNNABLE"


def test_the_clock_moves_for_all_at_once() -> None:
    """When `advance` returns, SQL and the API have the new time; it never goes back."""
    with throw_away_cloud({"one": "us-central1", "two": "europe-west1"}) as cloud:
        before = datetime.now(UTC)
        moved = cloud.advance(timedelta(days=21, hours=12))
        assert datetime.fromisoformat(moved["clock"]) >= (before + timedelta(days=21, hours=12)).replace(microsecond=0)
        question = "SELECT current_setting('tenantctl.clock_offset')::interval"
        for instance in ("one", "two"):
            assert ask_as_operator(cloud, instance, question) == (timedelta(days=21, hours=12),)
        make_instances(cloud, {"late": "us-central1"})
        assert ask_as_operator(cloud, "late", question) == (timedelta(days=21, hours=12),)
        shown = admin_client(cloud).instances().get(project=cloud.project, instance="late").execute()
        assert datetime.fromisoformat(shown["createTime"]) > before + timedelta(days=21)
        for impossible in (timedelta(0), timedelta(seconds=-1), timedelta(days=3_000_000)):
            with pytest.raises(LocalCloudRefused):
                cloud.advance(impossible)
        assert cloud.status()["clock_offset_seconds"] == timedelta(days=21, hours=12).total_seconds()


def test_an_object_can_be_lost_on_purpose() -> None:
    """What protects it does not help: that is what a disaster is."""
    with throw_away_cloud() as cloud:
        blob = storage_client(cloud).create_bucket("vault").blob("precious")
        blob.upload_from_string(b"bytes")
        assert cloud.lose_object("vault", "precious") is True
        assert cloud.lose_object("vault", "precious") is False
        assert not blob.exists()


def test_the_control_interface_is_its_owners_alone(local_cloud) -> None:
    """Without the token nothing is told or done; the file that holds it is closed to others."""
    stranger = LocalCloud(local_cloud.folder, type(local_cloud.file)(**{**vars(local_cloud.file), "token": "guessed"}))
    for attempt in (stranger.status, lambda: stranger.advance(timedelta(days=1)), stranger.clear_faults):
        with pytest.raises(LocalCloudRefused, match="token"):
            attempt()
    assert (local_cloud.folder.path / "cloud.json").stat().st_mode & 0o077 == 0


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path) -> None:
    """Neither started in nor purged."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LocalCloudFailed, match="something else"):
        client.start(tmp_path)
    assert client.stop(tmp_path, purge=True) is False
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_a_folder_that_the_servers_cannot_enter_is_refused(tmp_path) -> None:
    """Pytest's folders are closed to others; the message says what to do."""
    with pytest.raises(LocalCloudFailed, match="chmod"):
        client.start(tmp_path / "closed")


def test_a_damaged_file_is_named(tmp_path) -> None:
    """It is not taken for a local cloud that was never there."""
    with throw_away_cloud() as cloud:
        cloud.stop()
        file = cloud.folder.path / "cloud.json"
        whole = file.read_text()
        file.write_text(whole[:20])
        try:
            with pytest.raises(LocalCloudFailed, match=r"cloud\.json is damaged"):
                client.start(cloud.folder.path)
        finally:
            file.write_text(whole)


def test_a_leashed_cloud_goes_down_with_the_process_that_started_it() -> None:
    """However that process ends."""
    with throw_away_folder() as folder:
        script = (
            "import sys, os, signal; from tenantctl.localcloud import client; "
            "client.start(sys.argv[1], leashed=True); os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
        state = find_state_folder(str(folder))
        while state.supervised():
            time.sleep(0.01)
        assert state.read() is not None
