"""`tenantctl certificate`: what was observed of a destruction, signed, and checked by anybody without us."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class _IssueUnlessNamed(click.Group):
    """A group in which the name of a tenant, where a command should stand, means `issue`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named, else `issue` with all that was given."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["issue", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_IssueUnlessNamed)
def certificate() -> None:
    """Certificates of destruction: issued, signed, and verified offline.

    `tenantctl certificate` with a tenant's name or uid is short for `issue`.
    """


@certificate.command()
@click.argument("tenant")
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), help="Write the certificate here; else to stdout."
)
@click.option("--html", type=click.Path(path_type=Path), help="Also a page for the customer, to read and to print.")
@click.option(
    "--name", help="The customer's name, where it is on record no more; the certificate says that it was stated."
)
@click.option(
    "--issuer",
    envvar="TENANTCTL_ISSUER",
    show_envvar=True,
    help="Who certifies, as customers know them; by default the project.",
)
def issue(tenant: str, file: Path | None, html: Path | None, name: str | None, issuer: str | None) -> None:
    """Issue a certificate of what was seen of the destruction of TENANT.

    It can be issued once TENANT is destroyed, with what remains and until when,
    and again once it is forgotten. Its digest goes on record; no file is written over.
    """
    from tenantctl.bootstrap import catalogue, opened_world
    from tenantctl.custody.certificate import issue_certificate
    from tenantctl.custody.certificate_page import page

    wanted = [path for path in (file, html) if path is not None]
    with _new_files(wanted), opened_world() as world:
        issued = issue_certificate(
            world.registry,
            world.signer,
            world.registry.find(tenant),
            catalogue().regions,
            issuer=issuer or world.settings.project,
            stated_name=name,
        )
        if file is not None:
            file.write_bytes(issued.content)
        if html is not None:
            html.write_text(page(issued.document, issued.digest), encoding="utf-8", newline="\n")
    if file is None:
        click.echo(issued.content, nl=False)
        return
    said = issued.document.certificate
    click.echo(f"Certificate of {said.tenant.name or said.tenant.uid}, {said.state}: {file}")
    click.echo(f"  {said.counts.gone} of {said.counts.places} places are gone; SHA-256 {issued.digest}")


@certificate.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--public-key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar="TENANTCTL_PUBLIC_KEYS",
    show_envvar=True,
    help="A key to trust, in PEM; may be repeated. By default that of the local cloud, if there is one.",
)
def verify(file: Path, key_files: "Sequence[Path]") -> None:
    """Check the certificate in FILE: its signature, and that all it says agrees. Needs no cloud and no network."""
    from tenantctl.custody.certificate_verification import verified

    content = _read(file)
    document = verified(content, _trusted(key_files))
    said = document.certificate
    click.echo(f"The certificate is whole, and signed with key {document.signature.key}.")
    click.echo(f"  Issued by {said.issuer} at {said.issued_at} of tenant {said.tenant.uid}, {said.state}.")
    left = "nothing remains" if said.latest is None else f"{said.counts.remaining} remain"
    until = (
        ""
        if said.latest is None
        else f", until {'' if said.latest.kind == 'final' else 'not before '}{said.latest.date}"
    )
    click.echo(f"  {said.counts.gone} of {said.counts.places} places are gone, {left}{until}.")
    click.echo(
        f"  {said.counts.quoted} of {said.journal.length} journal entries are quoted; each has the hash that it should."
    )


@certificate.command(name="public-key")
def public_key() -> None:
    """Print the public key that certificates are signed with, in PEM, to be published."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.custody.certificate_signature import public_pem
    from tenantctl.ports.signer import fingerprint

    with opened_world(looks_only=True) as world:
        key = world.signer.public_key()
    click.echo(public_pem(key), nl=False)
    click.echo(f"key {fingerprint(key)}", err=True)


@certificate.command()
def schema() -> None:
    """Print the JSON Schema of a certificate."""
    from tenantctl.custody.certificate_document import schema as json_schema

    print_json(json_schema())


@contextmanager
def _new_files(paths: "Sequence[Path]") -> "Iterator[None]":
    """Makes the files before anything is issued, since what cannot be written is not issued; gone again if it fails."""
    from tenantctl.model.errors import Refused

    made: list[Path] = []
    try:
        for path in paths:
            try:
                path.open("xb").close()
            except OSError as error:
                hint = "Name a file that does not exist yet, in a folder that does."
                raise Refused(f"{path} cannot be written: {error.strerror}.", hint=hint) from error
            made.append(path)
        yield
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _trusted(files: "Sequence[Path]") -> "Mapping[str, bytes]":
    from tenantctl.custody.certificate_signature import public_keys
    from tenantctl.local_folder import PUBLIC_KEY_NAME, local_folder
    from tenantctl.model.errors import Refused

    local = local_folder() / PUBLIC_KEY_NAME
    chosen = files or ([local] if local.is_file() else [])
    if not chosen:
        raise Refused(
            "No public key is named, so no signature can be believed.",
            hint="Name the issuer's: --public-key FILE. The issuer prints it with: tenantctl certificate public-key",
        )
    if not files:
        click.echo("The key is that of this machine's LOCAL cloud: it proves nothing to anybody else.", err=True)
    keys: dict[str, bytes] = {}
    for path in chosen:
        keys |= public_keys(_read(path).decode(errors="replace"), str(path))
    return keys


def _read(path: Path) -> bytes:
    from tenantctl.model.errors import NotFound, Refused

    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
