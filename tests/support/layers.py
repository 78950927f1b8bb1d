"""The layers of the project's packages, which restrict their imports."""

PACKAGES = ("admission", "mirror", "server", "clients", "config", "conformance")

LAYERS = (
    ("tocsin.server.cli", "tocsin.server.answering.program", "tocsin.clients.__main__"),
    ("tocsin.server.serving", "tocsin.server.integrations", "tocsin.clients.cli"),
    ("tocsin.server.runtime",),
    ("tocsin.server.app", "tocsin.server.bootstrap", "tocsin.server.worker", "tocsin.clients"),
    ("tocsin.server.services",),
    ("tocsin.server.answering", "tocsin.server.console", "tocsin.server.notices"),
    ("tocsin.server.http", "tocsin.server.partners", "tocsin.server.reports"),
    ("tocsin.server.taxii", "tocsin.server.export", "tocsin.server.lifecycle"),
    ("tocsin.server.intake",),
    ("tocsin.server.publishing", "tocsin.server.monitoring"),
    ("tocsin.server.store", "tocsin.server.auth", "tocsin.server.agreements"),
    (
        "tocsin.server.model",
        "tocsin.server.person",
        "tocsin.server.secrets",
        "tocsin.server.examination",
        "tocsin.server.processes",
        "tocsin.server.urls",
        "tocsin.mirror",
    ),
    ("tocsin.admission",),
)
"""Top to bottom.  A package imports only from lines below its own, never from its own line.
The hub and the clients share only `admission`, `mirror` and `config`."""
