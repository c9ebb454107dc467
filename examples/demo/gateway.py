"""The model, through the gateway: the official `openai` client, and nothing the gateway does not offer everybody."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import openai

CHAT_TOKENS = 200
CANDIDATE_TOKENS = 120
# The whole prompt is sent each turn; a small model reads a limited number of them.
KEPT_MESSAGES = 10
SYSTEM = {
    "role": "system",
    "content": "You are the support assistant of Harbour, an online shop. Answer politely in at most four sentences.",
}

Message = dict[str, str]


class GatewayError(Exception):
    """The gateway did not answer as asked. `message` is for logs, `code` picks the text a person reads."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Gateway:
    """Answers for the chat page, candidates for both pages."""

    def __init__(self, url: str, secret_key: str) -> None:
        timeout = openai.Timeout(120.0, connect=5.0)
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=secret_key, timeout=timeout, max_retries=1)

    def stream(self, messages: list[Message], about: dict[str, Any]) -> Generator[dict[str, str]]:
        """Yield `{"interaction_id", "candidate_id"}` once, then `{"delta"}` for each piece of the answer.

        `about` is the `thumbwheel` object of the request. Raises GatewayError; closing the iterator stops the model.
        """
        try:
            chunks: Any = self._client.chat.completions.create(
                model="champion",
                messages=prompt(messages),  # type: ignore[arg-type]
                max_tokens=CHAT_TOKENS,
                stream=True,
                extra_body={"thumbwheel": {"surface": "chat", **about}},
            )
            named = False
            with chunks:
                for chunk in chunks:
                    for choice in chunk.choices:
                        if not named:
                            named = True
                            candidate_id = (choice.model_extra or {}).get("candidate_id", "")
                            yield {"interaction_id": chunk.id, "candidate_id": candidate_id}
                        if choice.delta.content:
                            yield {"delta": choice.delta.content}
        except openai.OpenAIError as error:
            raise _said(error) from error

    def candidates(self, messages: list[Message], k: int, about: dict[str, Any]) -> dict[str, Any]:
        """Return `{"interaction_id", "candidates": [{"candidate_id", "content"}]}`: `k` replies, blind."""
        body = {"messages": prompt(messages), "k": k, "max_tokens": CANDIDATE_TOKENS, "thumbwheel": about}
        try:
            shown: Any = self._client.post("/candidates", body=body, cast_to=object)
            candidates = [{"candidate_id": c["candidate_id"], "content": c["content"]} for c in shown["candidates"]]
            return {"interaction_id": shown["interaction_id"], "candidates": candidates}
        except openai.OpenAIError as error:
            raise _said(error) from error
        except (KeyError, TypeError) as error:
            raise GatewayError("gateway_answer", f"The gateway answered something else: {error!r}") from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def prompt(messages: list[Message]) -> list[Message]:
    """Return the shop's instruction and the latest messages, the first of them the user's."""
    kept = messages[-KEPT_MESSAGES:]
    while kept and kept[0]["role"] != "user":
        kept = kept[1:]
    return [SYSTEM, *kept]


def _said(error: Exception) -> GatewayError:
    if isinstance(error, openai.APIConnectionError):
        return GatewayError("gateway_away", str(error))
    if isinstance(error, openai.RateLimitError) or getattr(error, "status_code", 0) == 503:
        return GatewayError("gateway_busy", str(error))
    return GatewayError("gateway_error", str(error))
