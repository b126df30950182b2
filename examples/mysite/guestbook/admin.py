from django.contrib import admin

from .models import Document, Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "message", "written"]
    search_fields = ["name", "message"]


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    list_display = ["name", "size", "uploaded"]
    readonly_fields = ["size"]
    fields = ["name", "file", "size"]

    def save_model(self, request, obj, form, change):
        obj.size = obj.file.size
        super().save_model(request, obj, form, change)
