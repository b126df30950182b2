"""Django that streams an answer, and a receiver of request_finished that fails."""

import django
from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.http import StreamingHttpResponse
from django.urls import path


def stream(request):
    return StreamingHttpResponse(iter([b"one ", b"two"]))


urlpatterns = [path("", stream)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only for this test")
django.setup()
application = get_wsgi_application()


def fail(**_):
    raise ValueError("request_finished failed")


request_finished.connect(fail)
