from celery import shared_task

from gap.models import IngestorSession


@shared_task(name="ingestor_session")
def ingestor_session(session_id):
    session = IngestorSession.objects.get(pk=session_id)
    raise ConnectionError(f"no answer for {session.ingestor_type}")
