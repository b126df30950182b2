import shutil
import tempfile

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, TestCase, override_settings
from django.urls import reverse

from .models import Document, Entry


class PageTests(TestCase):
    def test_the_home_page_counts_visits_in_the_session(self):
        self.assertContains(self.client.get("/"), "first visit")
        self.assertContains(self.client.get("/"), "visit number 2")

    def test_json(self):
        with self.assertNumQueries(0):
            response = self.client.get("/json/")
        self.assertEqual(response.json(), {"message": "hello", "numbers": [1, 2, 3], "ok": True})

    def test_the_server_page_shows_the_environ(self):
        self.assertContains(self.client.get("/server/"), "wsgi.url_scheme")

    def test_stream(self):
        response = self.client.get("/stream/?lines=2&delay=0")
        self.assertTrue(response.streaming)
        self.assertEqual(response.getvalue(), b"line 1 of 2\nline 2 of 2\n")
        self.assertEqual(self.client.get("/stream/?lines=many").status_code, 400)

    def test_the_admin_and_its_static_files(self):
        self.assertContains(self.client.get("/admin/login/"), "Django administration")
        css = self.client.get("/static/admin/css/base.css")
        self.assertEqual(css["Content-Type"], "text/css")
        self.assertIn(b"body {", css.getvalue())


class GuestbookTests(TestCase):
    def test_an_entry_is_stored_and_shown_escaped(self):
        response = self.client.post("/guestbook/", {"name": "Ann", "message": "<b>hello</b>"}, follow=True)
        self.assertContains(response, "Thank you")
        self.assertContains(response, "&lt;b&gt;hello&lt;/b&gt;")
        self.assertEqual(Entry.objects.get().name, "Ann")

    def test_an_empty_entry_is_refused(self):
        self.assertContains(self.client.post("/guestbook/", {"name": "", "message": ""}), "This field is required")
        self.assertFalse(Entry.objects.exists())

    def test_csrf_is_checked(self):
        client = Client(enforce_csrf_checks=True)
        self.assertEqual(client.post("/guestbook/", {"name": "Eve", "message": "hi"}).status_code, 403)


class DocumentTests(TestCase):
    def setUp(self):
        media = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, media)
        settings = override_settings(MEDIA_ROOT=media)
        settings.enable()
        self.addCleanup(settings.disable)

    def test_what_was_uploaded_comes_back(self):
        content = bytes(range(256)) * 40
        self.client.post("/documents/", {"file": SimpleUploadedFile("bytes.bin", content)})
        document = Document.objects.get()
        response = self.client.get(reverse("download", args=[document.pk]))
        self.assertEqual(response["Content-Length"], str(len(content)))
        self.assertIn('filename="bytes.bin"', response["Content-Disposition"])
        self.assertEqual(response.getvalue(), content)

    def test_an_unknown_document(self):
        self.assertEqual(self.client.get("/documents/1/").status_code, 404)
