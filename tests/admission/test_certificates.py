"""The names of a certificate, and when it is valid, read from its octets."""

import ssl
import time

import pytest
from support.certificates import Authority, make_authority

from tocsin.admission.certificates import Validity, read_names, read_validity
from tocsin.admission.errors import Malformed

DAY = 86_400
VALID = Validity(begin=0, end=100 * DAY)


@pytest.fixture(scope="module")
def own() -> Authority:
    return make_authority()


def test_the_validity_of_a_certificate_is_read_from_its_octets(own: Authority) -> None:
    found = read_validity(own.issue("acme", days=8).der)
    assert abs(found.begin + DAY - time.time()) < 60
    assert found.end - found.begin == 8 * DAY


def test_the_validity_agrees_with_that_which_openssl_reads(own: Authority) -> None:
    context = ssl.create_default_context(cadata=own.certificate)
    [shown] = context.get_ca_certs()
    assert read_validity(own.der).end == ssl.cert_time_to_seconds(str(shown["notAfter"]))


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x02\x30\x00", b"\x30\x82"])
def test_octets_without_a_validity_are_refused(octets: bytes) -> None:
    with pytest.raises(Malformed, match="how long it is valid"):
        read_validity(octets)


@pytest.mark.parametrize(
    ("now", "fault", "warning"),
    [
        (-1, "is not valid before 1970-01-01T00:00:00Z", "is not valid before"),
        (1, "", ""),
        (87 * DAY, "", "expires at 1970-04-11T00:00:00Z, in 13 days"),
        (99 * DAY - 1, "", "expires at 1970-04-11T00:00:00Z, in 1 day"),
        (101 * DAY, "expired at 1970-04-11T00:00:00Z", "expired at"),
    ],
)
def test_a_certificate_is_warned_of_before_it_ends(now: float, fault: str, warning: str) -> None:
    assert VALID.find_fault(now) == fault
    found = VALID.find_warning(now)
    assert found == warning if fault == "" else found.startswith(warning)


def test_names_and_addresses_of_a_certificate_are_read_in_its_order(own: Authority) -> None:
    hosts, addresses = ("hub.example", "*.hub.example"), ("192.0.2.1", "2001:db8::1")
    der = own.issue("hub", hosts=hosts, addresses=addresses).der
    assert read_names(der) == (*hosts, *addresses)


def test_a_certificate_without_alternative_names_has_none(own: Authority) -> None:
    assert read_names(own.der) == read_names(b"") == read_names(own.der[:40]) == ()
