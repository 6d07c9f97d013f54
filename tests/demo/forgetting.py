"""The year after: copies lapse by the buckets' own lifecycle, until nothing is left; the others live on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.demo.evidence import (
    Json,
    copies,
    counted,
    lapsed_within_a_year,
    last_date,
    moment,
    newest,
    open_places,
    proved,
    within_a_year,
)
from tests.demo.leaving import attack_the_vault
from tests.demo.ledger import Promise
from tests.demo.scene import Guest, Scene

MONTH: Final = timedelta(days=30)


def months(scene: Scene) -> None:
    """One month, then half a year after the destruction: the short-lived copies go, the final ones stay locked."""
    scene.advance(MONTH, "A month later")
    _count_down(scene)
    scene.advance(5 * MONTH, "Half a year after the destruction")
    due = _count_down(scene)
    attack_the_vault(scene, scene.leaves, "half a year later")
    due = _last_copies(scene, due)
    _forget(scene, due)


def _last_copies(scene: Scene, due: datetime) -> datetime:
    """The last copies reach their age, and each is proved gone by name; until when something else remains."""
    guest = scene.leaves
    scene.advance_beyond(due, "The last copies have reached their age")
    scene.sweep()
    places = scene.residues(guest)
    found = scene.witness.objects_under(f"{guest.uid}/")
    scene.timeline.check(
        Promise.FORGOTTEN,
        f"no copy of {guest.name}'s backups is left in any bucket; each went by itself, within a year",
        holds=not found and proved(copies(places)) and lapsed_within_a_year(copies(places)),
        evidence=f"{len(copies(places))} copies, each reported absent by its own bucket; a search of all buckets found"
        f" {len(found) or 'none'}",
    )
    return last_date(open_places(places))


def _forget(scene: Scene, due: datetime) -> None:
    """The registry's own backups lapse too, which held the customer's name: it is forgotten, and the others live on."""
    guest = scene.leaves
    scene.advance_beyond(due, f"{guest.name} is forgotten")
    scene.sweep()
    others = (scene.stays, scene.returns)
    *lists, tenant, places, journal, findings, verified = scene.cli.together(
        *(("backup", "list", other.uid, "-o", "json") for other in others),
        ("tenant", "show", guest.uid, "-o", "json"),
        ("residue", guest.uid, "--all", "-o", "json"),
        ("journal", "show", guest.uid, "-o", "json"),
        ("doctor", "-o", "json"),
        ("journal", "verify"),
    )
    _check_forgotten(scene, tenant.json(), places.json(), journal.json())
    _check_the_living(scene, others, [newest(answer.json()) for answer in lists])
    scene.timeline.check(
        Promise.EVIDENCE,
        "the journal is whole",
        holds="is whole" in verified.output,
        evidence=verified.output.strip(),
    )
    faults = [finding["sentence"] for finding in findings.json() if not finding["good"]]
    scene.timeline.check(
        Promise.EVIDENCE,
        "everything that the promises rest on is in order",
        holds=bool(findings.json()) and not faults,
        evidence="; ".join(faults)
        or f"{len(findings.json())} looks at policies, instances, buckets and tenants: all good",
    )


def _check_forgotten(scene: Scene, tenant: Json, places: Sequence[Json], journal: Sequence[Json]) -> None:
    guest, timeline = scene.leaves, scene.timeline
    destroyed_at, forgotten_at = moment(tenant["tenant"]["destroyed_at"]), _when_forgotten(journal)
    timeline.check(
        Promise.FORGOTTEN,
        "every place that ever held a byte of it is proved empty",
        holds=tenant["tenant"]["state"] == "forgotten" and proved(places),
        evidence=f"{len(places)} places: {counted(places)}",
    )
    timeline.check(
        Promise.FORGOTTEN,
        "that was within twelve months of its destruction",
        holds=forgotten_at is not None and within_a_year(destroyed_at, forgotten_at),
        evidence=f"destroyed {destroyed_at:%Y-%m-%d}, forgotten {forgotten_at:%Y-%m-%d}" if forgotten_at else "never",
    )
    kept = f"{tenant} {journal}".lower()
    named = [word for word in (guest.name, "liège", "luik") if word in kept]
    timeline.check(
        Promise.FORGOTTEN,
        "its name and place are gone from the records; what was done is still on record, under a number",
        holds=not named and tenant["tenant"]["name"] is None and bool(journal),
        evidence=f"{len(journal)} journal entries of {guest.uid}; found in them: {', '.join(named) or 'no such word'}",
    )


def _check_the_living(scene: Scene, others: Sequence[Guest], backups: Sequence[Json]) -> None:
    contents = [scene.customers.content(other.way_in) for other in others]
    scene.timeline.check(
        Promise.OWN,
        f"{' and '.join(other.name for other in others)} find their data as they left it",
        holds=contents == [other.content for other in others],
        evidence="; ".join(map(str, contents)),
    )
    for other, backup in zip(others, backups, strict=True):
        scene.check_backup(other, backup)


def _count_down(scene: Scene) -> datetime:
    """Has the program look at what remains of the customer; the date after which nothing of that can be read."""
    guest = scene.leaves
    scene.sweep()
    every = scene.residues(guest)
    places = open_places(every)
    scene.timeline.say(
        f"Of the {len(every)} places that ever held bytes of {guest.name}, {len(places)} are left"
        f" ({counted(places)}), until {last_date(places):%Y-%m-%d} at the latest."
    )
    return last_date(places)


def _when_forgotten(journal: Sequence[Json]) -> datetime | None:
    return next((moment(entry["at"]) for entry in reversed(journal) if entry["event"] == "residue-lapsed"), None)
