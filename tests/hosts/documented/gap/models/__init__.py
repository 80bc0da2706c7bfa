from gap.models.sessions import CollectorSession, IngestorSession

__all__ = ["CollectorSession", "IngestorSession"]
