"""Settings of `make demo`: sample tasks, and mail that ends as files."""

from config.settings.development import *
from config.settings.development import DATA_DIR, MONITORING, env
from config.settings.embedded import default_database, folder_broker_options, with_sqlite_options

DEMO_PORT = env.int("DEMO_PORT", default=8000)
DEMO_ADMIN_EMAIL = "admin@example.com"

# The demo fills its database and runs what it finds in its broker: never those of a real
# installation that the shell happens to name.
DATABASES = {"default": with_sqlite_options(default_database(DATA_DIR))}
CELERY_BROKER_URL = "filesystem://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS = folder_broker_options(DATA_DIR)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_IMPORTS = ["config.demo.tasks"]

EMAIL_BACKEND = "config.demo.emlbackend.EmailBackend"
EMAIL_FILE_PATH = str(DATA_DIR / "mail")
DEFAULT_FROM_EMAIL = "monitoring@example.com"

MONITORING = {
    "BASE_URL": env.str("MONITORING_BASE_URL", default=f"http://localhost:{DEMO_PORT}"),
    "SITE_NAME": MONITORING["SITE_NAME"] or "Demo",
}
