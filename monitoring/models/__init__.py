from monitoring.models.alert_event import AlertEvent
from monitoring.models.channel import Channel
from monitoring.models.choices import (
    OWED,
    NotificationKind,
    NotificationState,
    RunState,
    TaskStatus,
    VerdictChoices,
    WhileRunningChoices,
)
from monitoring.models.execution import BackgroundTask
from monitoring.models.notification import DeliveryWakeup, Notification
from monitoring.models.rule import MonitorRule, RuleState
from monitoring.models.run import MonitorRun
from monitoring.models.worker import WorkerHeartbeat

__all__ = [
    "OWED",
    "AlertEvent",
    "BackgroundTask",
    "Channel",
    "DeliveryWakeup",
    "MonitorRule",
    "MonitorRun",
    "Notification",
    "NotificationKind",
    "NotificationState",
    "RuleState",
    "RunState",
    "TaskStatus",
    "VerdictChoices",
    "WhileRunningChoices",
    "WorkerHeartbeat",
]
