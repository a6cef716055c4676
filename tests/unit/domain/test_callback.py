"""The token of a call-back: one per search and secret, compared without a hint, absent without a secret."""

from __future__ import annotations

import pytest

from shared.domain.callback import callback_token, token_is_valid

TOKEN = callback_token("secret", "job-a")


def test_the_right_token() -> None:
    assert token_is_valid("secret", "job-a", TOKEN)
    assert len(TOKEN) == 64


@pytest.mark.parametrize(
    ("secret", "job_id", "token"),
    [
        ("secret", "job-b", TOKEN),
        ("other", "job-a", TOKEN),
        ("secret", "job-a", ""),
        ("secret", "job-a", TOKEN[:-1]),
        ("secret", "job-a", TOKEN + "0"),
        ("secret", "job-a", TOKEN.upper()),
        ("secret", "job-a", "é"),
        ("secret", "job-a", "\udcff" * 64),
        ("", "job-a", callback_token("", "job-a")),
        ("secret", "\ud800", TOKEN),
    ],
)
def test_any_other(secret: str, job_id: str, token: str) -> None:
    assert not token_is_valid(secret, job_id, token)
