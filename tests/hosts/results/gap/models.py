from django.db import models


class IngestorSession(models.Model):
    ingestor_type = models.CharField(max_length=512)

    def __str__(self):
        return f"{self.ingestor_type} {self.pk}"


class CollectorSession(models.Model):
    ingestor_type = models.CharField(max_length=512)

    def __str__(self):
        return f"{self.ingestor_type} {self.pk}"
