"""Context models as hosts have them. The app has no migrations: its tables are just created."""

from __future__ import annotations

import uuid

from django.db import models


class IngestorSession(models.Model):
    """Documented by name (10.11.4)."""

    ingestor_type = models.CharField(max_length=255)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return f"{self.ingestor_type} {self.pk}"


class CollectorSession(models.Model):
    """Documented by name (10.11.4)."""

    ingestor_type = models.CharField(max_length=255)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return f"{self.ingestor_type} {self.pk}"


class NightSession(IngestorSession):
    """Its primary key is a relation to its parent."""

    class Meta:
        app_label = "gap"


class Region(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return str(self.name)


class Source(models.Model):
    kind = models.CharField(max_length=50)
    region = models.ForeignKey(Region, null=True, on_delete=models.CASCADE)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return str(self.kind)


class Export(models.Model):
    """Its primary key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    layout = models.CharField(max_length=50)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return f"{self.layout} {self.pk}"


class Shipment(models.Model):
    """Its primary key is a text, and what it is stands in another table."""

    code = models.CharField(max_length=20, primary_key=True)
    source = models.ForeignKey(Source, null=True, on_delete=models.CASCADE)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return str(self.code)


class SourceNote(models.Model):
    """Its primary key is a relation that Django would look up to validate."""

    source = models.OneToOneField(Source, primary_key=True, on_delete=models.CASCADE)
    tone = models.CharField(max_length=50)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return f"{self.tone} {self.pk}"


class Vanished(models.Model):
    """Its table is not there."""

    ingestor_type = models.CharField(max_length=255)

    class Meta:
        app_label = "gap"
        managed = False

    def __str__(self) -> str:
        return str(self.ingestor_type)


class Station(models.Model):
    """Tasks are told which one by something else than its primary key."""

    code = models.CharField(max_length=20, unique=True)
    serial = models.UUIDField(unique=True, default=uuid.uuid4)
    number = models.IntegerField(unique=True, null=True)
    source = models.OneToOneField(Source, null=True, on_delete=models.CASCADE)
    callsign = models.CharField(max_length=20, blank=True)
    slot = models.IntegerField(null=True)
    lane = models.IntegerField(null=True)
    grade = models.CharField(max_length=50)

    class Meta:
        app_label = "gap"
        unique_together = (("slot", "lane"),)
        constraints = (
            models.UniqueConstraint(fields=("callsign",), name="gap_callsign"),
            models.UniqueConstraint(
                fields=("grade",), condition=models.Q(slot=1), name="gap_grade_sometimes"
            ),
        )

    def __str__(self) -> str:
        return str(self.code)


class Reading(models.Model):
    """Its primary key consists of two columns."""

    pk = models.CompositePrimaryKey("series", "position")
    series = models.IntegerField()
    position = models.IntegerField()
    code = models.CharField(max_length=20, unique=True)
    quality = models.CharField(max_length=50)

    class Meta:
        app_label = "gap"

    def __str__(self) -> str:
        return str(self.code)
