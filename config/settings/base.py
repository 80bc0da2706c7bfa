"""Settings that every way of running shares. The environment variables are in docs/deploying.md."""

from pathlib import Path

import environ

from config.settings.embedded import default_database, folder_broker_options, with_sqlite_options

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parents[2]
# Everything the embedded defaults write lives here. A relative path counts from the project.
DATA_DIR = BASE_DIR / (env.str("DATA_DIR", default="") or ".data")

SECRET_KEY = env.str("DJANGO_SECRET_KEY", default="")
DEBUG = False
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_jsonform",
    "import_export",
    "monitoring",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The wheel carries the top-level templates inside the app; a checkout finds them here.
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FIXTURE_DIRS = [BASE_DIR / "fixtures"]

DATABASES = {
    "default": with_sqlite_options(
        env.db_url("DATABASE_URL")
        if env.str("DATABASE_URL", default="")
        else default_database(DATA_DIR)
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
USE_I18N = True
# Collecting the texts of the top-level templates writes into the app's catalogue too.
LOCALE_PATHS = [BASE_DIR / "monitoring" / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"

# EMAIL_URL sets the backend, host, port, user, password and encryption.
globals().update(env.email_url("EMAIL_URL", default="smtp://localhost:25"))
# Django waits for ever by default: one silent mail server would stop every later alert.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="monitoring@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://localhost")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = folder_broker_options(DATA_DIR)
    # A killed worker loses the messages it took in advance: take as few as possible.
    CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# Beat writes "last run at" only every three minutes by default; the admin shows it.
CELERY_BEAT_SYNC_EVERY = 1
# Outcomes are read from the task log; nobody asks a result backend.
CELERY_TASK_IGNORE_RESULT = True

MONITORING = {
    "BASE_URL": env.str("MONITORING_BASE_URL", default=""),
    "SITE_NAME": env.str("MONITORING_SITE_NAME", default=""),
    "HEALTH_TOKEN": env.str("MONITORING_HEALTH_TOKEN", default=""),
    "METRICS_TOKEN": env.str("MONITORING_METRICS_TOKEN", default=""),
    "HEARTBEAT_URL": env.str("MONITORING_HEARTBEAT_URL", default=""),
    "CHANNEL_KEYS": env.list("MONITORING_CHANNEL_KEYS", default=[]),
    "CHANNEL_PRIVATE_HOSTS": env.list("MONITORING_CHANNEL_PRIVATE_HOSTS", default=[]),
}
