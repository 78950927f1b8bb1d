"""The layers of the project's packages, which restrict their imports."""

PACKAGES = ("admission", "mirror", "server", "clients", "config", "conformance")

LAYERS = (
    ("tocsin.clients.__main__",),
    ("tocsin.server.cli", "tocsin.clients.cli", "tocsin.server.answering.program"),
    ("tocsin.server.integrations",),
    ("tocsin.server.runtime",),
    ("tocsin.server.bootstrap", "tocsin.server.worker", "tocsin.server.answering"),
    ("tocsin.server.http",),
    ("tocsin.server.app",),
    ("tocsin.server.taxii", "tocsin.server.console", "tocsin.server.export"),
    ("tocsin.server.notices",),
    ("tocsin.server.partners", "tocsin.server.reports"),
    ("tocsin.server.lifecycle", "tocsin.server.monitoring"),
    ("tocsin.server.intake",),
    ("tocsin.server.publishing",),
    ("tocsin.server.store", "tocsin.server.auth"),
    ("tocsin.server.value_terms",),
    (
        "tocsin.server.secrets",
        "tocsin.server.index_terms",
        "tocsin.server.partners.countries",
        "tocsin.server.examination",
        "tocsin.server.reports.object_titles",
    ),
    ("tocsin.server.model", "tocsin.server.person", "tocsin.server.counters", "tocsin.clients"),
    ("tocsin.server.shared_folder", "tocsin.mirror"),
    ("tocsin.server.nonblocking", "tocsin.server.process"),
    ("tocsin.admission",),
)
"""Top to bottom.  A package imports only from lines below its own, never from its own line.
The hub and the clients share only `admission`, `mirror` and `config`."""
