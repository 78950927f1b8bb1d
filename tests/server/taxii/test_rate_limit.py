"""How often an account may ask (draft-ietf-httpapi-ratelimit-headers, RFC 6585 section 4)."""

from typing import Any

import pytest
from support.hub import HubInProcess
from support.presence import present
from support.taxii_hub import GREEN, MT, TaxiiHub

from tocsin.admission.errors import TooManyRequests
from tocsin.server.store import Store
from tocsin.server.taxii.rate_limit import RateLimiter


@pytest.fixture
def taxii() -> Any:
    taxii = TaxiiHub(quota=3)
    taxii.account("north-robot", "north", {GREEN}, set())
    return taxii


def rate_limit_headers(answer: Any) -> Any:
    return answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]


def test_every_answer_tells_what_is_left(taxii: Any) -> None:
    seen = [rate_limit_headers(taxii.ask("/hub/")) for _ in range(3)]
    assert {policy for policy, _ in seen} == {'"account";q=3;w=60'}
    assert [left for _, left in seen] == [
        '"account";r=2;t=20',
        '"account";r=1;t=40',
        '"account";r=0;t=60',
    ]


@pytest.mark.parametrize("path", ["/hub/", "/hub/collections/green/objects/", "/hub/nowhere/"])
def test_too_many_requests_are_429_with_retry_after(taxii: Any, path: str) -> None:
    for _ in range(3):
        taxii.ask(path)
    answer = taxii.ask(path)
    assert (answer.status_code, answer.json["http_status"]) == (429, "429")
    assert (answer.headers["Content-Type"], answer.headers["Retry-After"]) == (MT, "20")
    assert "retry in 20 s" in answer.json["description"]
    assert rate_limit_headers(answer)[1] == '"account";r=0;t=60'


def test_one_account_does_not_use_up_another_ones(taxii: Any) -> None:
    for _ in range(4):
        taxii.ask("/hub/")
    assert taxii.ask("/hub/", by="north-robot").status_code == 200


def test_a_submission_too_many_is_not_taken(taxii: Any) -> None:
    for _ in range(3):
        taxii.ask("/hub/")
    assert taxii.post("scratch", {"objects": [{}]}).status_code == 429
    assert taxii.intake.received == []


def test_a_refused_request_counts_and_an_unknown_credential_uses_up_nobodys(taxii: Any) -> None:
    assert rate_limit_headers(taxii.get("nowhere/"))[1].startswith('"account";r=2')
    wrong = taxii.ask("/hub/", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401 and "RateLimit" not in wrong.headers
    assert rate_limit_headers(taxii.ask("/hub/"))[1].startswith('"account";r=1')


def test_without_a_limit_nothing_is_counted() -> None:
    taxii = TaxiiHub()
    assert [taxii.ask("/hub/").status_code for _ in range(50)] == [200] * 50
    assert "RateLimit" not in taxii.ask("/hub/").headers


def test_the_operators_choice_reaches_the_door(store: Store) -> None:
    headers = HubInProcess(store).ask("collections/").headers
    assert headers["RateLimit-Policy"] == '"account";q=600;w=60'


class Clock:
    now = 1000.0

    def __call__(self) -> Any:
        return self.now


class TestTheAllowance:
    @pytest.fixture
    def clock(self) -> Any:
        return Clock()

    def count_admitted(self, rates: Any, times: Any, account: Any = "a") -> Any:
        """Count the admitted requests of `times`."""
        let_in = 0
        for _ in range(times):
            try:
                rates.take(account)
                let_in += 1
            except TooManyRequests:
                pass
        return let_in

    @pytest.mark.parametrize("quota", [1, 3, 7, 600, 1_000])
    def test_a_quiet_account_may_use_all_of_it_at_once(self, clock: Any, quota: int) -> None:
        rates = RateLimiter(quota, clock)
        assert self.count_admitted(rates, quota + 5) == quota
        assert present(rates.allowance("a")).left == 0

    def test_it_fills_evenly(self, clock: Any) -> None:
        rates = RateLimiter(6, clock)
        assert self.count_admitted(rates, 9) == 6
        clock.now += 10
        assert self.count_admitted(rates, 9) == 1
        clock.now += 30
        assert self.count_admitted(rates, 9) == 3

    def test_it_never_holds_more_than_the_quota(self, clock: Any) -> None:
        rates = RateLimiter(6, clock)
        rates.take("a")
        clock.now += 86_400
        assert (present(rates.allowance("a")).left, self.count_admitted(rates, 9)) == (6, 6)

    def test_a_client_that_waits_as_long_as_it_should_is_let_in(self, clock: Any) -> None:
        rates = RateLimiter(7, clock)
        assert self.count_admitted(rates, 7) == 7
        for _ in range(20):
            with pytest.raises(TooManyRequests) as refused:
                rates.take("a")
            clock.now += refused.value.seconds
            rates.take("a")

    def test_a_refused_request_costs_nothing(self, clock: Any) -> None:
        rates = RateLimiter(6, clock)
        self.count_admitted(rates, 500)
        clock.now += 10
        assert self.count_admitted(rates, 2) == 1
