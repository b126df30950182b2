"""A Django project in one file with one JSON page: stands in where examples/mysite is not there."""

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for benchmarks only",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


def page(request):
    items = [{"id": number, "name": f"item {number}", "price": number * 1.5} for number in range(20)]
    return JsonResponse({"path": request.path, "items": items})


urlpatterns = [path("json/", page)]
application = get_wsgi_application()
