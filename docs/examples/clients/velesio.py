"""A client of the Velesio API: plain requests with a token."""

from typing import Any

import requests


class VelesioClient:
    """`url` is the address of the server, without a path."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def complete(self, prompt: str, **fields: Any) -> str:
        """The text that continues a prompt."""
        answer = self._post("/completion", {"prompt": prompt, **fields})
        return str(answer["choices"][0]["text"])

    def chat(self, messages: list[dict[str, str]], **fields: Any) -> str:
        """The reply to a conversation."""
        answer = self._post("/chat/completions", {"messages": messages, **fields})
        return str(answer["choices"][0]["message"]["content"])

    def health(self) -> str:
        """`healthy`, `degraded` or `unhealthy`."""
        return str(requests.get(f"{self.url}/health", timeout=30).json()["status"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = requests.post(self.url + path, json=body, headers=self.headers, timeout=600)
        answer.raise_for_status()
        return answer.json()
