"""`python manage.py rwsgi`: add "rwsgi.contrib.django" to INSTALLED_APPS."""
