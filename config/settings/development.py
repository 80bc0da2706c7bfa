"""Settings for one's own machine: nothing needs to be set, mail is printed."""

from config.settings.base import *
from config.settings.base import MONITORING, SECRET_KEY, env

DEBUG = env.bool("DJANGO_DEBUG", default=True)
# Public on purpose; production refuses a key that starts like this one.
SECRET_KEY = SECRET_KEY or "django-insecure-for-development-only"
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

if not env.str("EMAIL_URL", default=""):
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

MONITORING = {**MONITORING, "BASE_URL": MONITORING["BASE_URL"] or "http://localhost:8000"}
