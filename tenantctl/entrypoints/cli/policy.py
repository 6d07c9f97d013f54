"""`tenantctl policy`: the promises as numbers, read and checked as every other command reads them."""

from collections.abc import Mapping

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.group()
def policy() -> None:
    """The promises as numbers: checked, and shown. Reads no registry."""


@policy.command()
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="Another folder than the one in use.")
def check(folder: str | None) -> None:
    """Read every policy file, and check its keys, its numbers and their arithmetic; every fault is listed."""
    from pathlib import Path

    from tenantctl.adapters.policy_files import policies_folder, policy_faults
    from tenantctl.bootstrap import catalogue
    from tenantctl.bootstrap import policies as load_policies
    from tenantctl.model.errors import Refused

    where = Path(folder) if folder else policies_folder()
    if faults := policy_faults(where, catalogue().regions):
        for fault in faults:
            click.echo(fault.sentence, err=True)
        raise Refused(f"The policies in {where} have {len(faults)} faults; nothing can be decided by them.")
    policies = load_policies(where)
    click.echo(f"The policies in {where} are in order (digest {policies.digest}).")
    for name, term in sorted(policies.backups.classes.items(), key=lambda pair: pair[1].age_days):
        days = policies.backups.days_readable(term)
        click.echo(f"  {name}: locked {term.lock_days} days, deleted at {term.age_days}, unreadable within {days}")


@policy.command()
@output_option
def show(output: Output) -> None:
    """Show the policies in use, all files together."""
    from dataclasses import asdict

    from tenantctl.bootstrap import policies as load_policies

    policies = load_policies()
    if output == "json":
        print_json(policies)
        return
    rows = [
        (file, key, _text(value))
        for file in ("lifecycle", "backups")
        for key, value in _flat(asdict(getattr(policies, file)))
    ]
    open_regions = [name for name, word in policies.regions.regions.items() if word.state == "open"]
    print_table(["file", "key", "value"], [*rows, ("regions", "open", ", ".join(sorted(open_regions)))])


@policy.command()
@click.option("--deleted-at", metavar="TIME", help="When the record was deleted (RFC 3339); now by default.")
@output_option
def terms(deleted_at: str | None, output: Output) -> None:
    """Calculate until when a deleted record can be read in backups: per class, the earliest and the latest moment.

    A legal hold is the one exception: held copies are neither shredded nor do they lapse.
    """
    from datetime import UTC, datetime

    from tenantctl.backups.retention import readable_after_deletion
    from tenantctl.bootstrap import policies as load_policies
    from tenantctl.entrypoints.cli.moments import moment_of
    from tenantctl.model.calendar import add_months

    policies = load_policies()
    moment = moment_of(deleted_at, "--deleted-at") or datetime.now(UTC)
    readable = list(readable_after_deletion(policies.backups, deleted_at=moment))
    promised = add_months(moment, policies.backups.promise_months)
    regions = sorted(name for name, word in policies.regions.regions.items() if word.state != "closed")
    if output == "json":
        print_json({"deleted_at": moment, "promised": promised, "classes": readable, "regions": regions})
        return
    rows = [(one.retention_class, one.earliest, one.latest, _sum(one.delays)) for one in readable]
    print_table(["class", "unreadable from", "at the latest", "days that can add up"], rows)
    latest = max(one.latest for one in readable)
    spare = f"{(promised - latest).days} days before the promised {promised:%Y-%m-%d}"
    click.echo(f"\nThe last byte is unreadable by {latest:%Y-%m-%d}, {spare}.")
    click.echo(f"The same holds in each of {len(regions)} regions: {', '.join(regions)}.")
    click.echo("The one exception is a legal hold: what is held goes on to its term only when it is released.")


def _sum(delays: Mapping[str, int]) -> str:
    return " + ".join(f"{name} {days}" for name, days in delays.items())


def _flat(content: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
