"""Files of feeds for firewalls, sensors and SIEMs, fetched with a plain GET under `/export/`."""
