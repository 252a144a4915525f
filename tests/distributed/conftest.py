from collections.abc import Iterator

import pytest

from .pool import Pool


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Four processes, alive for all tests of this folder."""
    with Pool() as pool:
        yield pool
