"""Handlers of Celery's signals that never disturb whoever sends them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from monitoring.conf import get_settings

logger = logging.getLogger("monitoring.recorder")


def connect(handlers: Mapping[Any, Callable[..., None]]) -> None:
    """Connect handlers by signal; a second call changes nothing."""
    for signal, handler in handlers.items():
        signal.connect(handler, weak=False, dispatch_uid=f"monitoring.{handler.__name__}")


def quiet(handler: Callable[..., None]) -> Callable[..., None]:
    """Keep a handler's faults out of the worker; do nothing while nothing is recorded."""

    @functools.wraps(handler)
    def wrapped(**signal: Any) -> None:
        try:
            if get_settings().records:
                handler(**signal)
        except Exception:
            logger.exception("%s failed", handler.__name__)

    return wrapped
