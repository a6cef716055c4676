"""Fixtures of the host tests: an engine played by hand, and the sample app in a host process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.engine_driver import Driver
from tests.host.sample_client import LONG_CHILD_SECONDS, SampleApp


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes longer than the thing tested should; runs always")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """An engine on an empty file."""
    driver = Driver(tmp_path / "state.db")
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleApp]:
    """The sample app in a host that the tests share and do not stop."""
    folder = tmp_path_factory.mktemp("shared")
    with SampleApp.started(folder) as sample:
        # Begun now, looked at by the test of long children at the end of its time: nothing waits for it meanwhile.
        sample.start("parent", "long", LONG_CHILD_SECONDS)
        yield sample


@pytest.fixture
def own_sample(tmp_path: Path) -> Iterator[SampleApp]:
    """The sample app in a host of the test's own."""
    with SampleApp.started(tmp_path) as sample:
        yield sample


@pytest.fixture
def empty_app(tmp_path: Path) -> Path:
    """A folder with host.json and nothing else."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    return app
