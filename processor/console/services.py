"""What the console works with, passed in once by `create_app`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
from flask import current_app, g

from control_store.campaigns import Campaigns
from control_store.control import Control
from control_store.drafts import Drafts
from control_store.guests import Guests
from control_store.leases import Leases
from control_store.training import TrainingSettings
from eventlog.log import Log
from processor.ingest.freshness import Freshness
from processor.queries.curation.book import Books
from processor.queries.curation.quality import Measured
from processor.queries.datasets import Datasets
from processor.tables.store import Store
from runtime.settings import Settings


@dataclass(frozen=True)
class Services:
    """What is behind every screen: settings, three stores, how fresh the tables are, tasks' books, labels' figures."""

    settings: Settings
    store: Store
    log: Log
    control: Control
    freshness: Freshness
    books: Books = field(default_factory=Books)
    measured: Measured = field(default_factory=Measured)


def services() -> Services:
    """Return the running app's services."""
    found: Services = current_app.extensions["thumbwheel"]
    return found


@contextmanager
def reading() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a cursor that sees one state of the tables."""
    with services().store.read() as cursor:
        yield cursor


def datasets() -> Datasets:
    """Return the dataset folders of this request's project."""
    return Datasets(services().settings.home, project())


def project() -> str:
    """Return the project this request speaks of."""
    name: str = g.project
    return name


def training() -> TrainingSettings:
    """Return the settings of training runs in the control store."""
    return TrainingSettings(services().control.engine)


def campaigns() -> Campaigns:
    """Return the campaigns of the control store."""
    return Campaigns(services().control.engine)


def books() -> Books:
    """Return the books of tasks, kept from one request to the next."""
    return services().books


def leases() -> Leases:
    """Return the leases of the control store."""
    return Leases(services().control.engine)


def drafts() -> Drafts:
    """Return the drafts of the control store."""
    return Drafts(services().control.engine)


def guests() -> Guests:
    """Return the guest links of the control store."""
    return Guests(services().control.engine)
