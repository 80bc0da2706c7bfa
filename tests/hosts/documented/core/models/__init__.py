from core.models.background_task import BackgroundTask, TaskStatus

__all__ = ["BackgroundTask", "TaskStatus"]
