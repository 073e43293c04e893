"""The S3 server under a service that is measured: Ceph's gateway where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types

from artifacts.storage.s3 import Access
from benchmarks.servers import Service, all_three
from tests import ceph
from tests.fakes.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, a_fake_s3


@contextmanager
def an_s3_server(top: Path, *, real: bool) -> Iterator[tuple[str, Access]]:
    """Start Ceph's gateway where it is installed, or else the fake of our tests; yield its name too."""
    if real and all(shutil.which(name) for name in ceph.PACKAGES):
        with ceph.a_ceph_gateway(top / "ceph") as access:
            client = a_client(access)
            client.create_bucket(Bucket=access.bucket)
            client.close()
            yield "radosgw", access
        return
    with a_fake_s3() as fake:
        access = Access(BUCKET, endpoint=fake.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        yield "a fake S3", replace(access, public_endpoint=fake.endpoint)


@contextmanager
def service_over(access: Access, data: Path) -> Iterator[Service]:
    """Serve by api, signer and worker with objects in the bucket, which clients reach themselves."""
    with all_three(data, **settings_for(access, "all")) as service:
        yield service


def settings_for(access: Access, prefix: str) -> dict[str, str]:
    """The variables of a service that keeps its objects in the bucket below `prefix`."""
    return {
        "CUSTODY_STORE_URL": f"s3://{access.bucket}/{prefix}",
        "CUSTODY_S3_ENDPOINT": access.endpoint or "",
        "CUSTODY_S3_PUBLIC_ENDPOINT": access.public_endpoint or "",
        "CUSTODY_S3_ACCESS_KEY": access.access_key or "",
        "CUSTODY_S3_SECRET_KEY": access.secret_key or "",
    }


def a_client(access: Access) -> Any:  # Any: boto3 makes its clients while it runs, without types
    """A client of boto3, as most would make it."""
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name="us-east-1",
    )
