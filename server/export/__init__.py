"""Files of feeds for firewalls, sensors and SIEMs, fetched with a plain GET under `/export/`."""

from tocsin.server.export.files import FeedFiles
from tocsin.server.export.routes import ROOT, ExportServices, blueprint

__all__ = ["ROOT", "ExportServices", "FeedFiles", "blueprint"]
