"""Settings of the processes that the door tests start; what differs comes by the environment."""

from config.settings.base import *  # noqa: F403
from config.settings.base import DATA_DIR, env
from tests.doors.project import shared

SECRET_KEY = "only-for-tests"
MONITORING = shared.MONITORING | {
    "WORKER_SILENT_MINUTES": env.float("DOOR_SILENT_MINUTES", default=10),
    "CHANNEL_PRIVATE_HOSTS": ["127.0.0.1"],
}

_celery = shared.celery_settings(
    env.str("CELERY_BROKER_URL"),
    env.str("DOOR_PREFIX"),
    DATA_DIR,
    visibility_timeout=env.int("DOOR_VISIBILITY_TIMEOUT", default=3600),
)
globals().update({f"CELERY_{name.upper()}": value for name, value in _celery.items()})

CELERY_IMPORTS = ["tests.doors.project.tasks"]
# Look for new periodic tasks every second instead of every five.
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
