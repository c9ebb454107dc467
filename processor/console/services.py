"""What the console works with, passed in once by `create_app`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
from flask import current_app, g

from control_store.campaigns import Campaigns
from control_store.control import Control
from eventlog.log import Log
from processor.ingest.freshness import Freshness
from processor.queries.curation.book import Books
from processor.queries.datasets import Datasets
from processor.tables.store import Store
from runtime.settings import Settings


@dataclass(frozen=True)
class Services:
    """The settings and the three stores behind every screen, how fresh the tables are, and tasks' books."""

    settings: Settings
    store: Store
    log: Log
    control: Control
    freshness: Freshness
    books: Books = field(default_factory=Books)


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


def campaigns() -> Campaigns:
    """Return the campaigns of the control store."""
    return Campaigns(services().control.engine)
