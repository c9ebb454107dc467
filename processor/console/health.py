"""Liveness, readiness and metrics, without a login."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from processor.console.services import reading, services

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Any:
    """Say that the process is up, and which promise the log makes."""
    return jsonify({"status": "ok", "log": services().log.promise})


@blueprint.get("/readyz")
def readyz() -> Any:
    """Say whether the tables can be read, the log reached and people known; raises the error that says why not."""
    services().log.check()
    services().control.check()
    services().store.check()
    with reading() as cursor:
        cursor.execute("SELECT 1").fetchone()
    return jsonify({"status": "ready"})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the processor's metrics for Prometheus."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
