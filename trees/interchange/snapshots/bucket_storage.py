"""Published snapshots in a bucket of Amazon S3, or of another server with its protocol. Imports boto3, which is slow.

Each object has the SHA-256 of its content among its metadata, and the server checks the digest of what it receives.
"""

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3.session
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from oasst.core.errors import Busy
from oasst.core.server_urls import Bucket
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.published import PublishedFile

LINK_SECONDS = 3600
# A server knows the SHA-256 of a whole object only if it came in one piece; 5 GB is the most that S3 takes.
_TRANSFER = TransferConfig(multipart_threshold=1 << 30, multipart_chunksize=1 << 28)


@lru_cache(maxsize=4)
def bucket_storage(bucket: Bucket, key_id: str, secret: str) -> "BucketStorage":
    """Return the storage of this bucket. All threads share its client, which takes long to make."""
    return BucketStorage(bucket, key_id, secret)


class BucketStorage:
    def __init__(self, bucket: Bucket, key_id: str, secret: str) -> None:
        self._bucket = bucket
        session = boto3.session.Session(key_id or None, secret or None, region_name=bucket.region or None)

        def client(endpoint: str) -> Any:
            return session.client(
                "s3",
                endpoint_url=endpoint or None,
                region_name=bucket.region or session.region_name or "us-east-1",
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path" if endpoint else "auto"},
                    connect_timeout=10,
                    retries={"mode": "standard", "total_max_attempts": 4},
                ),
            )

        self._client = client(bucket.endpoint)
        # The signature of a link covers the host.
        self._signing_client = client(bucket.public_endpoint) if bucket.public_endpoint else self._client

    def add(self, name: str, folder: Path, files: Iterable[PublishedFile], progress: CountDone) -> int:
        added = 0
        for done, file in enumerate(files, start=1):
            with self._readable_errors(f"did not take {file.path}"):
                if not self._has(name, file):
                    self._upload(name, folder, file)
                    added += 1
            progress(done)
        return added

    def remove(self, name: str) -> None:
        with self._readable_errors("did not remove everything"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=self._key(name, "")
            )
            # One by one, because not every server understands the deletion of many.
            for page in pages:
                for found in page.get("Contents", ()):
                    self._client.delete_object(Bucket=self._bucket.name, Key=found["Key"])

    def locate(self, name: str, file: PublishedFile, *, method: str) -> Path | str:
        with self._readable_errors("cannot be reached"):
            url: str = self._signing_client.generate_presigned_url(
                "head_object" if method == "HEAD" else "get_object",
                Params={"Bucket": self._bucket.name, "Key": self._key(name, file.path)},
                ExpiresIn=LINK_SECONDS,
            )
        return url

    def _upload(self, name: str, folder: Path, file: PublishedFile) -> None:
        disposition = "inline" if file.is_shown else "attachment"
        self._client.upload_file(
            str(folder / file.path),
            self._bucket.name,
            self._key(name, file.path),
            ExtraArgs={
                "ChecksumAlgorithm": "SHA256",
                "ContentType": file.content_type,
                "ContentDisposition": f'{disposition}; filename="{file.saved_as(name)}"',
                "Metadata": {"sha256": file.sha256},
            },
            Config=_TRANSFER,
        )
        if not self._has(name, file):
            raise Busy(
                f"The bucket {self._bucket.name} has another content of {file.path} than was sent.", code="storage"
            )

    def _has(self, name: str, file: PublishedFile) -> bool:
        """Return True if the bucket has this file with this content."""
        try:
            found = self._client.head_object(
                Bucket=self._bucket.name, Key=self._key(name, file.path), ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        if (found["ContentLength"], found["Metadata"].get("sha256")) != (file.bytes, file.sha256):
            return False
        digest = found.get("ChecksumSHA256", "")  # absent on some servers; of an object in parts it has a hyphen
        return not digest or "-" in digest or digest == base64.b64encode(bytes.fromhex(file.sha256)).decode()

    def _key(self, name: str, path: str) -> str:
        return "/".join(part for part in (self._bucket.folder, name) if part) + f"/{path}"

    @contextmanager
    def _readable_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            cause = error.__context__ if isinstance(error, Boto3Error) and error.__context__ else error
            # Only the code of a refusal: some servers quote the key in their sentences.
            reason = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else str(cause)
            raise Busy(f"The bucket {self._bucket.name} {what}: {reason}", code="storage", retry_after=60) from error
