from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("", include("guestbook.urls")),
    path("admin/", admin.site.urls),
    # `insecure` means: also when DEBUG is off. Behind nginx this is never reached, nginx has the files.
    path("static/<path:path>", serve, {"insecure": True}),
]
