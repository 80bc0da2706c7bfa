"""Where executions are read from and, for our own log, written to."""
