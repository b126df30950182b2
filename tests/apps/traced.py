"""A small Django site, served as the recipes of docs/tracing.md do it."""

import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


def hello(request, number):
    return HttpResponse(str(os.getpid()))


def fail(request, number):
    raise ValueError(f"request {number} fails in {os.getpid()}")


urlpatterns = [path("hello/<int:number>", hello), path("fail/<int:number>", fail)]

if "SENTRY_DSN" in os.environ:
    import sentry_sdk

    sentry_sdk.init(traces_sample_rate=1.0)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "traced_settings")
application = get_wsgi_application()
