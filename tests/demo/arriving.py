"""The first days: three customers come, each to the closest region, and their nights are backed up."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tests.demo import erp
from tests.demo.commands import last_line
from tests.demo.customers import Login, content_of, load_pgbench, load_shop, trade
from tests.demo.evidence import Json, is_closest
from tests.demo.ledger import Promise
from tests.demo.scene import Guest, Scene

SEED: Final = 2026
PGBENCH_SCALE: Final = 1
NIGHTS: Final = 2


def sign_up(scene: Scene) -> None:
    """Three customers are created, and each is told where it is, and why there."""
    scene.timeline.chapter(scene.clock, "Three customers sign up")
    answers = scene.cli.json_together(*(_creation(guest) for guest in scene.guests))
    for guest, answer in zip(scene.guests, answers, strict=True):
        placement, tenant = answer["placement"], answer["tenant"]
        guest.uid, guest.region = tenant["uid"], placement["region"]
        guest.instance = tenant["hosting"]["instance"]
        scene.timeline.say(f"{guest.name}, {guest.business}, is based in {guest.based_in}{_found(guest, placement)}.")
        first, second = [row for row in placement["candidates"] if row["allowed"]][:2]
        scene.timeline.check(
            Promise.CLOSEST,
            f"{guest.name} is in the closest region",
            holds=tenant["state"] == "active" and is_closest(placement) and placement["deviation"] is None,
            evidence=f"{guest.region}, {first['distance_km']:,.0f} km away;"
            f" next would be {second['region']}, {second['distance_km']:,.0f} km",
        )


def move_in(scene: Scene) -> None:
    """Each customer gets a password, logs in with it, brings its data, and is backed up at once."""
    backups = scene.side_by_side(lambda guest: _move_in(scene, guest))
    for guest, said in zip(scene.guests, backups, strict=True):
        scene.timeline.say(f"{guest.name} has loaded its data over its own login: {guest.content}.")
        regions = said.partition(" is complete in ")[2].rstrip(".").split(", ")
        scene.timeline.check(
            Promise.TWO_REGIONS,
            f"{guest.name} is backed up into two regions at once",
            holds=len(set(regions)) >= 2,
            evidence=said,
        )


def first_proof(scene: Scene) -> None:
    """The backup of the largest schema is proved by a restore."""
    guest = scene.leaves
    assert guest.content is not None, "it has loaded its data"
    proof = last_line(scene.cli.ask("backup", "verify", guest.uid))
    scene.timeline.check(
        Promise.PROVED,
        f"the backup of {guest.name} restores, and holds what the customer counted",
        holds=f"{guest.content.tables} tables, {guest.content.rows} rows, all checksums equal" in proof,
        evidence=proof,
    )


def nights(scene: Scene) -> None:
    """Nights pass; the scheduled run backs everybody up, whatever the customers did by day."""
    for night in range(1, NIGHTS + 1):
        with scene.customers.session(scene.stays.way_in) as session:
            trade(session, 100)
        scene.advance(timedelta(days=1), f"Night {night} of backups")
        made = Counter(turn["uid"] for turn in scene.sweep() if "back-up" in turn["steps"])
        names = [guest.name for guest in scene.guests if made[guest.uid]]
        scene.timeline.check(
            Promise.TWO_REGIONS,
            "every customer is backed up that night, and once, though two workers ran at the same time",
            holds=made == {guest.uid: 1 for guest in scene.guests},
            evidence=", ".join(names) or "nobody",
        )
    scene.stays.content = scene.customers.content(scene.stays.way_in)


def _move_in(scene: Scene, guest: Guest) -> str:
    info = scene.cli.json("tenant", "connect-info", guest.uid)
    secret = scene.cli.json("tenant", "rotate-password", guest.uid)
    guest.login = Login(info["instance"], info["database"], info["user"], secret["password"])
    with scene.customers.session(guest.login) as session:
        if guest is scene.stays:
            load_pgbench(session, PGBENCH_SCALE)
        elif guest is scene.leaves:
            erp.load(session, erp.generate(SEED))
        else:
            load_shop(session)
        guest.content = content_of(session)
    return last_line(scene.cli.ask("backup", "now", guest.uid))


def _creation(guest: Guest) -> Sequence[str]:
    extensions = [word for extension in guest.extensions for word in ("--extension", extension)]
    return ("tenant", "create", guest.name, "--based-in", guest.based_in, *extensions, "--wait")


def _found(guest: Guest, placement: Json) -> str:
    """The place as the program understood it, where that says more than the customer did."""
    place = placement["place"]
    said = ", ".join(part for part in (place["name"], place["subdivision"], place["country"]) if part)
    return "" if said == guest.based_in else f" ({said})"
