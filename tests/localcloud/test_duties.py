"""With the permissions of production enforced: a whole life works, and each identity is refused all else."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tenantctl.bootstrap import CloudWorld
from tenantctl.config import Settings
from tenantctl.engine.worker import Turn
from tenantctl.evidence.anchoring import anchor_due, anchor_journal
from tenantctl.localcloud.permission_calls import NeededCall
from tenantctl.model.backup import BackupState, VerificationLevel
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.sweeps.tenants import sweep
from tests.infrastructure.duties import table
from tests.infrastructure.duty_page import OF_PLACE, calls_anywhere, calls_at, may, may_anywhere
from tests.localcloud.company import HOME, PLACE, TENANTS_INSTANCE, Company, throw_away_company
from tests.localcloud.duty_grants import make_logins, resources_at, settings_of, table_of, worlds_of

REGIONS = {HOME, "us-central1"}
ROUNDS_MAX = 12


@dataclass(frozen=True)
class Enforced:
    """A company whose local cloud asks each caller what it may."""

    company: Company
    settings: Settings


@pytest.fixture(scope="module")
def enforced() -> Iterator[Enforced]:
    with throw_away_company() as company:
        settings = settings_of(company)
        make_logins(settings, [one["name"] for one in company.cloud.status()["instances"]])
        company.cloud.lay_down_permissions(table_of(settings, REGIONS))
        yield Enforced(company, settings)


def work(worlds: Mapping[Duty, CloudWorld]) -> list[Turn]:
    """Every duty works, again and again, until none has anything to do; nothing may trouble any of them."""
    done: list[Turn] = []
    for _ in range(ROUNDS_MAX):
        turns = [turn for duty, world in worlds.items() for turn in sweep(world, duty=duty)]
        assert [(turn.trouble.sentence, turn.plan) for turn in turns if turn.trouble] == []
        for duty in (Duty.DESTROY, Duty.AUDIT):
            if anchor_due(worlds[duty]):
                anchor_journal(worlds[duty])
        if not turns:
            return done
        done += turns
    raise AssertionError(f"no end after {ROUNDS_MAX} rounds: {done[-3:]}")


def test_a_whole_life_by_the_duties_own_identities(enforced: Enforced) -> None:
    """Created, backed up, proved, deactivated, destroyed, expired and forgotten: each step by who may do it."""
    company = enforced.company
    company.do("tenant", "create", "acme", "--based-in", PLACE)
    with worlds_of(enforced.settings) as worlds:
        registry = worlds[Duty.AUDIT].registry
        uid = registry.find("acme").uid
        work(worlds)
        assert registry.tenant(uid).state is State.ACTIVE
        company.cloud.advance(timedelta(hours=25))
        work(worlds)
        assert sum(one.state is BackupState.COMPLETE for one in registry.backups(uid)) == 2
        company.do("tenant", "cancel", uid)
        work(worlds)
        assert registry.tenant(uid).state is State.DEACTIVATED
        assert any(one.verified_level is VerificationLevel.RESTORED for one in registry.backups(uid))
        company.cloud.advance(timedelta(days=23))
        work(worlds)
        assert registry.tenant(uid).state is State.DESTROYED
        for days in (400, 12, 12):  # then the backups of what kept the keys lapse, and those of what kept its name
            company.cloud.advance(timedelta(days=days))
            work(worlds)
        assert registry.tenant(uid).state is State.FORGOTTEN
        actors = {entry.actor for entry in registry.entries(uid) if entry.event in {"step-begun", "step-done"}}
    duties = {actor.partition("@")[0].removeprefix("tenantctl-") for actor in actors}
    assert duties >= {"provision", "backup", "verify", "deactivate", "destroy", "audit"}


@pytest.mark.parametrize("identity", table().identities)
def test_every_identity_is_refused_everything_outside_its_duty(enforced: Enforced, identity: str) -> None:
    """Every call that the local cloud knows, at every place: 403 exactly where the table gives nothing."""
    token = f"local:{table().email(enforced.settings.project, identity)}"
    wrong = []
    for place in OF_PLACE:
        for call in calls_at(place):
            copies = "/rewriteTo/" in call.path or "/copyTo/" in call.path
            wanted = (call.permission, "storage.objects.get") if copies else (call.permission,)
            allowed = all(may(identity, place, one) for one in wanted)
            if (ask(enforced, call, place, token) != 403) != allowed:
                wrong.append((place, call, "refused" if allowed else "let through"))
    for call in calls_anywhere():
        allowed = may_anywhere(identity, call.permission)
        if (ask(enforced, call, "project", token) != 403) != allowed:
            wrong.append(("project", call, "refused" if allowed else "let through"))
    assert wrong == []


def test_a_stranger_and_an_unknown_call_are_refused(enforced: Enforced) -> None:
    """Whoever the table does not know may do nothing; nor may anybody what needs a permission that nobody documents."""
    (get,) = (call for call in calls_at("vaults") if call.path == "/storage/v1/b/{bucket}" and call.verb == "GET")
    assert ask(enforced, get, "vaults", "local:mallory@example.com") == 403
    assert ask(enforced, get, "vaults", "") == 403
    unknown = NeededCall("storage", "GET", "/storage/v1/b/{bucket}/acl", "", "")
    assert ask(enforced, unknown, "vaults", "local:alice@example.com") in {403, 404}


def ask(enforced: Enforced, call: NeededCall, place: str, token: str) -> int:
    """The status that a call gets; on things that are not there, so that what is allowed changes nothing."""
    resource = {
        **{name: found[0] for name, found in resources_at(enforced.settings, REGIONS).items() if found},
        "instances": f"instances/{TENANTS_INSTANCE}",
    }[place]
    names = {
        "project": enforced.settings.project,
        "location": HOME,
        "ring": "nothing",
        **dict.fromkeys(("object", "name", "database", "user", "operation"), "nothing"),
        "version": "99",
    }
    if place in {"keys", "signing_key"}:
        _, _, _, names["location"], _, names["ring"], _, names["key"] = resource.split("/")
    else:
        kind = resource.partition("/")[0].removesuffix("s")
        names[kind] = names["target" if kind == "bucket" else kind] = resource.partition("/")[2]
    path = re.sub(r"\{(\w+)\}", lambda found: names[found[1]], call.path)
    path = f"/v1{path}" if call.api == "sqladmin" else path
    body = None if call.verb in {"GET", "DELETE"} else json.dumps({})
    address = urlsplit(enforced.company.cloud.endpoints[call.api])
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(call.verb, f"{path}?project={enforced.settings.project}", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
