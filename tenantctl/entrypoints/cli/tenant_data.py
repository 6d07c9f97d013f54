"""`tenantctl tenant import` and `export`: a customer's own data, on its way in and out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.moments import duration_of
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.onboarding.importing import Examined


@click.command(name="import")
@click.argument("name", metavar="TENANT")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--leave-out-extension", "leave_out", multiple=True, help="Do without an extension; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what is in FILE, and what would be left out.")
@click.option("--undo", is_flag=True, help="Instead of a FILE: clear away what an import that broke off has left.")
@output_option
def import_command(
    name: str, file: Path | None, leave_out: tuple[str, ...], dry_run: bool, undo: bool, output: Output
) -> None:
    """Bring a customer's own dump into the empty database of TENANT: all of it, or nothing.

    FILE is what pg_dump of PostgreSQL 12 or newer wrote, plain or with
    --format=custom. It runs with the rights of the customer's login and no
    others; roles, and what only superusers may make, are left out and told.
    The customer's login gets a new password: tenantctl tenant rotate-password.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.onboarding.importing import examine, import_dump, undo_import

    if undo == (file is not None) or (undo and (dry_run or leave_out)):
        raise click.UsageError("Name a FILE, or --undo alone.")
    with opened_world(looks_only=dry_run) as world:
        one = world.registry.find(name)
        if file is None:
            undone = undo_import(world, one)
            if output == "json":
                print_json({"undone": undone})
            else:
                click.echo("Its database is as empty as before." if undone else "There was nothing to undo.")
            return
        examined = examine(world, world.imports, file, leave_out=leave_out)
        if dry_run:
            _tell_examined(examined, output)
            return
        imported = import_dump(world, world.imports, one, examined)
    if output == "json":
        print_json({"file": examined, "imported": imported})
        return
    click.echo(f"Tenant {one.label} has {imported.tables} tables and {imported.rows} rows, as they stood in {file}.")
    _tell_left_out("Left out, since no customer may have it here:", imported.left_out)
    click.echo(f"Its login needs a new password: tenantctl tenant rotate-password {one.label}")


@click.command(name="export")
@click.argument("name", metavar="TENANT")
@click.option(
    "-o",
    "--to",
    "to",
    required=True,
    metavar="FILE|gs://",
    help="A new file, or gs:// for the region's bucket of exports.",
)
@click.option("--reference", required=True, help="The ticket by which the customer asked for it; on record.")
@click.option(
    "--link-valid", "link_valid", metavar="TIME", help="With gs://: also a link for the customer, for 24h or 3d."
)
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How it is told."
)
def export_command(name: str, to: str, reference: str, link_valid: str | None, output: Output) -> None:
    """Hand the database of TENANT to its customer: an archive for pg_restore, and its manifest beside it.

    Of a tenant in grace it is taken from the final backup, and no login is opened.
    What is put into the bucket is deleted by it after some days, and is listed
    by `residue` until then.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.custody.basis import Basis, Ground
    from tenantctl.custody.database_export import export_database
    from tenantctl.custody.export_bucket import BucketDestination, check_address
    from tenantctl.custody.export_file import FileDestination
    from tenantctl.custody.export_link import check_link, sign_link

    in_bucket = to.startswith("gs:")
    valid = duration_of(link_valid, "--link-valid", like=("24h", "3d"))
    if valid is not None and not in_bucket:
        raise click.UsageError("--link-valid goes with -o gs:// alone.")
    basis, link = Basis(Ground.CUSTOMER_REQUEST, reference), None
    with opened_world() as world:
        one = world.registry.find(name)
        if in_bucket:
            bucket = BucketDestination(world, one)
            check_address(bucket, to)
            if valid is not None:
                check_link(world, world.links, valid)
            exported = export_database(world, one, basis, bucket)
            if valid is not None:
                link = sign_link(world, world.links, bucket, basis, valid)
        else:
            exported = export_database(world, one, basis, FileDestination(Path(to)))
    if output == "json":
        print_json({**vars(exported), "link": link})
        return
    taken = f"{exported.taken_from} of {exported.taken_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"{exported.tables} tables, {exported.rows} rows, {exported.size} bytes, from the {taken}: on record.")
    click.echo(f"  {exported.archive}")
    click.echo(f"  {exported.manifest}")
    if link is not None:
        click.echo(f"For the customer, {link_valid} from now on; whoever has it can fetch the archive:")
        click.echo(f"  {link}")


def _tell_examined(examined: "Examined", output: Output) -> None:
    """What a dry run says."""
    if output == "json":
        print_json(examined)
        return
    seen = examined.seen
    fields = [
        ("form", seen.form),
        ("bytes", examined.size),
        ("sha-256", examined.sha256),
        ("from PostgreSQL", seen.server_version),
        ("written by pg_dump", seen.program_version),
        ("tables", len(seen.tables)),
        ("rows", seen.rows),
        ("schemas", ", ".join(seen.schemas) or None),
        ("extensions", ", ".join(sorted(seen.extensions)) or None),
        ("roles", ", ".join(seen.roles) or None),
    ]
    print_table(["field", "value"], fields)
    _tell_left_out("It would leave out, besides what turns out on the way to take more rights:", seen.left_out)
    click.echo("Nothing was changed.")


def _tell_left_out(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        click.echo(title)
        for line in lines:
            click.echo(f"  - {line}")
