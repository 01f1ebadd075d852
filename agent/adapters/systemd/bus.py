"""D-Bus through pydbus, in a GLib thread of its own, spoken to from asyncio.

Never the shared `SystemBus()`: that connection ends the process when dbus-daemon goes, and stays dead after.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import pydbus
from gi.repository import Gio, GLib, GObject

T = TypeVar("T")

Variant = GLib.Variant

CLOSED = "closed"
"""As a BusError's name: the connection is gone, or was never made."""
NO_REPLY = "org.freedesktop.DBus.Error.NoReply"

UNDER_WAY = 64
"""Calls that may be under way at once: dbus-daemon refuses more than 128 of a connection on the system bus."""

_REMOTE = re.compile(r"GDBus\.Error:([\w.]+): (.*)", re.DOTALL)
_JOIN = 2.0
"""Seconds that the thread has to end; it is a daemon thread, should it hang in a dead bus."""


class BusError(Exception):
    """A call that failed: `name` is the D-Bus error's name, or CLOSED; the text is the peer's message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class GLibThread:
    """A GLib main loop with its own context, in a thread; all that GLib calls back runs there."""

    def __init__(self) -> None:
        self._context = GLib.MainContext.new()
        self._loop = GLib.MainLoop(context=self._context)
        self._thread = threading.Thread(target=self._run, name="glib", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._context.push_thread_default()
        try:
            self._loop.run()
        finally:
            self._context.pop_thread_default()

    def do(self, work: Callable[[], object]) -> None:
        """Have `work` done in the thread, after what was asked for before."""

        def once(_data: object = None) -> bool:
            work()
            return False

        source = GLib.idle_source_new()
        source.set_priority(GLib.PRIORITY_DEFAULT)
        source.set_callback(once)
        source.attach(self._context)

    def stop(self) -> None:
        """End the thread, once it has done what was asked for before."""
        self.do(self._loop.quit)
        self._thread.join(_JOIN)


class Connection:
    """One connection to a message bus. Replies and signals arrive in the order in which the bus sent them.

    It has to be closed: left to the garbage collector, the GDBusConnection could be disposed of while the
    collecting thread has the interpreter's lock, which waits for a lock of GDBus, whose own thread waits for
    the interpreter's lock to count a reference (seen, as a process that stood still for good).
    """

    def __init__(self, thread: GLibThread, bus: Any) -> None:
        self._thread = thread
        self._con = bus.con
        # One reference that Python does not count: with it, GDBus's thread never has to ask Python when it adds one.
        self._held = GObject.Value(Gio.DBusConnection, bus.con)
        self._ids: list[int] = []
        self._ended = False
        # Both are the GLib thread's alone.
        self._under_way = 0
        self._waiting: deque[tuple[Callable[[], None], Callable[[BusError], None]]] = deque()

    @property
    def closed(self) -> bool:
        """Whether the bus has gone away, or this side has closed the connection."""
        return self._ended

    @staticmethod
    async def open(thread: GLibThread, address: str, on_closed: Callable[[], None], *, timeout: float) -> Connection:
        """Connect to the bus at `address`; raises BusError. `on_closed` is called in the event loop."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Connection] = loop.create_future()

        def connect() -> None:
            try:
                made = Connection(thread, pydbus.connect(address))
            except GLib.Error as err:
                loop.call_soon_threadsafe(_fail, opened, BusError(CLOSED, err.message))
                return
            made._con.connect("closed", lambda *_: loop.call_soon_threadsafe(ended, made))
            loop.call_soon_threadsafe(arrived, made)

        def ended(made: Connection) -> None:
            made._ended = True
            on_closed()

        def arrived(made: Connection) -> None:
            if opened.done():  # nobody waits for it any more
                made._discard()
            else:
                opened.set_result(made)

        thread.do(connect)
        try:
            async with asyncio.timeout(timeout):
                return await opened
        except TimeoutError as err:
            raise BusError(CLOSED, f"the message bus did not answer within {timeout:g} s") from err

    def call(
        self, destination: str, path: str, interface: str, member: str, arguments: Any = None, *, timeout: float
    ) -> asyncio.Future[Any]:
        """Call a method, never starting the destination; the future has the unpacked reply, or raises BusError.

        Calls are sent in order, each without waiting for the answer to the one before, as long as no more than
        UNDER_WAY are; `timeout`, in seconds, counts from then.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Any] = loop.create_future()

        def fail(err: BusError) -> None:
            loop.call_soon_threadsafe(_fail, answered, err)

        def finished(con: Any, result: Any) -> None:
            self._under_way -= 1
            self._send_waiting()
            try:
                reply = con.call_finish(result).unpack()
            except GLib.Error as err:
                fail(_bus_error(err))
            else:
                loop.call_soon_threadsafe(_succeed, answered, reply)

        def send() -> None:
            self._con.call(
                destination,
                path,
                interface,
                member,
                arguments,
                None,
                Gio.DBusCallFlags.NO_AUTO_START,
                max(1, round(timeout * 1000)),
                None,
                finished,
            )

        def queue() -> None:
            self._waiting.append((send, fail))
            self._send_waiting()

        self._thread.do(queue)
        return answered

    def _send_waiting(self) -> None:
        while self._waiting and self._under_way < UNDER_WAY:
            send, fail = self._waiting.popleft()
            if self._con is None:
                fail(BusError(CLOSED, "the connection is closed"))
                continue
            self._under_way += 1
            send()

    def on_signal(
        self,
        sender: str,
        interface: str,
        member: str,
        arg0: str | None,
        decode: Callable[[str, Any], T | None],
        hear: Callable[[T], None],
    ) -> None:
        """Subscribe: `decode(path, arguments)` runs in the GLib thread; what it makes, `hear` gets in the event loop.

        A signal for which `decode` returns None never wakes the event loop.
        """
        loop = asyncio.get_running_loop()

        def fired(_con: Any, _sender: str, path: str, _interface: str, _member: str, arguments: Any) -> None:
            made = decode(path, arguments)
            if made is not None:
                loop.call_soon_threadsafe(hear, made)

        def subscribe() -> None:
            flags = Gio.DBusSignalFlags.NONE
            self._ids.append(self._con.signal_subscribe(sender, interface, member, None, arg0, flags, fired))

        self._thread.do(subscribe)

    async def close(self) -> None:
        """Close the connection and free it; what is under way fails with CLOSED."""
        self._ended = True
        self._discard()
        loop = asyncio.get_running_loop()
        freed = asyncio.Event()
        self._thread.do(lambda: loop.call_soon_threadsafe(freed.set))
        await freed.wait()

    def _discard(self) -> None:
        self._thread.do(self._shut)
        self._thread.do(self._free)

    def _shut(self) -> None:
        for number in self._ids:
            self._con.signal_unsubscribe(number)
        with contextlib.suppress(GLib.Error):  # the bus has gone: then only our end is left to close
            self._con.close_sync(None)
        with contextlib.suppress(GLib.Error):
            self._con.get_stream().close(None)

    def _free(self) -> None:
        del self._con._pydbus  # a cycle, which only the garbage collector would end
        self._con = self._held = None
        self._send_waiting()


def _bus_error(err: Any) -> BusError:
    if remote := _REMOTE.fullmatch(err.message):
        return BusError(remote[1], remote[2])
    if err.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT):
        return BusError(NO_REPLY, "no answer in time")
    return BusError(CLOSED, err.message)


def _succeed(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], err: BusError) -> None:
    if not future.done():
        future.set_exception(err)
