"""The production settings, as the Procfile uses them, in a corner of the broker of their own."""

from config.settings.production import *  # noqa: F403
from config.settings.production import DATA_DIR, env
from tests.doors.project import shared

_celery = shared.celery_settings(env.str("CELERY_BROKER_URL"), env.str("DOOR_PREFIX"), DATA_DIR)
globals().update({f"CELERY_{name.upper()}": value for name, value in _celery.items()})

# Look for new periodic tasks every second instead of every five.
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
