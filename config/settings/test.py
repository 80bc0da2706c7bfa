"""Settings of the test suite: no network, no real broker, cheap passwords.

DATABASE_URL is honoured, so that the same tests run against PostgreSQL and MariaDB. Tests that
start real processes give those the development or production settings and their own DATA_DIR.
"""

from config.settings.base import *

SECRET_KEY = "only-for-tests"  # noqa: S105 - guards nothing
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

CELERY_BROKER_URL = "memory://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS = {}

MONITORING = {"BASE_URL": "https://monitoring.example.com", "SITE_NAME": "Example"}
