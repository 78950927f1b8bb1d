"""Cyber-observable objects for tests, with their deterministic ids."""

from typing import Any

from support.hub import GREEN

from tocsin.admission.merge.identity import observable_id


def sco(kind: Any, **more: Any) -> Any:
    body = {"type": kind, "spec_version": "2.1", "object_marking_refs": [GREEN], **more}
    return {**body, "id": observable_id(body)}
