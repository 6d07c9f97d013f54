"""With the permissions of production enforced: a whole life works, and each identity is refused all else."""

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tenantctl.backups.keys import open_identity
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import Settings
from tenantctl.custody.approval import approve_proposal
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.database_export import export_database
from tenantctl.custody.export_bucket import BucketDestination
from tenantctl.custody.restore import request_restore
from tenantctl.engine.worker import Turn
from tenantctl.evidence.anchoring import anchor_due, anchor_journal
from tenantctl.localcloud.permission_calls import NeededCall
from tenantctl.model.backup import BackupState, VerificationLevel
from tenantctl.model.errors import Refused, TenantctlError
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting, InstanceState, Tenant
from tenantctl.offboarding.erasure import ErasureBasis, request_erasure
from tenantctl.offboarding.holding import request_hold, request_release
from tenantctl.relocation.request import request_move
from tenantctl.sweeps.observe import observe_and_plan
from tenantctl.sweeps.tenants import sweep
from tests.asking import ask_for_tenant
from tests.infrastructure.duties import table
from tests.infrastructure.duty_page import OF_PLACE, calls_anywhere, calls_at, may, may_anywhere
from tests.localcloud.company import HOME, PLACE, TENANTS_INSTANCE, Company, throw_away_company
from tests.localcloud.duty_grants import (
    EXPORT,
    HANDS_ON,
    OPERATOR,
    make_logins,
    resources_at,
    settings_of,
    table_of,
    world_of,
    worlds_of,
)

REGIONS = {HOME, "us-central1"}
SECOND_INSTANCE = f"tenants-{HOME}-2"
ROUNDS_MAX = 12
TICKET = Basis(Ground.CUSTOMER_REQUEST, "SUPPORT-1")


@dataclass(frozen=True)
class Enforced:
    """A company whose local cloud asks each caller what it may."""

    company: Company
    settings: Settings


@pytest.fixture(scope="module")
def enforced() -> Iterator[Enforced]:
    with throw_away_company() as company:
        settings = settings_of(company)
        company.do("instance", "add", SECOND_INSTANCE, "--region", HOME)
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
        assert settled(worlds, uid).state is State.ACTIVE
        company.cloud.advance(timedelta(hours=25))
        settled(worlds, uid)
        assert sum(one.state is BackupState.COMPLETE for one in registry.backups(uid)) == 2
        company.do("tenant", "cancel", uid)
        assert settled(worlds, uid).state is State.DEACTIVATED
        assert any(one.verified_level is VerificationLevel.RESTORED for one in registry.backups(uid))
        company.cloud.advance(timedelta(days=23))
        assert settled(worlds, uid).state is State.DESTROYED
        for days in (400, 12, 12):  # then the backups of what kept the keys lapse, and those of what kept its name
            company.cloud.advance(timedelta(days=days))
            settled(worlds, uid)
        assert registry.tenant(uid).state is State.FORGOTTEN
        actors = {entry.actor for entry in registry.entries(uid) if entry.event in {"step-begun", "step-done"}}
    duties = {actor.partition("@")[0].removeprefix("tenantctl-") for actor in actors}
    assert duties >= {"provision", "backup", "verify", "deactivate", "destroy", "audit"}


def settled(worlds: Mapping[Duty, CloudWorld], uid: str) -> Tenant:
    """The tenant once every duty has done its part: nothing is alarmed, and all of them would plan the same."""
    work(worlds)
    registry = worlds[Duty.AUDIT].registry
    tenant = registry.tenant(uid)
    assert [(alarm.code, alarm.reason) for alarm in registry.alarms(uid)] == []
    assert len({observe_and_plan(world, tenant).digest for world in worlds.values()}) == 1
    return tenant


def done_by(worlds: Mapping[Duty, CloudWorld], uid: str) -> dict[str, str]:
    """Step → the identity that carried it out, by the journal."""
    entries = worlds[Duty.AUDIT].registry.entries(uid)
    steps = [entry for entry in entries if entry.event == "step-done"]
    return {json.loads(one.body)["do"]: one.actor.partition("@")[0].removeprefix("tenantctl-") for one in steps}


def allowed(worlds: Mapping[Duty, CloudWorld], act: Callable[[CloudWorld], object]) -> set[Duty]:
    """The duties whose identities may do it; all others must be refused, and not merely fail."""
    may_do = set()
    for duty, world in worlds.items():
        try:
            act(world)
        except TenantctlError as refusal:
            if "denied" not in refusal.sentence:
                raise
        else:
            may_do.add(duty)
    return may_do


def in_database(world: CloudWorld, hosting: Hosting, *statements: str) -> Any:
    """What the last of some statements answers, run as the database's owner by somebody who may enter."""
    connection = world.sessions.connect(hosting.instance, hosting.database, autocommit=True)
    try:
        cursor = connection.cursor()
        for statement in (f"SET ROLE {hosting.owner}", *statements):
            cursor.execute(statement)
        return next(iter(cursor.fetchall()))[0] if cursor.description else None
    finally:
        connection.close()


@dataclass(frozen=True)
class Cast:
    """Who takes part: the duties, two people, and the identity that hands data out; and the cloud's clock."""

    worlds: Mapping[Duty, CloudWorld]
    operator: CloudWorld
    hands_on: CloudWorld
    export: CloudWorld
    company: Company

    def rows(self, tenant: Tenant) -> Any:
        """How many rows a tenant's table has."""
        return in_database(self.hands_on, tenant.hosting, "SELECT count(*) FROM orders")


@pytest.fixture
def cast(enforced: Enforced) -> Iterator[Cast]:
    settings = enforced.settings
    with ExitStack() as stack:
        worlds = stack.enter_context(worlds_of(settings))
        operator = stack.enter_context(world_of(settings, OPERATOR))
        hands_on = stack.enter_context(world_of(settings, HANDS_ON))
        export = stack.enter_context(world_of(settings, table().email(settings.project, EXPORT)))
        yield Cast(worlds, operator, hands_on, export, enforced.company)


def test_turns_of_a_life_by_those_who_should_take_them(cast: Cast) -> None:
    """Restored, moved, held, handed out, erased: asked for by people, done by one identity each, refused to others."""
    shop = settled(cast.worlds, ask_for_tenant(cast.operator, "shop").uid)
    rows = "INSERT INTO orders SELECT generate_series(1, 300)"
    in_database(cast.hands_on, shop.hosting, "CREATE TABLE orders (id int PRIMARY KEY)", rows)
    cast.company.cloud.advance(timedelta(hours=25))
    shop = settled(cast.worlds, shop.uid)
    again = restored(cast, shop)
    shop = moved(cast, shop)
    held_and_released(cast, shop)
    handed_out(cast, shop)
    erased(cast, shop)
    assert cast.rows(again) == 300


def restored(cast: Cast, shop: Tenant) -> Tenant:
    """Its backup as a new tenant: two duties may open it, and one of them does."""
    known = cast.operator.registry.backups(shop.uid)
    backup = [one for one in known if one.state is BackupState.COMPLETE][-1]
    assert allowed(cast.worlds, lambda world: open_identity(world, backup)) == {Duty.VERIFY, Duty.RESTORE}
    again = request_restore(cast.operator, shop, backup, TICKET, name="shop-again")
    again = settled(cast.worlds, again.uid)
    assert (again.state, done_by(cast.worlds, again.uid)["restore-data"]) == (State.ACTIVE, "restore")
    assert cast.rows(again) == 300
    return again


def moved(cast: Cast, shop: Tenant) -> Tenant:
    """To another instance, asked for by somebody who may enter the first; and the place that it left is dropped."""
    assert isinstance(cast.operator.instances.look(shop.hosting.instance), Present), "any operator's doctor sees it"
    cast.operator.registry.set_instance_state(shop.hosting.instance, InstanceState.DRAINING)
    asked: dict[str, Any] = {"cause": "drained", "instructing_party": "operator"}
    with pytest.raises(TenantctlError, match="denied"):
        request_move(cast.operator, shop, HOME, **asked)
    request_move(cast.hands_on, shop, HOME, **asked)
    for _ in range(ROUNDS_MAX):  # its rows are copied by the instances themselves
        work(cast.worlds)
        if cast.operator.registry.tenant(shop.uid).state is State.ACTIVE:
            break
        cast.company.cloud.advance(timedelta(minutes=1))
    there = settled(cast.worlds, shop.uid)
    assert (there.state, there.hosting.generation, cast.rows(there)) == (State.ACTIVE, 2, 300)
    cast.company.cloud.advance(timedelta(days=8))
    there = settled(cast.worlds, shop.uid)
    by = done_by(cast.worlds, shop.uid)
    assert [by[step] for step in ("cut-over", "open-logins", "retire-source")] == ["move", "provision", "destroy"]
    return there


def held_and_released(cast: Cast, shop: Tenant) -> None:
    """A hold is an operator's word and the auditor's act; while it stands nobody asks for an erasure."""
    registry = cast.operator.registry
    copy = registry.backups(shop.uid)[-1].copies[0]
    others: dict[Duty, CloudWorld] = {duty: world for duty, world in cast.worlds.items() if duty is not Duty.AUDIT}
    assert allowed(others, lambda world: world.vault.hold(copy.bucket, copy.object_name)) == set()
    request_hold(cast.operator, shop, case_reference="AZ 1", review_by=registry.now() + timedelta(days=30))
    settled(cast.worlds, shop.uid)
    assert all(copy.held_at for one in registry.backups(shop.uid) for copy in one.copies)
    with pytest.raises(Refused, match="legal hold"):
        request_erasure(cast.operator, shop, ErasureBasis.CUSTOMER, "SUPPORT-3")
    request_release(cast.operator, shop, case_reference="AZ 1", because="it is over")
    settled(cast.worlds, shop.uid)
    assert not any(copy.held_at for one in registry.backups(shop.uid) for copy in one.copies)
    by = done_by(cast.worlds, shop.uid)
    assert (by["hold-copies"], by["release-copies"]) == ("audit", "audit")


def handed_out(cast: Cast, shop: Tenant) -> None:
    """By the identity that is for it, into its bucket; by no duty, and by no person as himself."""
    bucket = BucketDestination(cast.export, shop)
    assert export_database(cast.export, shop, TICKET, bucket).rows == 300
    assert allowed(cast.worlds, lambda world: world.vault.put(bucket.bucket, "taken", b"rows")) == set()
    with pytest.raises(TenantctlError, match="denied"):
        export_database(cast.operator, shop, TICKET, BucketDestination(cast.operator, shop))


def erased(cast: Cast, shop: Tenant) -> None:
    """On two people's word: anchored and dropped by the one duty, its keys shredded by the other that may anchor."""
    proposal = request_erasure(cast.operator, shop, ErasureBasis.CUSTOMER, "SUPPORT-3")
    approve_proposal(cast.hands_on, proposal.digest)
    assert allowed(cast.worlds, anchor_journal) == {Duty.DESTROY, Duty.AUDIT}
    assert settled(cast.worlds, shop.uid).state is State.DESTROYED
    by = done_by(cast.worlds, shop.uid)
    assert (by["drop-database"], by["shred-key"]) == ("destroy", "audit")


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
