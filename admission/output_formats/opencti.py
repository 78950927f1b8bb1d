"""OpenCTI: a STIX bundle with its scores, and with observables made from indicators."""

from collections.abc import Iterator

import msgspec

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat
from tocsin.admission.output_formats.bundle import STIX, bundle_chunks
from tocsin.admission.output_formats.entries import parse_object
from tocsin.admission.output_formats.listed_values import listed_values

_TYPES = {
    "ipv4": "IPv4-Addr",
    "ipv6": "IPv6-Addr",
    "domain": "Domain-Name",
    "url": "Url",
    "email": "Email-Addr",
}


def _write(state: CurrentState) -> Iterator[OutputFile]:
    objects = map(_with_properties, state.objects())
    yield OutputFile("opencti.json", bundle_chunks(f"opencti {state.lasting_name}", objects), STIX)


def _with_properties(body: bytes) -> bytes:
    """An indicator with what OpenCTI reads of it; any other object as it is."""
    subject = parse_object(body)
    if subject.get("type") != "indicator":
        return body
    values = listed_values(subject)
    more: dict[str, object] = {"x_opencti_create_observables": bool(values)}
    if values:
        more["x_opencti_main_observable_type"] = _TYPES.get(values[0][0], "StixFile")
    if isinstance(subject.get("confidence"), int):
        more["x_opencti_score"] = subject["confidence"]
    return msgspec.json.encode({**more, **subject})


FORMAT = OutputFormat(
    "opencti", "a STIX bundle with the properties of OpenCTI", _write, is_indicators_only=False
)
