"""Sharing in the console: paste, look at the preview, submit, follow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page
from support.console import Visitor, add_person, post, serve_console, sign_in, visit
from support.hub import HubInProcess

from tocsin.config import HubSettings
from tocsin.server.person import Role
from tocsin.server.store import Store

ANALYST = "analyst@hub.example"
MAIL = """Received: from mail.evil-portal.top (203.0.113.77) by mx.bank.example.net; Thu, 1 Jan 2026
Message-ID: <1@evil-portal.top>
MIME-Version: 1.0
From: "Billing" <billing@evil-portal.top>
To: Jane Doe <jane.doe@bank.example.net>
Subject: Invoice for jane.doe@bank.example.net
Date: Thu, 1 Jan 2026 10:00:00 +0000
Content-Type: text/plain

Dear Jane Doe, pay at https://acme-login.evil-portal.top/in?m=jane.doe@bank.example.net today.
"""


@pytest.fixture
def hub(store: Store, tmp_path: Path) -> HubInProcess:
    hub = HubInProcess(store, settings=HubSettings(data=tmp_path))
    for role in Role:
        partner = "acme" if role in (Role.VIEWER, Role.ANALYST) else ""
        add_person(hub, f"{role}@hub.example", role, partner=partner)
    return hub


def paste(client: FlaskClient, text: str, **more: Any) -> Any:
    return post(client, "/console/share", {"text": text, **more})


def test_a_mail_is_pasted_masked_submitted_and_followed(visitor: Visitor, hub: HubInProcess) -> None:
    page = visitor.sign_in(ANALYST, "/share")
    visitor.check()
    page.fill("#text", MAIL)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/share/*")
    print(page.inner_text("main"))
    visitor.check()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/submissions/*")
    print(page.inner_text("main"))
    visitor.check()
    assert 0
