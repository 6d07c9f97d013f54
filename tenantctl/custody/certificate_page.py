"""The certificate as one page for the customer: HTML to read and to print on A4, with nothing fetched from anywhere.

It is a reading copy. It says nothing that the signed file does not say, in plainer words and in sums; the file itself
is named by its digest.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Final

from tenantctl.custody.certificate_document import Certificate, Document, Latest, Place
from tenantctl.model.backup import ResidueKind
from tenantctl.model.lifecycle import Event

_NAMES: Final = {
    ResidueKind.DATABASE: "The database",
    ResidueKind.COPY: "Backup copies",
    ResidueKind.KEY: "Keys to backup copies",
    ResidueKind.KEY_BACKUPS: "Safety copies with such a key",
    ResidueKind.SCRATCH: "Restores that proved a backup",
    ResidueKind.EXPORT: "Exports that the customer asked for",
    ResidueKind.INSTANCE_BACKUPS: "The server's safety copies",
    ResidueKind.REGISTRY_BACKUPS: "Our register's safety copies",
}
_STYLE: Final = """
@page { size: A4; margin: 14mm 17mm; }
* { box-sizing: border-box; }
body { max-width: 176mm; margin: 8mm auto; padding: 0 4mm; color: #1a1a1a; background: #fff;
  font: 9.5pt/1.4 Helvetica, Arial, "Liberation Sans", sans-serif; }
h1 { margin: 0 0 1mm; font-size: 19pt; font-weight: normal; }
h2 { margin: 4mm 0 1.2mm; font-size: 10.5pt; border-bottom: 0.3mm solid #888; }
p { margin: 0 0 2mm; }
table { width: 100%; margin-bottom: 2mm; border-collapse: collapse; font-size: 8pt; line-height: 1.25; }
th, td { padding: 0.6mm 2mm 0.6mm 0; text-align: left; vertical-align: top; border-bottom: 0.2mm solid #ddd; }
td.day, th { white-space: nowrap; }
th { font-weight: bold; }
td.number, th.number { text-align: right; padding-right: 4mm; }
dl { display: grid; grid-template-columns: 40mm 1fr; gap: 0.5mm 3mm; margin: 0; font-size: 8.5pt; }
dt { color: #555; }
dd { margin: 0; }
code { font: 7.5pt/1.3 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.issued { color: #555; }
.small { font-size: 8pt; color: #333; }
@media print {
  body { max-width: none; margin: 0; padding: 0; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
""".strip()


def page(document: Document, digest: str) -> str:
    """The page of a certificate.

    Args:
        document: the certificate and its signature.
        digest: the SHA-256 of the signed file, in hexadecimal.
    """
    certificate = document.certificate
    title = f"Certificate of destruction: {_who(certificate)}"
    parts = (
        "<h1>Certificate of destruction</h1>",
        f'<p class="issued">Issued by {escape(certificate.issuer)} on {_when(certificate.issued_at)}</p>',
        *(f"<p>{sentence}</p>" for sentence in _statement(certificate)),
        "<h2>What happened, and when</h2>",
        _definitions(_dates(certificate)),
        "<h2>Where the data was, and what is left</h2>",
        _table(certificate),
        *(f'<p class="small">{sentence}</p>' for sentence in _notes(certificate)),
        "<h2>How to check this certificate</h2>",
        f'<p class="small">{_check(certificate)}</p>',
        _definitions(
            (
                ("SHA-256 of the file", f"<code>{digest}</code>"),
                ("Signed with Ed25519 key", f"<code>{document.signature.key}</code>"),
                ("Signature", f"<code>{document.signature.value}</code>"),
                ("Journal", f"{certificate.journal.length} entries, ending in <code>{certificate.journal.head}</code>"),
            )
        ),
    )
    return _frame(title, "\n".join(parts))


def _frame(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def _who(certificate: Certificate) -> str:
    return certificate.tenant.name or certificate.tenant.uid


def _statement(certificate: Certificate) -> Iterator[str]:
    """What is certified, in two or three sentences; HTML."""
    tenant, counts = certificate.tenant, certificate.counts
    number = f"customer number <code>{escape(tenant.uid)}</code>"
    who = f"<strong>{escape(tenant.name)}</strong> ({number})" if tenant.name else number
    when = _when(certificate.life.destroyed_at)
    yield f"The database of {who} was destroyed: on {when} its server was seen without it."
    if certificate.latest is None:
        yield (
            f"<strong>Nothing of it remains.</strong> Of each of the {counts.places} places on our record that held its"
            " data, or a key to it, it was seen that it is there no more, or the time has passed for which it is kept."
        )
    else:
        when = _when(certificate.latest.date)
        places = "1 place is" if counts.remaining == 1 else f"{counts.remaining} places are"
        yield f"{places} left that may still have its data or a key to it; they are listed below."
        if certificate.latest.kind == "final":
            yield f"<strong>After {when} nothing of it can be read in any of them.</strong>"
        else:
            yield f"The last day on which something of it may be read is <strong>not before {when}</strong>."
    if tenant.name_source == "stated":
        yield (
            "The customer's name is on our record no more. It stands here as it was stated by the person who asked for"
            " this certificate; what we certify, we certify of the customer number."
        )


def _dates(certificate: Certificate) -> Iterator[tuple[str, str]]:
    life = certificate.life
    yield "Database asked for", _when(life.created_at)
    if life.logins_closed_at:
        yield "Access closed", _when(life.logins_closed_at)
    for quote in reversed(certificate.journal.quoted):
        if quote.event == Event.FINAL_BACKUP_VERIFIED:
            yield "Last backup proved", f"{_when(quote.at)}, by restoring it"
            break
    for quote in certificate.journal.quoted:
        if quote.event == Event.DATABASE_GONE:
            proofs = {place.proof for place in certificate.places if place.entry == quote.sequence and place.proof}
            said = "; ".join(escape(proof) for proof in sorted(proofs))
            yield "Database seen gone", f"{_when(quote.at)}: {said} (observed by {escape(quote.actor)})"
    if life.forgotten_at:
        yield "Last place proved empty", _when(life.forgotten_at)


def _table(certificate: Certificate) -> str:
    """A row for each kind of place and region; HTML."""
    labels = {one.id: f"{one.city}, {one.country}" for one in certificate.regions}
    groups: dict[tuple[str, str], list[Place]] = {}
    for place in certificate.places:
        groups.setdefault((place.kind, place.region or ""), []).append(place)
    order = [kind.value for kind in _NAMES]
    in_order = sorted(groups, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key))
    rows = "\n".join(_row(kind, labels.get(region, region), groups[kind, region]) for kind, region in in_order)
    return (
        '<table>\n<thead><tr><th>What</th><th>Where</th><th class="number">In all</th><th class="number">Gone</th>'
        f"<th>Last seen gone</th><th>Left, and until when</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _row(kind: str, where: str, places: Sequence[Place]) -> str:
    known = {str(name): label for name, label in _NAMES.items()}
    gone = [place.gone_at for place in places if place.gone_at]
    left = [place.latest for place in places if place.latest]
    cells = (
        f"<td>{escape(known.get(kind, kind.replace('-', ' ').capitalize()))}</td>",
        f"<td>{escape(where) or '-'}</td>",
        f'<td class="number">{len(places)}</td>',
        f'<td class="number">{len(gone)}</td>',
        f'<td class="day">{_day(max(gone)) if gone else "-"}</td>',
        f'<td class="day">{f"{len(left)}, {_until(left)}" if left else "none"}</td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def _notes(certificate: Certificate) -> Iterator[str]:
    yield (
        "Seen gone means: the system that held it was asked for it by name, and answered that it is not there. Into"
        " some safety copies of the platform nobody can look; for them it means that the time has passed for which"
        " they are kept."
    )
    if any(place.latest and place.latest.kind == "not-before" for place in certificate.places):
        yield "Where a date is &ldquo;not before&rdquo;, the last day is not known yet, and is not earlier than that."
    yield (
        "We certify what our systems observed of the places on our record. What others took out of the database, such"
        " as exports by its users, is not ours to certify."
    )


def _check(certificate: Certificate) -> str:
    counts = certificate.counts
    return (
        "This page is for reading. The certificate itself is a signed file, which comes with it and lists each of the"
        f" {counts.places} places and {counts.quoted} entries of our journal one by one. It can be checked on any"
        " computer, without a connection to us: <code>tenantctl certificate verify FILE --public-key KEY</code>, where"
        " KEY is the public key that we publish."
    )


def _definitions(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return "<dl>\n" + "\n".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in pairs) + "\n</dl>"


def _until(left: Sequence[Latest]) -> str:
    last = max(one.date for one in left)
    return f"until {_day(last)}" if all(one.kind == "final" for one in left) else f"not before {_day(last)}"


def _when(moment: str) -> str:
    at = _read(moment)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def _day(moment: str) -> str:
    at = _read(moment)
    return f"{at.day} {at:%b %Y}"


def _read(moment: str) -> datetime:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z")
