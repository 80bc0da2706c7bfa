from tests.shell.conftest import clock, monitor, old_log, source

__all__ = ["clock", "monitor", "old_log", "source"]
