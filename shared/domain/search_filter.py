"""Which searches a list shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.search import Search


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """What is asked of a list; empty means: whatever it is.

    Attributes:
        text: part of the title, in any case of letters.
    """

    status: str = ""
    program: str = ""
    database: str = ""
    text: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """Columns of the row that must have these values."""
        asked = {"status": self.status, "program": self.program, "database": self.database}
        return {name: value for name, value in asked.items() if value}

    def matches(self, search: Search) -> bool:
        """Whether the list shows the search."""
        return (
            (not self.status or search.status == self.status)
            and (not self.program or search.program == self.program)
            and (not self.database or search.database == self.database)
            and self.text.lower() in search.title.lower()
        )


EVERYTHING = SearchFilter()
