"""The cache prepares a value once for each version of a servable."""

import asyncio

import pytest

from deployments.errors import ServableReplaced
from deployments.messages import ServableDescription, ServableId
from deployments.servable_cache import ServableCache
from tests.deployments.fakes import servable


class Source:
    """Serves `version`, and counts the fetches."""

    def __init__(self) -> None:
        self.version = 1
        self.asked = 0

    async def fetch(self, model: str) -> ServableDescription:
        self.asked += 1
        await asyncio.sleep(0)
        return servable(model, version=self.version)


def cache(source: Source) -> ServableCache[str]:
    return ServableCache(source.fetch, lambda servable: f"{servable.id.model}:{servable.id.version}")


async def test_many_who_need_it_at_once_have_it_fetched_once() -> None:
    source = Source()
    held = cache(source)
    assert set(await asyncio.gather(*(held.current("a") for _ in range(5)))) == {"a:1"}
    assert await held.exactly(ServableId("a", 1)) == "a:1"
    assert source.asked == 1


async def test_a_version_that_is_not_held_is_fetched() -> None:
    source = Source()
    held = cache(source)
    await held.current("a")
    source.version = 2
    assert await held.current("a") == "a:1"
    assert await held.exactly(ServableId("a", 2)) == "a:2"
    assert await held.current("a") == "a:2"


async def test_a_version_that_is_known_to_be_stale_is_not_given_again() -> None:
    source = Source()
    held = cache(source)
    await held.current("a")
    source.version = 2
    assert await held.current("a", stale=ServableId("a", 1)) == "a:2"


async def test_a_version_that_is_served_no_longer_is_refused() -> None:
    source = Source()
    source.version = 2
    with pytest.raises(ServableReplaced, match="Version 1 of 'a' is no longer served"):
        await cache(source).exactly(ServableId("a", 1))


async def test_a_fetch_that_fails_is_tried_again_by_the_next() -> None:
    class Failing(Source):
        async def fetch(self, model: str) -> ServableDescription:
            fetched = await super().fetch(model)
            if self.asked == 1:
                raise ConnectionError
            return fetched

    held = cache(Failing())
    with pytest.raises(ConnectionError):
        await held.current("a")
    assert await held.current("a") == "a:1"
