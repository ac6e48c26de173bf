"""Hold Ctrl-C and SIGTERM back for the moment in which they would tear something in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def held_back() -> Iterator[None]:
    """Heed Ctrl-C and SIGTERM only at the end of the block, which is to be short and to wait for nobody.

    Only the main thread hears signals, and only those are held back that Python handles. Raises KeyboardInterrupt
    where one came and the block did not fail by itself.
    """
    came: list[int] = []
    heard = threading.current_thread() is threading.main_thread()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if heard and callable(signal.getsignal(n))]
    before = {n: signal.signal(n, lambda number, frame: came.append(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def last_words(say: Callable[[], object], *, seconds: float) -> bool:
    """Do what a command does last, for at most so many seconds, deaf to Ctrl-C and SIGTERM; tell whether it was done.

    Raises what `say` raises. Past its time it is left to a thread that ends with the process.
    """
    failed: list[Exception] = []

    def run() -> None:
        try:
            say()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="last words", daemon=True)
    # Who asks twice asks for what is being done.
    with suppress(KeyboardInterrupt), held_back():
        thread.start()
        thread.join(seconds)
    if failed:
        raise failed[0]
    return not thread.is_alive()
