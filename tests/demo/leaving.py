"""Two customers cancel: one comes back within its grace, the other is destroyed after it."""

import contextlib
from datetime import timedelta
from typing import Any, Final

import psycopg

from tests.demo.customers import content_of, fatal_words
from tests.demo.evidence import (
    counted,
    final,
    grace_is_three_weeks,
    last_date,
    minute,
    moment,
    open_places,
)
from tests.demo.ledger import Promise
from tests.demo.scene import Guest, Scene

REFUSED: Final = 3  # the exit code of a request that a rule refuses
LOCKED: Final = "403"


def cancel(scene: Scene) -> None:
    """Two customers cancel while they work; they are out at once, and their last state is safe."""
    timeline = scene.timeline
    timeline.chapter(scene.clock, "Two customers cancel")
    leaving = (scene.leaves, scene.returns)
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(scene.customers.session(guest.way_in)) for guest in leaving]
        for guest, session in zip(leaving, sessions, strict=True):
            guest.content = content_of(session)
        cause = ("--cause", "contract ended", "--instructed-by", "the customer")
        scene.cli.together(*(("tenant", "cancel", guest.uid, *cause, "--wait") for guest in leaving))
        ends = [_end_of(session) for session in sessions]
    for guest, end in zip(leaving, ends, strict=True):
        refusal = scene.customers.refusal(guest.way_in)
        timeline.check(
            Promise.CLOSED,
            f"{guest.name}'s open session was ended, and it cannot log in again",
            holds=end is not None and refusal is not None,
            evidence=f'the server said "{end}", then "{refusal}"',
        )
    shown = scene.cli.json_together(*(("tenant", "show", guest.uid) for guest in leaving))
    for guest, answer in zip(leaving, shown, strict=True):
        guest.leaving = answer
        _check_deactivated(scene, guest, answer)


def attack_the_vault(scene: Scene, guest: Guest, when: str) -> None:
    """The owner of the cloud itself tries to delete, to overwrite, and to shorten the lock."""
    backup = final(guest.leaving["backups"])
    results = []
    for copy in backup["copies"]:
        place = (copy["bucket"], copy["object_name"])
        results += [
            scene.witness.delete(*place),
            scene.witness.overwrite(*place),
            scene.witness.shorten(copy["bucket"]),
        ]
    whole = all(scene.witness.size(copy["bucket"], copy["object_name"]) == copy["size"] for copy in backup["copies"])
    scene.timeline.check(
        Promise.INALTERABLE,
        f"{when}, the owner of the cloud can neither delete nor overwrite {guest.name}'s final backup,"
        " nor shorten its lock",
        holds=set(results) == {LOCKED} and whole,
        evidence=f"{len(results)} attempts in {len(backup['copies'])} regions, answered"
        f" {', '.join(sorted(set(results)))}; both copies are whole",
    )


def come_back(scene: Scene) -> None:
    """Ten days later one of them changes its mind."""
    guest, timeline = scene.returns, scene.timeline
    scene.advance(timedelta(days=10), f"{guest.name} changes its mind")
    scene.cli.ask("tenant", "reinstate", guest.uid, "--cause", "changed its mind", "--wait")
    content = scene.customers.content(guest.way_in)
    timeline.check(
        Promise.GRACE,
        f"{guest.name} is back: its old password opens, and its data is as it left it",
        holds=content == guest.content,
        evidence=f"{guest.way_in.user} found {content}",
    )


def wait_in_grace(scene: Scene) -> None:
    """On the twentieth day the program runs, and does not destroy: grace is not over."""
    guest, timeline = scene.leaves, scene.timeline
    scene.advance(timedelta(days=10), "Twenty days after the cancellation, the program runs")
    turns = [turn for turn in scene.sweep() if turn["uid"] == guest.uid]
    done = [step for turn in turns for step in turn["steps"]]
    explained = scene.cli.json("tenant", "explain", guest.uid)
    unmet = [guard for guard in explained["safeguards"] if not guard["holds"]]
    timeline.check(
        Promise.GRACE,
        f"{guest.name} is not destroyed early",
        holds=explained["tenant"]["state"] == "deactivated"
        and {guard["code"] for guard in unmet} == {"grace"}
        and not any("destroy" in step or "drop" in step for step in done)
        and not any("destroy" in step["do"] for step in explained["plan"]["steps"])
        and guest.way_in.database in scene.witness.databases(guest.instance),
        evidence=f"the run did: {', '.join(done) or 'nothing'};"
        f" in the way: {unmet[0]['finding'] if unmet else 'nothing'}; {guest.instance} still shows the database",
    )


def destroy(scene: Scene) -> None:
    """Grace ends; the next run destroys the database, and every trace on the server is gone."""
    guest, timeline = scene.leaves, scene.timeline
    until = moment(guest.leaving["tenant"]["destroy_after"])
    scene.advance_beyond(until, "Grace is over, the program runs")
    scene.sweep()
    shown, residues, reinstatement = scene.cli.together(
        ("tenant", "show", guest.uid, "-o", "json"),
        ("residue", guest.uid, "--all", "-o", "json"),
        ("tenant", "reinstate", guest.uid),
        expect=(0, 0, REFUSED),
    )
    tenant = shown.json()["tenant"]
    left = {
        name
        for name in scene.witness.databases(guest.instance) | scene.witness.logins(guest.instance)
        if guest.uid in name
    }
    destroyed_at = tenant["destroyed_at"]
    timeline.check(
        Promise.DESTROYED,
        f"{guest.name}'s database was destroyed once its three weeks were over, not before",
        holds=tenant["state"] == "destroyed" and destroyed_at is not None and moment(destroyed_at) >= until,
        evidence=f"grace ended {until:%Y-%m-%d %H:%M} UTC, destroyed {minute(destroyed_at)}",
    )
    refusal = scene.customers.refusal(guest.way_in)
    timeline.check(
        Promise.DESTROYED,
        f"the server shows neither {guest.name}'s database nor its logins",
        holds=not left and refusal is not None,
        evidence=f'{guest.instance} shows {", ".join(sorted(left)) or "none"}; a log-in is answered "{refusal}"',
    )
    timeline.check(
        Promise.DESTROYED,
        f"there is no way back for {guest.name}, and it is told what remains",
        holds="cannot be reinstated" in reinstatement.errors and "remain" in reinstatement.errors,
        evidence=reinstatement.errors.strip().partition("\n")[0],
    )
    others = [other for other in scene.guests if other is not guest]
    contents = [scene.customers.content(other.way_in) for other in others]
    timeline.check(
        Promise.OTHERS,
        f"{' and '.join(other.name for other in others)} work on, with all their data",
        holds=contents == [other.content for other in others],
        evidence="; ".join(map(str, contents)),
    )
    places = open_places(residues.json())
    timeline.say(
        f"{len(places)} places still hold bytes of {guest.name} ({counted(places)});"
        f" nothing of it can be read anywhere after {last_date(places):%Y-%m-%d}."
    )


def _check_deactivated(scene: Scene, guest: Guest, answer: Any) -> None:
    tenant, backup = answer["tenant"], final(answer["backups"])
    content = guest.content
    scene.timeline.check(
        Promise.PROVED,
        f"{guest.name}'s final backup was made after the closing, and proved by a restore",
        holds=moment(backup["begun_at"]) >= moment(tenant["logins_closed_at"])
        and backup["verified_level"] == "L3"
        and content is not None
        and (backup["tables"], backup["rows"]) == (content.tables, content.rows),
        evidence=f"{backup['tables']} tables and {backup['rows']:,} rows compared",
    )
    scene.check_backup(guest, backup)
    scene.timeline.check(
        Promise.GRACE,
        f"{guest.name} is deactivated, and has three weeks to come back",
        holds=tenant["state"] == "deactivated" and grace_is_three_weeks(tenant),
        evidence=f"closed {minute(tenant['logins_closed_at'])}, kept until {minute(tenant['destroy_after'])},"
        f" the end of that day in {tenant['time_zone']}",
    )


def _end_of(session: psycopg.Connection[Any]) -> str | None:
    """What the server said when it ended the session; None if it goes on."""
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return fatal_words(error)
    return None
