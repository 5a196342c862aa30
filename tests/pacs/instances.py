"""Instances in a spool, without a node that received them."""

import hashlib
import secrets

from tumorlens.pacs.private import create_file
from tumorlens.pacs.spool import Spool


def accept(spool: Spool, study_uid: str, instance_uid: str, data: bytes) -> bool:
    """Keep ``data``, which need not be DICOM, as ``Spool.accept`` keeps a file."""
    path = spool.incoming / secrets.token_hex(16)
    create_file(path)
    path.write_bytes(data)
    digest = f"whole::{hashlib.sha256(data).hexdigest()}"
    return spool.accept(study_uid, instance_uid, path, digest)
