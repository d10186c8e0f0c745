"""An archive in a bucket of an S3 server; durable when `put` returns, as far as the server's word goes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import urlsplit

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.handlers import add_expect_header
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from harvester.archive import is_key
from harvester.errors import ArchiveError, ConfigError, ObjectNotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_T = TypeVar("_T")

PATIENCE = 60.0  # seconds; an outage as short as this is waited out
_CONNECT_SECONDS = 5
_READ_SECONDS = 30  # between two bytes
_PROBE_SECONDS = 5
_LONGEST_PAUSE = 5.0
_PART_BYTES = 16 * 2**20  # more is sent in parts
_CONNECTIONS = 256  # as many as threads may harvest; they are opened when they are needed
_LOCKS = 1024
_STRETCH = 2**20  # bytes asked for at once

# A signature or a body that was late or came to harm: the same again may do.
_PASSING = frozenset(
    {"IncompleteBody", "NoSuchUpload", "OperationAborted", "RequestTimeout", "XAmzContentSHA256Mismatch"}
)
_SENTENCES = {
    "NoSuchBucket": "there is no bucket {bucket}; create it, or name another in LUMBUNG_ARCHIVE",
    "InvalidAccessKeyId": "the server does not know the access key; look at AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is not the access key's; look at AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "the access key must be allowed to list, read and write in the bucket {bucket}",
    "ExpiredToken": "the access key is not valid any more; look at AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clocks of the server and of this machine are too far apart",
}


class _ForeignAnswerError(Exception):
    """The answer is none of an S3 server's, whatever its status: a page of a proxy before it, say."""


class S3Archive:
    """Objects below a prefix of a bucket; threads share it.

    Write-once without conditional writes, which not every server has: `put` reads first, and writes only where there
    is nothing. So other bytes are refused whoever put the first ones, by this process or another, unless both put at
    the same moment. Threads of one process take turns at a key, and one of them wins; of two processes the
    later write would stand. A key has one owner, the run that it names, so that this is nobody's case.

    Raises:
        ConfigError: no access key is set.
    """

    def __init__(self, bucket: str, prefix: str = "", endpoint: str = "", *, patience: float = PATIENCE) -> None:
        self._bucket = bucket
        self._prefix = prefix and prefix + "/"
        self._patience = patience
        session = Session()
        try:
            known = session.get_credentials()
            self._client = _new_client(session, endpoint, _READ_SECONDS)
            self._probe = _new_client(session, endpoint, _PROBE_SECONDS)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"the AWS variables or LUMBUNG_S3_ENDPOINT are wrong: {type(error).__name__}") from error
        if known is None:
            raise ConfigError("S3 needs an access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        self._host = urlsplit(self._client.meta.endpoint_url).netloc.rpartition("@")[2]
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def put(self, key: str, content: bytes) -> None:
        """See `Archive.put`."""
        name = self._name(key)
        with self._locks[hash(key) % _LOCKS]:
            self._ask(f"keep {key}", lambda: self._put(key, name, content))

    def put_file(self, key: str, path: Path) -> None:
        """See `Archive.put_file`."""
        name = self._name(key)
        with self._locks[hash(key) % _LOCKS]:
            if self._has(key, path):
                return
            self._ask(f"keep {key}", lambda: self._send_file(name, path))

    def _has(self, key: str, path: Path) -> bool:
        """Whether the object is there with these bytes. Raises `ArchiveError` for others."""
        try:
            with path.open("rb") as file:
                for piece in self.iter_bytes(key):
                    if file.read(len(piece)) != piece:
                        raise ArchiveError(f"the archive holds other bytes under {key} already")
                if file.read(1):
                    raise ArchiveError(f"the archive holds other bytes under {key} already")
        except ObjectNotFoundError:
            return False
        return True

    def _send_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._send(name, file)

    def get(self, key: str) -> bytes:
        """See `Archive.get`."""
        name = self._name(key)
        return self._ask(f"read {key}", lambda: self._read(name))

    def iter_bytes(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """See `Archive.iter_bytes`. Each piece is asked for by itself: an outage costs one piece, not the whole."""
        name, purpose = self._name(key), f"read {key}"
        while last is None or first <= last:
            piece, total = self._ask(purpose, partial(self._read_range, name, first, last))
            if not piece:
                return
            yield piece
            first += len(piece)
            if first >= total:
                return

    def replace(self, key: str, content: bytes) -> None:
        """See `Archive.replace`."""
        name = self._name(key)
        with self._locks[hash(key) % _LOCKS]:
            self._ask(f"keep {key}", lambda: self._write(name, content))

    def remove(self, key: str) -> None:
        """See `Archive.remove`."""
        name = self._name(key)
        self._ask(f"remove {key}", lambda: self._client.delete_object(Bucket=self._bucket, Key=name))

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """See `Archive.iter_keys`. A thousand are held at a time."""
        last, more = "", True
        while more:
            names, more = self._ask("be listed", partial(self._list, self._client, self._prefix + prefix, last))
            if (names and names[0] <= last) or names != sorted(names) or (more and not names):
                raise self._failure("be listed", "it does not list in ascending order")
            for name in names:
                if is_key(key := name.removeprefix(self._prefix)):  # consoles make `folders`, too
                    yield key
            last = names[-1] if names else last

    def check(self) -> None:
        """See `Archive.check`. Nothing is written, so a key that may only read passes; it is asked once and briefly."""
        self._ask("be used", lambda: self._list(self._probe, self._prefix, "", most=1), patience=0)

    def _put(self, key: str, name: str, content: bytes) -> None:
        try:
            if self._read(name) != content:
                raise ArchiveError(f"the archive holds other bytes under {key} already")
        except self._client.exceptions.NoSuchKey:
            self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        if len(content) <= _PART_BYTES:
            self._told(self._client.put_object(Bucket=self._bucket, Key=name, Body=content), "ETag")
            return
        self._send(name, BytesIO(content))

    def _send(self, name: str, file: BinaryIO) -> None:
        # Nothing is seen under the key before all parts are there.
        parts = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False)
        self._client.upload_fileobj(file, self._bucket, name, Config=parts)

    def _read_range(self, name: str, first: int, last: int | None) -> tuple[bytes, int]:
        """The next piece, and how long the object is; nothing where the object ends before."""
        upto = first + _STRETCH - 1 if last is None else min(last, first + _STRETCH - 1)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=name, Range=f"bytes={first}-{upto}")
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":
                return b"", first
            raise
        with closing(answer["Body"]) as body:
            return body.read(), int(answer["ContentRange"].rpartition("/")[2])

    def _read(self, name: str) -> bytes:
        found = self._client.get_object(Bucket=self._bucket, Key=name)
        with closing(found["Body"]) as body:
            self._told(found, "ETag")
            return body.read()

    def _list(self, client: S3Client, prefix: str, after: str, most: int = 1000) -> tuple[list[str], bool]:
        """The next names, and whether there are more."""
        listed = client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after, MaxKeys=most)
        self._told(listed, "IsTruncated")
        return [entry["Key"] for entry in listed.get("Contents", ())], listed["IsTruncated"]

    @staticmethod
    def _told(answer: Mapping[str, object], name: str) -> None:
        if name not in answer:
            raise _ForeignAnswerError

    def _ask(self, purpose: str, request: Callable[[], _T], patience: float | None = None) -> _T:
        """What the server answers, asked again and again while that may help.

        Raises:
            ObjectNotFoundError: the S3 server itself says that there is no such object.
            ArchiveError: anything else.
        """
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        pause = 0.1
        while True:
            try:
                return request()
            except ClientError as error:
                cause: Exception = error
                code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
                if code == "NoSuchKey":
                    raise ObjectNotFoundError(f"the archive cannot {purpose}: there is no such object") from error
                spoken = code and not code.isdecimal()  # else it is not S3 that speaks, or it was cut short
                if spoken and status < 500 and status != 429 and code not in _PASSING:
                    sentence = _SENTENCES.get(code, "it says {code} ({status})")
                    words = sentence.format(bucket=self._bucket, code=code, status=status)
                    raise self._failure(purpose, words) from error
                words = f"it says {code} ({status})" if spoken else f"it says {status}"
            except (HTTPClientError, ConnectionError, IncompleteReadError, ResponseParserError, HTTPError) as error:
                cause = error
                words = f"it cannot be reached, or breaks off ({type(error).__name__})"
                if isinstance(error, SSLError):
                    raise self._failure(purpose, "its certificate cannot be trusted") from error
            except _ForeignAnswerError as error:
                cause, words = error, "it does not answer as an S3 server does"
            except BotoCoreError as error:
                raise self._failure(purpose, type(error).__name__) from error
            pause = min(2 * pause, _LONGEST_PAUSE)
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - threads must not come back all at once
            if time.monotonic() + wait > deadline:
                raise self._failure(purpose, words) from cause
            time.sleep(wait)

    def _failure(self, purpose: str, words: str) -> ArchiveError:
        return ArchiveError(f"the archive cannot {purpose}: the S3 server {self._host}: {words}")

    def _name(self, key: str) -> str:
        if not is_key(key):
            raise ArchiveError(f"not an archive key: {key!r}")
        return self._prefix + key


def _new_client(session: Session, endpoint: str, read_seconds: float) -> S3Client:
    client: S3Client = session.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=session.region_name or "us-east-1",
        config=Config(
            # The body's hash is signed over https, too: the server takes no byte that was not ours.
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            # Not every server knows the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},  # `_ask` does that, also where a body breaks off
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            max_pool_connections=_CONNECTIONS,
        ),
    )
    # It asks leave to send a body, which takes a round trip, and a second where a server does not answer that.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client
