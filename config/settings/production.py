"""Settings for a server. They refuse to start half configured; see docs/deploying.md."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.base import *
from config.settings.base import ALLOWED_HOSTS, BASE_DIR, MIDDLEWARE, SECRET_KEY, env

# The same demands as Django's own deployment check, which only warns.
SECRET_KEY_LENGTH = 50
SECRET_KEY_DIFFERENT_CHARACTERS = 5

if (
    len(SECRET_KEY) < SECRET_KEY_LENGTH
    or len(set(SECRET_KEY)) < SECRET_KEY_DIFFERENT_CHARACTERS
    or SECRET_KEY.startswith("django-insecure-")
):
    raise ImproperlyConfigured(
        "Set DJANGO_SECRET_KEY to at least 50 random characters, for example the output of "
        "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`, or start with "
        "DJANGO_SETTINGS_MODULE=config.settings.development on your own machine."
    )
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "Set DJANGO_ALLOWED_HOSTS to the host names this site is reached by, "
        "separated by commas, for example monitoring.example.com."
    )

# Debug pages show settings to strangers: no variable turns them on here.
DEBUG = False

# Off only for a closed network without TLS, where secure cookies would make logging in impossible.
HTTPS = env.bool("DJANGO_HTTPS", default=True)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# Off where the proxy in front already redirects.
SECURE_SSL_REDIRECT = env.bool("DJANGO_SSL_REDIRECT", default=HTTPS)
# One hour, because browsers cannot be told to forget it: raise it when HTTPS is known to work.
SECURE_HSTS_SECONDS = env.int("DJANGO_HSTS_SECONDS", default=3600 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("DJANGO_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("DJANGO_HSTS_PRELOAD", default=True)
# Only behind a proxy that sets this header itself: otherwise anyone could send it.
if env.bool("DJANGO_TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])

STATIC_ROOT = BASE_DIR / (env.str("DJANGO_STATIC_ROOT", default="") or "staticfiles")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Right after the first one, so that static files too are redirected to HTTPS.
MIDDLEWARE = [MIDDLEWARE[0], "whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE[1:]]

# Without debug Django only mails tracebacks to ADMINS: write them where the process manager reads.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("DJANGO_LOG_LEVEL", default="INFO")},
}
