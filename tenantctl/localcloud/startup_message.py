"""The first messages of PostgreSQL's protocol, as far as the data plane has to understand them."""

import struct
from dataclasses import dataclass
from typing import Final

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
LARGEST_STARTUP: Final = 10_000
_LONGEST_NAME: Final = 63
_PROTOCOL_MAJOR: Final = 3


class BadStartup(ValueError):
    """What a client said first is not what PostgreSQL's protocol begins with."""


@dataclass(frozen=True)
class Startup:
    """The start of a session.

    Attributes:
        user: The role that the client wants to be.
        database: The database that it wants; the user's name if it named none.
    """

    user: str
    database: str


def request_code(message: bytes) -> int:
    """Return what kind of first message this is: one of the codes above, or a protocol version.

    Args:
        message: The whole message, its length included.
    """
    code: int = struct.unpack_from("!I", message, 4)[0]
    return code


def parse_startup(message: bytes) -> Startup:
    """Read a StartupMessage.

    PostgreSQL takes the last of repeated parameters and, in some versions, shortens long names. A name that could be
    read in two ways is refused, because the login that is checked must be the login that PostgreSQL sees.

    Raises:
        BadStartup: It is no StartupMessage of protocol 3, or names no user in one clear way.
    """
    if request_code(message) >> 16 != _PROTOCOL_MAJOR:
        raise BadStartup("The client does not speak version 3 of PostgreSQL's protocol.")
    if not message.endswith(b"\0\0") and message[8:] != b"\0":
        raise BadStartup("The startup message does not end as it should.")
    words = message[8:].split(b"\0")
    parameters: dict[bytes, bytes] = {}
    for key, value in zip(words[::2], words[1::2], strict=False):
        if not key:
            break
        if key in parameters:
            raise BadStartup("The startup message names a parameter twice.")
        parameters[key] = value
    user = parameters.get(b"user", b"")
    if not user or len(user) > _LONGEST_NAME:
        raise BadStartup(f"The startup message names no user of 1 to {_LONGEST_NAME} bytes.")
    try:
        return Startup(user.decode(), parameters.get(b"database", user).decode(errors="replace"))
    except UnicodeDecodeError as error:
        raise BadStartup("The startup message names a user that is not UTF-8.") from error


def fatal_error(sqlstate: str, message: str) -> bytes:
    """Return the ErrorResponse that ends a session before it began.

    Args:
        sqlstate: The five characters of the SQLSTATE, such as 28000.
        message: The sentence for the reader.
    """
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", sqlstate), ("M", message))
    body = b"".join(kind.encode() + text.encode() + b"\0" for kind, text in fields) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body
