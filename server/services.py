"""The services of a hub over its store: what admits, publishes, deletes and reports.

The one place that knows the publisher, the intake and the reports at once.  It opens nothing:
settings, secrets and the store are passed in (see `runtime.py`).  It loads no Flask, so that
commands that answer no request begin sooner; `app.py` builds the applications, and `worker.py`
the notices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.admission.markings.tlp import official_ids
from tocsin.admission.merge.identity import WELL_KNOWN_OBJECTS
from tocsin.admission.model import Warninglists
from tocsin.admission.policy import Policy
from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.admission.stix.mitre_attack import attack_ids
from tocsin.config.settings import HubSettings
from tocsin.server.console.drafts import DraftFiles
from tocsin.server.examination.examiner import Examiner
from tocsin.server.export.files import FeedFiles
from tocsin.server.intake.evaluate import Rules
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.queue import Limits
from tocsin.server.lifecycle.lifecycle import Lifecycle
from tocsin.server.lifecycle.purge import Purger
from tocsin.server.lifecycle.retention import Retention, RetentionPeriods
from tocsin.server.model import CollectionKind, Quota
from tocsin.server.monitoring import HubProcesses, Monitor
from tocsin.server.partners.agreement_lifecycle import AgreementLifecycle
from tocsin.server.partners.partner_data import PartnerData
from tocsin.server.partners.people import People
from tocsin.server.publishing.attribution import Attribution
from tocsin.server.publishing.hub_identity import build_hub_identity
from tocsin.server.publishing.public_ids import PublicIds
from tocsin.server.publishing.public_objects import PublishingConfig
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.reports.object_report import ObjectReports
from tocsin.server.reports.receivers import Receivers
from tocsin.server.reports.search import Search
from tocsin.server.reports.statistics import StatisticsReader
from tocsin.server.secrets import HubSecrets
from tocsin.server.store import Clock, DiskSpace, Store

if TYPE_CHECKING:
    from tocsin.server.console.previews import Examiner as PreviewExaminer

_EXPORTS = "exports"
"""The folder of the data directory with files that are made of feeds."""
_DRAFTS = "drafts"
"""The folder of the data directory with what people have pasted and not submitted."""
_INLINE_OCTETS_WITH_RECOGNISER = 32_768
"""A recogniser reads about 20 KB of prose in a second; what is longer waits in the queue."""


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """The configuration of admission: the policy and the warning lists."""

    policy: Policy
    text: str
    """The text of the policy."""
    warninglists: Warninglists
    previewer: PreviewExaminer
    """Examines drafts of the console."""
    examiner: Examiner | None = None
    """Examines queued submissions in other processes; None: this process does."""


@dataclass(frozen=True, slots=True)
class HubServices:
    """The services of one hub process, over one store."""

    store: Store
    publisher: Publisher
    intake: Intake
    lifecycle: Lifecycle
    purger: Purger
    retention: Retention
    partner_data: PartnerData
    disk: DiskSpace
    monitor: Monitor
    exports: FeedFiles
    clock: Clock
    people: People
    policy: Policy
    receivers: Receivers
    object_reports: ObjectReports
    search: Search
    statistics: StatisticsReader
    agreements: AgreementLifecycle
    drafts: DraftFiles
    policy_text: str
    previewer: PreviewExaminer


def build_services(  # noqa: PLR0913
    store: Store,
    secrets: HubSecrets,
    settings: HubSettings,
    admission: AdmissionConfig,
    clock: Clock | None = None,
    processes: HubProcesses | None = None,
) -> HubServices:
    """Build the services of a hub process; `clock` defaults to the store's.

    `processes` are those of its hub; None: this one is alone.
    """
    clock = clock or store.clock
    identity = build_hub_identity(secrets.namespace, settings.title)
    policy = admission.policy
    custodian = str(policy.settings_for("marking", "").get("acs_custodian", ""))
    config = PublishingConfig(
        identity=identity,
        feeds=lambda: [c for c in store.feeds.collections() if c.kind is CollectionKind.FEED],
        well_known=WELL_KNOWN_OBJECTS | attack_ids() | official_ids(),
        attribution=Attribution(store.accounts.list_partners, custodian),
        quiet_period=policy.quiet_period,
        scale=policy.confidence,
        tie_secret=secrets.namespace.bytes,
        max_waiting_reviews=settings.max_waiting_reviews,
    )
    publisher = Publisher(PublicIds(secrets.namespace, identity), config)
    inline_octets = settings.inline_octets
    if policy.has_recogniser_rule and is_installed():
        inline_octets = min(inline_octets, _INLINE_OCTETS_WITH_RECOGNISER)
    limits = Limits(
        inline_objects=settings.inline_objects,
        inline_octets=inline_octets,
        queued=settings.queued_submissions,
        quota=Quota(
            objects_per_day=settings.objects_per_day,
            octets_kept=settings.octets_kept,
            kept_days=settings.retain_bodies_days,
        ),
    )
    rules = Rules(
        policy,
        admission.warninglists,
        limits,
        admission.examiner,
        require_agreements=settings.require_agreements,
    )
    intake = Intake(store, publisher, rules, clock)
    lifecycle = Lifecycle(store, publisher, clock)
    purger = Purger(store, publisher, intake, lifecycle)
    retention = Retention(store, intake, _periods(settings), clock)
    partner_data = PartnerData(store, publisher, intake, lifecycle)
    processes = processes or HubProcesses()
    least = 0 if settings.mongo_uri else settings.min_free_octets
    disk = DiskSpace(settings.data, least, numbers=processes.numbers)
    monitor = Monitor(store, disk, processes=processes)
    folder = settings.data / _EXPORTS
    has_room = disk.has_room_for_copies
    exports = FeedFiles(folder, store.feeds, store.epoch(), clock, has_room)
    receivers = Receivers(store, lifecycle)
    statistics = StatisticsReader(store, clock, requires_agreements=settings.require_agreements)
    monitor.find_polls = statistics.last_polls
    return HubServices(
        store,
        publisher,
        intake,
        lifecycle,
        purger,
        retention,
        partner_data,
        disk,
        monitor,
        exports,
        clock,
        People(store, secrets.page_token_key, clock),
        policy,
        receivers,
        ObjectReports(store, config, receivers, clock),
        Search(store, clock),
        statistics,
        AgreementLifecycle(store, publisher, clock),
        DraftFiles(settings.data / _DRAFTS, clock),
        admission.text,
        admission.previewer,
    )


def warning_lists_file(data: Path) -> Path:
    """The file of the warning lists that the operator loaded; it may not exist."""
    return data / "warning-lists.json.xz"


def _periods(settings: HubSettings) -> RetentionPeriods:
    return RetentionPeriods(
        bodies=settings.retain_bodies_days,
        refused_bodies=settings.retain_refused_days,
        reviews=settings.retain_reviews_days,
        statuses=settings.retain_statuses_days,
        journal=settings.retain_journal_days,
    )
