"""One multipart upload to S3, which becomes an object only by `finish`.

Each part goes with its CRC-32C, which S3 compares when it arrives; the last word goes with that of the whole, which S3
computes from those of the parts (checksum type FULL_OBJECT) and compares before there is an object. So what S3 states
of the object afterwards is the checksum of all its bytes, as in Cloud Storage, and not one of checksums.

S3 takes 10,000 parts at most and none below 5 MiB but the last, so parts grow: 8 MiB for the first 20 GiB, twice that
for the next 40, and so on: an object may have 300 GiB. Memory in use: two parts.
"""

import base64
import contextlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import google_crc32c

from tenantctl.adapters.retry import Patience
from tenantctl.adapters.s3.answers import explaining
from tenantctl.adapters.watch import TimeLimits, Watch
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_SIZE: Final = 8 * 1024 * 1024
PART_SIZE_MIN: Final = 5 * 1024 * 1024  # as the API demands of all but the last
PARTS_MAX: Final = 10_000
PARTS_OF_ONE_SIZE: Final = 2_500
_CANCEL_SECONDS: Final = 5.0


class MultipartUpload:
    """An upload that is being fed; S3 hears of it when the first part is full.

    Args:
        client: as `s3_client` makes it.
        target: the arguments that name the object in every call.
        what: the object's URL, for sentences.
        part_size: bytes of each of the first parts.
        limits: for each request.
        patience: for each part.
    """

    def __init__(
        self,
        client: "S3Client",
        target: dict[str, Any],
        what: str,
        *,
        part_size: int,
        limits: TimeLimits,
        patience: Patience,
    ) -> None:
        if part_size < PART_SIZE_MIN:
            raise ValueError(f"a part has at least {PART_SIZE_MIN} bytes, not {part_size}")
        self._client, self._target, self._what = client, target, what
        self._part_size, self._limits, self._patience = part_size, limits, patience
        self._pieces: list[memoryview] = []
        self._gathered = 0
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._checksum = google_crc32c.Checksum()
        self._lost = False
        self._ended = False
        self.size = 0

    @property
    def crc32c(self) -> str:
        """The checksum, in base64, of all that has been written."""
        return base64.b64encode(self._checksum.digest()).decode()

    @property
    def begun(self) -> bool:
        """Whether a part was sent; if not, what was written is small enough to be put at once."""
        return self._upload_id is not None

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        Raises:
            Transient: S3 did not take them; the upload is lost.
        """
        self.check_open()
        self._checksum.update(chunk)
        self.size += len(chunk)
        rest = memoryview(chunk)
        while rest:
            if self._gathered == self._next_part_size():  # a full part waits for the byte after it
                self._send_part()
            room = self._next_part_size() - self._gathered
            self._pieces.append(rest[:room])
            self._gathered += len(self._pieces[-1])
            rest = rest[room:]

    def gathered(self) -> bytes:
        """What no part was made of yet; ends the upload, of which S3 has not heard."""
        assert not self.begun, "some of it has been sent"
        self.check_open()
        self._ended = True
        return b"".join(self._pieces)

    def send_rest(self) -> None:
        """Send the last part; after it comes `complete` and nothing else.

        Raises:
            Transient: S3 did not take it; the upload is lost.
        """
        self.check_open()
        self._send_part()
        self._lost = True

    def complete(self) -> None:
        """Make the object; may be tried again.

        Raises:
            AlreadyThere: an object of this name exists; it may be this one, if S3 did not answer an earlier try.
            Transient: S3 did not answer, and whether the object exists is unknown; or it has forgotten the upload.
        """
        try:
            self._ask(
                f"make {self._what}",
                lambda: self._client.complete_multipart_upload(
                    **self._target,
                    UploadId=self._upload_id or "",
                    MultipartUpload={"Parts": self._parts},
                    ChecksumCRC32C=self.crc32c,
                    ChecksumType="FULL_OBJECT",
                    MpuObjectSize=self.size,
                    IfNoneMatch="*",
                )["ETag"],
            )
        except NotFound as error:
            raise self._forgotten() from error
        self._ended = True

    def abandon(self) -> None:
        """Give up, and have S3 forget what it has; does nothing after the end.

        If S3 does not answer, the bucket's own rule forgets the parts after a day; there is no object.
        """
        if self._ended:
            return
        self._ended = True
        self._pieces.clear()
        if self._upload_id is None:
            return
        with (
            contextlib.suppress(TenantctlError),
            explaining("cancel an upload"),
            Watch(min(_CANCEL_SECONDS, self._limits.whole_seconds)),
        ):
            self._client.abort_multipart_upload(**self._target, UploadId=self._upload_id)

    def check_open(self) -> None:
        """Refuse to go on after the end.

        Raises:
            Transient: it has ended, or is lost.
        """
        if self._ended or self._lost:
            raise Transient(f"The upload of {self._what} is lost.", hint="Begin a new one.")

    def _forgotten(self) -> Transient:
        return Transient(f"S3 has forgotten the upload of {self._what}.", hint="Begin a new one.")

    def _next_part_size(self) -> int:
        doublings: int = len(self._parts) // PARTS_OF_ONE_SIZE
        return self._part_size << doublings

    def _send_part(self) -> None:
        self._lost = True  # until S3 has it
        if self._upload_id is None:
            self._upload_id = self._patience.call(self._begin)
        number = len(self._parts) + 1
        if number > PARTS_MAX:
            raise Refused(f"{self._what} is larger than S3 takes in {PARTS_MAX} parts.")
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._gathered = 0
        checksum = base64.b64encode(google_crc32c.Checksum(body).digest()).decode()
        try:
            tag = self._patience.call(self._part, number, body, checksum)
        except NotFound as error:
            raise self._forgotten() from error
        self._parts.append({"PartNumber": number, "ETag": tag, "ChecksumCRC32C": checksum})
        self._lost = False

    def _begin(self) -> str:
        return self._ask(
            f"begin an upload of {self._what}",
            lambda: self._client.create_multipart_upload(
                **self._target, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT"
            )["UploadId"],
        )

    def _part(self, number: int, body: bytes, checksum: str) -> str:
        return self._ask(
            f"take bytes of {self._what}",
            lambda: self._client.upload_part(
                **self._target,
                UploadId=self._upload_id or "",
                PartNumber=number,
                # As a file, because bytes would have to leave all at once within the connect time-out.
                Body=io.BytesIO(body),
                ContentLength=len(body),
                ChecksumAlgorithm="CRC32C",
                ChecksumCRC32C=checksum,
            )["ETag"],
        )

    def _ask(self, doing: str, call: Callable[[], str]) -> str:
        try:
            with explaining(doing), Watch(self._limits.whole_seconds):
                return call()
        except KeyError as error:
            raise Transient(f"The answer when S3 was asked to {doing} is cut short.") from error
