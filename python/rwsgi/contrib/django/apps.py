from django.apps import AppConfig


class RwsgiConfig(AppConfig):
    name = "rwsgi.contrib.django"
    label = "rwsgi"
