"""Results of the commands of `tocsin-hub`, printed for people."""

import pytest

from tocsin.server.cli.command import print_result


def test_a_record_is_printed_for_people_and_not_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    accounts = [
        {"account": "acme", "read": ["clear", "green"], "disabled": False},
        {"account": "north", "read": [], "disabled": True},
    ]
    record = {"partner": "acme\x1b[2J", "group": "", "accounts": accounts, "until": None}
    print_result(record | {"terms": {"tlp": "green"}, "sectors": ()}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b" not in lines[0]
    assert lines[1:] == [
        "group: -",
        "accounts:",
        "  - account: acme",
        "    read: clear, green",
        "    disabled: no",
        "  - account: north",
        "    read: -",
        "    disabled: yes",
        "until: -",
        "terms:",
        "    tlp: green",
        "sectors: -",
    ]
