"""The HTTP API as the commands use it: identity, retries, and every failure as a :class:`ClientError`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from elb.addresses import api_address, is_private
from elb.clock import Clock
from elb.errors import RefusedError, UnreachableError, UsageError
from elb.retries import NOT_NOW, backoff, may_repeat_answered, may_repeat_lost, retry_after
from elb.tokens import TokenSource

Json = dict[str, Any]
Body = bytes | Callable[[], Iterable[bytes]]
"""What is sent: bytes, or a function that gives them from the beginning, once for each attempt."""

DEFAULT_PATIENCE_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# The app reads and checks a whole query before it answers.
_UPLOAD_TIMEOUT = httpx.Timeout(300.0, connect=10.0)


class Api:
    """The app's API.

    Args:
        address: the app's address, with or without ``/api``.
        token: gives the bearer token, or None.
        clock: the time.
        patience: seconds for which a request that got no usable answer is sent again.
    """

    def __init__(
        self, address: str, token: TokenSource, clock: Clock, patience: float = DEFAULT_PATIENCE_SECONDS
    ) -> None:
        self.base = api_address(address)
        self.clock = clock
        self.patience = patience
        self.repeated = False
        """Whether the last request was sent more than once."""
        self._skew = timedelta()
        self._source = token
        self._token: str | None = None
        self._asked = False
        self._client = httpx.Client(timeout=_TIMEOUT, headers={"User-Agent": "elb-client"})

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def now(self) -> datetime:
        """The API's time of day: this machine's, corrected by what the last answer's ``Date`` said."""
        return self.clock.now() + self._skew

    def url(self, path: str) -> str:
        """The address of a path below ``/api``, or of one that the API gave (``/api/...``, or a whole address)."""
        if path.startswith(("https://", "http://")):
            return path
        return f"{self.base}/{path.removeprefix('/api/').lstrip('/')}"

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, patience: float | None = None) -> Json:
        """The JSON object at a path.

        Args:
            path: below ``/api``, or an address that the API gave.
            params: of the query; those that are None are left out.
            patience: in the place of the usual one, seconds.

        Raises:
            ClientError: as :meth:`send`.
        """
        return self.json(self.send("GET", path, params=params, patience=patience))

    def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None, repeatable: bool = True) -> Json:
        """Send a JSON object; the JSON object that comes back.

        Args:
            path: below ``/api``.
            body: the object.
            key: the ``Idempotency-Key``.
            repeatable: whether doing it twice is the same as once.

        Raises:
            ClientError: as :meth:`send`.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self.json(self.send("POST", path, json=body, headers=headers, repeatable=repeatable))

    def json(self, answer: httpx.Response) -> Json:
        """The JSON object of an answer. Raises UnreachableError where it is none: then this is not the API."""
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._not_the_api(answer)
        return found

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        content: Body | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
        patience: float | None = None,
    ) -> httpx.Response:
        """Send a request, again where that may help and does no harm, until ``patience`` is over.

        Returns:
            A successful answer.

        Raises:
            RefusedError: the API answered with an error.
            UnreachableError: no answer, or not the API's.
            UsageError: there is no token where there should be one.
        """

        # Merged by hand: httpx drops the query of an address when it is given another.
        address = httpx.URL(self.url(path)).copy_merge_params(
            {k: v for k, v in (params or {}).items() if v is not None}
        )

        def once() -> httpx.Response:
            body = content() if callable(content) else content
            return self._client.request(
                method,
                address,
                json=json,
                content=body,
                headers={**self._identity(address), **(headers or {})},
                timeout=_TIMEOUT if content is None else _UPLOAD_TIMEOUT,
            )

        what = f"{method} {self.url(path)}"
        answer = self.persist(once, what, repeatable=repeatable, patience=patience)
        if answer.status_code == 401 and self._renewed():
            answer = self.persist(once, what, repeatable=repeatable, patience=patience)
        return self.checked(answer)

    def persist(
        self, once: Callable[[], httpx.Response], what: str, *, repeatable: bool = True, patience: float | None = None
    ) -> httpx.Response:
        """Send until there is an answer worth having.

        Args:
            once: sends one request.
            what: names it in an error.
            repeatable: whether doing it twice is the same as once.
            patience: in the place of the usual one, seconds.

        Raises:
            UnreachableError: there was none in this time.
        """
        end = self.clock.monotonic() + (self.patience if patience is None else patience)
        attempt, self.repeated = 1, False
        while True:
            wait = backoff(attempt)
            try:
                answer = once()
            except httpx.TransportError as error:
                if not may_repeat_lost(error, repeatable=repeatable) or self.clock.monotonic() + wait > end:
                    raise self._no_answer(what, error, attempt) from error
            else:
                self._note_time(answer)
                asked = retry_after(answer.headers.get("Retry-After"), self.now())
                wait = max(wait, asked) if asked is not None and answer.status_code in NOT_NOW else wait
                too_late = self.clock.monotonic() + wait > end
                if too_late or not may_repeat_answered(answer.status_code, repeatable=repeatable):
                    return answer
            self.clock.sleep(wait)
            attempt, self.repeated = attempt + 1, True

    def checked(self, answer: httpx.Response) -> httpx.Response:
        """The answer, if it is a success.

        Raises:
            RefusedError: the API's error.
            UnreachableError: what answers is not the API.
        """
        if answer.is_success:
            return answer
        try:
            error = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            error = None
        if isinstance(error, dict):
            what = f"{answer.request.method} {answer.request.url.path}"
            after = retry_after(answer.headers.get("Retry-After"), self.now())
            raise RefusedError(answer.status_code, error, what, after)
        raise self._not_the_api(answer)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A download whose body is read as it comes. A redirect to storage is followed without the token.

        Raises:
            ClientError: as :meth:`send`, without repeats: whoever reads knows where to go on.
            httpx.TransportError: the connection broke.
        """
        plain = {"Accept-Encoding": "identity", **headers}
        address = httpx.URL(self.url(path))
        for first in (True, False):
            with self._client.stream("GET", address, headers={**self._identity(address), **plain}) as answer:
                if first and answer.status_code == 401 and self._renewed():
                    continue
                if not answer.has_redirect_location:
                    yield self._read_error(answer)
                    return
                target = answer.url.join(answer.headers["Location"])
                break
        with self._client.stream("GET", target, headers=plain) as stored:
            yield self._read_error(stored)

    def _read_error(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_success and answer.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            answer.read()
            self.checked(answer)
        return answer

    def _identity(self, address: httpx.URL) -> dict[str, str]:
        """The header with the token, for the API and for nobody else."""
        if not str(address).startswith(f"{self.base}/"):
            return {}
        if not self._asked:
            self._token, self._asked = self._source(), True
            if self._token and not is_private(self.base):
                raise UsageError(
                    "token_needs_https",
                    f"a token is not sent to {self.base}, where anybody on the way could read it",
                    "use an https address",
                )
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _renewed(self) -> bool:
        """Whether there is another token than the one that was refused."""
        before, self._token = self._token, self._source()
        return self._token is not None and self._token != before

    def _note_time(self, answer: httpx.Response) -> None:
        try:
            skew = parsedate_to_datetime(answer.headers["Date"]) - self.clock.now()
        except (
            KeyError,
            ValueError,
            TypeError,
        ):  # none, or none that can be read: then the two clocks are taken as one
            return
        # The header has whole seconds.
        self._skew = skew if abs(skew) > timedelta(seconds=2) else timedelta()

    def _no_answer(self, what: str, error: httpx.TransportError, attempts: int) -> UnreachableError:
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        why = str(error) or type(error).__name__
        hint = "check --api or ELB_API, and that the app is up; on one machine: make up"
        return UnreachableError("no_answer", f"no answer to {what}{tries}: {why}", hint)

    def _not_the_api(self, answer: httpx.Response) -> UnreachableError:
        url = answer.request.url.copy_with(query=None)  # the query of a link to storage is a secret
        if not str(url).startswith(self.base):
            hint = "its firewall may not let this machine in, or the link has ended: try again"
            return UnreachableError("storage_refused", f"the storage answered {url} with {answer.status_code}", hint)
        return UnreachableError(
            "not_the_api",
            f"{answer.request.method} {url} was answered with {answer.status_code}, but not as the API answers",
            "check --api or ELB_API; an older app may not have this route",
        )
