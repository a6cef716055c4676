"""Bytes that wait, in memory or in a file."""

from __future__ import annotations

import pytest

from shared.domain import held
from shared.domain.held import Held


@pytest.mark.parametrize("most", [0, 1, 7, 20, 1000])
def test_what_comes_out_is_what_went_in(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(held, "HELD_BYTES", most)
    rows = Held()
    for number in range(50):
        rows.add(b"%d\n" % number)
    assert b"".join(rows) == b"".join(b"%d\n" % number for number in range(50))
    assert b"".join(rows).endswith(b"49\n"), "it can be read again"


def test_nothing() -> None:
    assert list(Held()) == []


def test_little_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    rows = Held()
    rows.add(b"x" * held.HELD_BYTES)
    with pytest.raises(TypeError):
        rows.add(b"x")
