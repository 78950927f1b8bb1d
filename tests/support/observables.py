"""Cyber-observable objects for tests, with their deterministic ids."""

from support.hub import (
    GREEN,
)

from tocsin.admission.merge.identity import observable_id


def sco(kind, **more):
    body = {"type": kind, "spec_version": "2.1", "object_marking_refs": [GREEN], **more}
    return {**body, "id": observable_id(body)}
