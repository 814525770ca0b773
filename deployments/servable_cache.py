"""A cache of what a deployment prepares from servables, such as tokenizers, once per version of a model."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from deployments.errors import ServableReplaced
from deployments.messages import ServableDescription, ServableId

Prepared = TypeVar("Prepared")


class ServableCache(Generic[Prepared]):
    """Holds one prepared value per model: that of the version fetched last.

    `fetch` returns the servable that is served now under a model's name; `prepare` turns it into the value.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[ServableDescription]],
        prepare: Callable[[ServableDescription], Prepared],
    ) -> None:
        self._fetch = fetch
        self._prepare = prepare
        self._held: dict[str, tuple[ServableId, Prepared]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def current(self, model: str, stale: ServableId | None = None) -> Prepared:
        """Returns the value for `model`; fetches the servable if none is held, or only version `stale`."""
        async with self._locks[model]:
            if (held := self._held.get(model)) is None or held[0] == stale:
                servable = await self._fetch(model)
                held = self._held[model] = servable.id, self._prepare(servable)
            return held[1]

    async def exactly(self, servable: ServableId) -> Prepared:
        """Returns the value for this version; raises ServableReplaced if another version is served."""
        if (held := self._held.get(servable.model)) and held[0] == servable:
            return held[1]
        prepared = await self.current(servable.model, stale=held[0] if held else None)
        if self._held[servable.model][0] != servable:
            raise ServableReplaced(
                f"Version {servable.version} of {servable.model!r} is no longer served; try again."
            )
        return prepared
