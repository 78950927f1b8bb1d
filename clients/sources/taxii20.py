"""A collection of a TAXII 2.0 server."""

from __future__ import annotations

from tocsin.clients.sources.taxii import TaxiiSource
from tocsin.clients.taxii20 import Hub20


class Taxii20Source(
    TaxiiSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="taxii20"
):
    """Source of what is new in a collection since the last run; `url`: the server or API root."""

    def server(self) -> Hub20:
        """See TaxiiSource."""
        return Hub20(self.url, self.credential(), self.retries(), self.tls())


SOURCE = Taxii20Source
