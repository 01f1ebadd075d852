"""An event loop that skips the time in which nothing would happen."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from typing_extensions import TypeVarTuple, Unpack, override

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SkippingLoop(asyncio.SelectorEventLoop):
    """Where all that it has to do is to wait for a moment, that is now; what threads and sockets do takes its time."""

    def __init__(self) -> None:
        super().__init__(selector := _Selector())
        self._skipping = selector
        selector.busy = lambda: self._in_threads > 0
        self._in_threads = 0

    @override
    def time(self) -> float:
        """Seconds, with those that were skipped."""
        return super().time() + self._skipping.skipped

    @override
    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As any loop does, and knowing until when."""
        work = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._returned)
        return work

    def _returned(self, _work: object) -> None:
        self._in_threads -= 1


class _Selector(selectors.EpollSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.busy: Callable[[], bool] = lambda: False

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now, or in time if threads are at work."""
        if timeout is None or timeout <= 0 or self.busy():
            return super().select(timeout)
        if not (ready := super().select(0)):
            self.skipped += timeout
        return ready


def without_waiting(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in such a loop; it may use no asynchronous fixture."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
