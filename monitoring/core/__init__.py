"""The rules of the domain as plain Python over plain values.

Nothing here imports Django or Celery, reads a clock or touches a database: `now` is an argument
(aware, UTC) and every decision is a function that returns a value with a named reason.
"""
