"""Takes secrets out of text that is shown: signatures of URLs, tokens, keys. Pure.

What pods print is theirs to decide: a tool of the command line may well print the URL that it reads from, and a SAS in
it opens the container for as long as it lasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "***"
SHORTEST_SECRET: Final = 8
"""Characters of a known secret from which it is looked for: a shorter one would take words out of any text."""

_LONGEST: Final = 2000
"""Characters of an address or of a token's first part that are looked through: logs of any text cost linear time."""

_URL_QUERY: Final = re.compile(rf"(https?://[^\s\"'<>?]{{0,{_LONGEST}}}\?)[^\s\"'<>]+", re.IGNORECASE)
_ENCODED_QUERY: Final = re.compile(rf"(https?%3a%2f%2f[^\s\"'<>&]{{0,{_LONGEST}}}?%3f)[^\s\"'<>&]+", re.IGNORECASE)
_URL_PASSWORD: Final = re.compile(r"(://[^\s\"'<>/?@:]{0,200}:)[^\s\"'<>/?@]{1,200}(?=@)")
# Without a word boundary before them: AZURE_CLIENT_SECRET, %26sig and \u0026sig are such names too.
_NAMED: Final = re.compile(
    r"((?<![a-z])sig|signature|(?:account|access|storage|shared|api|functions)[_-]?key|password|passwd|secret"
    r"|(?:access|refresh|id|sas|callback|auth)[_-]?token)"
    r"([\"']?[ \t]{0,3}(?:=|:|%3d)[ \t]{0,3}[\"']?)[^\s&;,\"']+",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"((?<![a-z])token(?:=|[\"']: ?[\"']))[^\s&;,\"']+", re.IGNORECASE)
_FLAG: Final = re.compile(r"(--(?:account-key|sas-token|client-secret|password|token) )[^\s]+", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"\b(bearer[ \t]{1,3}|x-elb-token: ?"
    r"|authorization[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?(?:[a-z]+[ \t]{1,3})?)[^\s\"',]+",
    re.IGNORECASE,
)
_JWT: Final = re.compile(rf"\beyJ[A-Za-z0-9_-]{{8,{_LONGEST}}}\.[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?")
_KEPT_NAME: Final = (_URL_QUERY, _ENCODED_QUERY, _URL_PASSWORD, _TOKEN, _FLAG, _HEADER)


def mask_secrets(text: str, known: Iterable[str] = ()) -> str:
    """The text with every secret that can be told replaced by ``***``.

    Args:
        known: secrets that may be in it, to be masked wherever they stand.
    """
    for secret in known:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    for pattern in _KEPT_NAME:
        text = pattern.sub(rf"\1{MASK}", text)
    return _JWT.sub(MASK, _NAMED.sub(rf"\1\2{MASK}", text))
