from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("guestbook/", views.guestbook, name="guestbook"),
    path("documents/", views.documents, name="documents"),
    path("documents/<int:pk>/", views.download, name="download"),
    path("stream/", views.stream, name="stream"),
    path("server/", views.server, name="server"),
    path("json/", views.json_page, name="json"),
]
