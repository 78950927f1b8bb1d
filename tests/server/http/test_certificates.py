"""At SIGHUP the hub takes a renewed certificate, unless that is not valid."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue

import pytest
from support.certificates import Authority, make_authority

from tocsin.config.conversion import ConfigError
from tocsin.server.http.tls import ReloadedTls, reload_at_sighup

DAY = 86_400


@pytest.fixture(scope="module")
def own() -> Authority:
    return make_authority()


@pytest.fixture
def tls(own: Authority, tmp_path: Path) -> ReloadedTls:
    """The TLS of a hub whose file is `hub.pem`."""
    return ReloadedTls(own.server().write_pem(tmp_path), None, None)


@pytest.fixture
def logged(
    tls: ReloadedTls, caplog: pytest.LogCaptureFixture
) -> Iterator[SimpleQueue[logging.LogRecord]]:
    """The lines of the log at SIGHUP."""
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler, logger = QueueHandler(records), logging.getLogger("tocsin.server.http.tls")
    caplog.set_level(logging.INFO)
    logger.addHandler(handler)
    before = signal.getsignal(signal.SIGHUP)
    reload_at_sighup(tls)
    yield records
    signal.signal(signal.SIGHUP, before)
    logger.removeHandler(handler)


class TestReload:
    def test_a_renewed_certificate_replaces_the_one_in_use(
        self,
        tls: ReloadedTls,
        logged: SimpleQueue[logging.LogRecord],
        own: Authority,
        tmp_path: Path,
    ) -> None:
        before = tls()
        own.server(days=60).write_pem(tmp_path)
        os.kill(os.getpid(), signal.SIGHUP)
        record = logged.get(timeout=10)
        assert record.message == "reloaded the certificate for new connections"
        assert record.levelname == "INFO"
        assert tls() is not before and tls.certificate_end > time.time() + 50 * DAY

    def test_an_expired_certificate_does_not_replace_the_one_in_use(
        self,
        tls: ReloadedTls,
        logged: SimpleQueue[logging.LogRecord],
        own: Authority,
        tmp_path: Path,
    ) -> None:
        before = tls()
        own.server(days=0.5).write_pem(tmp_path)
        os.kill(os.getpid(), signal.SIGHUP)
        record = logged.get(timeout=10)
        line = record.message
        assert "the previous one stays in use: tls_certificate" in line and "expired at" in line
        assert record.levelname == "ERROR"
        assert tls() is before and tls.certificate_end > time.time()

    @pytest.mark.parametrize(("days", "warning"), [(0.5, "expired at"), (5, "in 3 days"), (30, "")])
    def test_a_certificate_that_ends_soon_is_used_with_a_warning(
        self, own: Authority, tmp_path: Path, days: float, warning: str
    ) -> None:
        found = ReloadedTls(own.server(days=days).write_pem(tmp_path), None, None).find_warning()
        assert warning in found and bool(found) == bool(warning)

    def test_a_certificate_without_a_key_says_that_the_key_is_missing(
        self, own: Authority, tmp_path: Path
    ) -> None:
        file = tmp_path / "alone.pem"
        file.write_text(own.server().certificate)
        with pytest.raises(ConfigError, match="tls_key: is missing"):
            ReloadedTls(file, None, None)
