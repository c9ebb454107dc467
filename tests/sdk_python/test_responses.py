"""An interaction named in the headers of a response."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, jsonify
from thumbwheel.responses import attach

ABOUT = {"interaction_id": "i-1", "candidates": [{"candidate_id": "c-1", "content": "a"}, {"candidate_id": "c-2"}]}


def test_a_flask_response_names_the_interaction_for_pages_of_other_origins() -> None:
    app = Flask(__name__)

    @app.get("/")
    def answer() -> Response:
        response = jsonify(text="On its way.")
        response.headers["Access-Control-Expose-Headers"] = "ETag"
        return attach(attach(response, ABOUT), ABOUT)

    got = app.test_client().get("/")
    assert got.get_json() == {"text": "On its way."}
    assert got.headers["X-Thumbwheel-Interaction-Id"] == "i-1"
    assert got.headers["X-Thumbwheel-Candidate-Ids"] == "c-1,c-2"
    exposed = got.headers["Access-Control-Expose-Headers"]
    assert exposed == "ETag, X-Thumbwheel-Interaction-Id, X-Thumbwheel-Candidate-Ids"


@pytest.mark.parametrize("about", [
    None, {}, {"candidates": []}, {"interaction_id": "i-1\r\nSet-Cookie: a=b"}, {"interaction_id": "件"},
    {"interaction_id": "i-1", "candidates": [{"candidate_id": "a,b"}]}, {"interaction_id": "i" * 129},
    {"interaction_id": "i-1", "candidates": "none"},
])  # fmt: skip
def test_what_is_no_id_is_not_attached_and_the_response_goes_out(about: Any) -> None:
    with Flask(__name__).app_context():
        response = attach(jsonify(ok=True), about)
    assert not [name for name, _ in response.headers.items() if name.startswith("X-Thumbwheel")]
    assert attach("no response", ABOUT) == "no response"
