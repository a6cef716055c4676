"""Slowed pods: which pods' main containers wait before their command, so that a test can have a long BLAST run."""

from __future__ import annotations

from local.cluster.selectors import Predicate, match_labels


class Pace:
    """Delays by label selector; the control endpoint sets them, the pod runner asks."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[Predicate, float]] = {}

    def set(self, label_selector: str, seconds: float) -> None:
        """Let pods that match wait `seconds` before their command; 0 ends that."""
        if seconds > 0:
            self._rules[label_selector] = (match_labels(label_selector), seconds)
        else:
            self._rules.pop(label_selector, None)

    def delay(self, labels: dict[str, str]) -> float:
        """Seconds that a pod with these labels waits."""
        return max((seconds for matches, seconds in self._rules.values() if matches(labels)), default=0.0)
