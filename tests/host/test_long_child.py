"""One child that really takes longer than the 30 s after which the in-memory backend forgets its parent.

It is started with the shared host (conftest.py), so that the other tests run meanwhile. That no wait can run out is
shown without any waiting in test_engine.py.
"""

import pytest

from tests.host.sample_client import LONG_CHILD_SECONDS, SampleApp


@pytest.mark.slow
def test_a_parent_hears_of_a_child_that_takes_longer_than_30_seconds(sample: SampleApp) -> None:
    assert sample.ended("long", timeout=LONG_CHILD_SECONDS + 15)["output"] == "child waited"
