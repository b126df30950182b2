"""Settings of the site in traced.py."""

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "traced"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
