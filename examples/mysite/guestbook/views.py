import os
import sys
import threading
import time
from collections.abc import Iterator

import django
from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import FileResponse, HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .forms import EntryForm, UploadForm
from .models import Document, Entry

SHOWN = 50

# What the server page shows of the environ. Cookies and passwords stay out, and so does the process environment, which
# some servers mix in.
SHOWN_KEYS = (
    "wsgi.",
    "uwsgi.",
    "REQUEST_",
    "REMOTE_",
    "SERVER_",
    "CONTENT_",
    "PATH_INFO",
    "SCRIPT_NAME",
    "QUERY_STRING",
    "DOCUMENT_ROOT",
    "HTTPS",
    "HTTP_HOST",
    "HTTP_ACCEPT",
    "HTTP_CONNECTION",
    "HTTP_USER_AGENT",
    "HTTP_X_FORWARDED_",
)


@require_safe
def home(request: WSGIRequest) -> HttpResponse:
    """A template page with a session: it counts the visits of this browser."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return render(request, "guestbook/home.html", {"visits": request.session["visits"]})


@require_http_methods(["GET", "HEAD", "POST"])
def guestbook(request: WSGIRequest) -> HttpResponse:
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Thank you, your entry is in the book.")
        return redirect("guestbook")
    return render(request, "guestbook/guestbook.html", {"form": form, "entries": Entry.objects.all()[:SHOWN]})


@require_http_methods(["GET", "HEAD", "POST"])
def documents(request: WSGIRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        document = Document.objects.create(name=file.name, file=file, size=file.size)
        messages.success(request, f"{document.name} has arrived, {document.size} bytes.")
        return redirect("documents")
    return render(request, "guestbook/documents.html", {"form": form, "documents": Document.objects.all()[:SHOWN]})


@require_safe
def download(request: WSGIRequest, pk: int) -> FileResponse:
    document = get_object_or_404(Document, pk=pk)
    return FileResponse(document.file.open("rb"), as_attachment=True, filename=document.name)


@require_safe
def stream(request: WSGIRequest) -> HttpResponse:
    """`?lines=` lines, one every `?delay=` seconds: each must reach the client when it is written."""
    try:
        lines = min(int(request.GET.get("lines", 10)), 100_000)
        delay = min(float(request.GET.get("delay", 0.2)), 10.0)
    except ValueError:
        return HttpResponseBadRequest("lines and delay must be numbers\n", content_type="text/plain")

    def write() -> Iterator[str]:
        for number in range(1, lines + 1):
            yield f"line {number} of {lines}\n"
            if delay > 0 and number < lines:
                time.sleep(delay)

    return StreamingHttpResponse(write(), content_type="text/plain; charset=utf-8")


@require_safe
def server(request: WSGIRequest) -> HttpResponse:
    """What the server is and what it passed in."""
    facts = {
        "process": os.getpid(),
        "parent process": os.getppid(),
        "thread": threading.current_thread().name,
        "working directory": os.getcwd(),
        "Python": sys.version,
        "Django": django.get_version(),
    }
    environ = {key: repr(value) for key, value in sorted(request.environ.items()) if key.startswith(SHOWN_KEYS)}
    return render(request, "guestbook/server.html", {"facts": facts, "environ": environ})


@require_safe
def json_page(request: WSGIRequest) -> JsonResponse:
    """Small and the same for everybody, without the database: the page to measure."""
    return JsonResponse({"message": "hello", "numbers": [1, 2, 3], "ok": True})
