from gap.tasks.ingestor import ingestor_session
from gap.tasks.monitoring import monitor_task_status

__all__ = ["ingestor_session", "monitor_task_status"]
