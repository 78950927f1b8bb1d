"""A hub with a clock that tests can move, and helpers for its indicators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.hub import HubInProcess, Object, sdo

from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.timestamps import DAY, HOUR, stix_time
from tocsin.config.settings import HubSettings
from tocsin.server.model import Partner
from tocsin.server.store import Store, wall_clock

LATER = "2026-02-01T00:00:00.000Z"


@dataclass
class ManualClock:
    """A clock that tests can move."""

    now: int

    def __call__(self) -> int:
        """Return the time in µs since 1970 UTC."""
        return self.now

    def advance(self, **spans: float) -> None:
        """Move the clock forward by days or hours."""
        units = {"days": DAY, "hours": HOUR}
        self.now += round(sum(units[name] * span for name, span in spans.items()))


_OTHERS = (
    Partner("east", "East Limited"),
    Partner("sister", "Sister Limited", group="family"),
    Partner("brother", "Brother Limited", group="family"),
)


def hub_and_clock(
    store: Store, settings: HubSettings | None = None
) -> tuple[HubInProcess, ManualClock]:
    """Open a hub with three more partners, two of them in one group."""
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock, settings=settings or HubSettings(), others=_OTHERS)
    return hub, clock


def hub_extension(public: Object) -> Object:
    """Return the hub's extension of a public object."""
    return dict(public["extensions"][EXTENSION_ID])


def report_counts(public: Object) -> tuple[int, ...]:
    """Return the numbers of contributors, sightings and false positives."""
    return tuple(hub_extension(public)[n] for n in ("contributors", "sightings", "false_positives"))


def sighting(target: Object, **more: Any) -> Object:
    """Build a sighting of an object."""
    return sdo("sighting", sighting_of_ref=target["id"], **more)


def opinion(target: Object, word: str = "strongly-disagree", **more: Any) -> Object:
    """Build an opinion about an object."""
    return sdo("opinion", opinion=word, object_refs=[target["id"]], **more)


def indicators(hub: HubInProcess, feed: str = "green") -> list[Object]:
    """Return the indicators of a feed."""
    return [each for each in hub.feed(feed) if each["type"] == "indicator"]


def stix_time_after(clock: ManualClock, **span: float) -> str:
    """Return the STIX timestamp, in whole seconds, that lies `span` after the clock's time."""
    then = ManualClock(clock.now)
    then.advance(**span)
    return stix_time(then.now // 1_000_000 * 1_000_000)
