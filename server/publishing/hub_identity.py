"""The hub's own identity: the author of every public object, in each feed."""

import uuid

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import stix_time

_BIRTH = 1_735_689_600_000_000
"""2025-01-01: `created` of the identity, the same on every start."""


def build_hub_identity(namespace: uuid.UUID, title: str) -> StixObject:
    """The hub as a STIX identity; `namespace` is that of its public ids.

    It is marked, because misp-stix tags an event with every level that a file defines and
    no object of it carries: TLP:CLEAR in each feed.
    """
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid.uuid5(namespace, 'hub')}",
        "created": stix_time(_BIRTH),
        "modified": stix_time(_BIRTH),
        "name": title,
        "identity_class": "organization",
        "object_marking_refs": [TLP_2_IDS[Tlp.CLEAR]],
    }
