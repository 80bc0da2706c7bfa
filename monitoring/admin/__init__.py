"""The pages of the Django admin, one file each; importing them registers them."""

from monitoring.admin.alert_event import AlertEventAdmin
from monitoring.admin.channel import ChannelAdmin
from monitoring.admin.execution import ExecutionAdmin
from monitoring.admin.notification import NotificationAdmin
from monitoring.admin.periodic_task import CheckedPeriodicTaskAdmin
from monitoring.admin.rule import RuleAdmin
from monitoring.admin.run import RunAdmin
from monitoring.admin.worker import WorkerAdmin

__all__ = [
    "AlertEventAdmin",
    "ChannelAdmin",
    "CheckedPeriodicTaskAdmin",
    "ExecutionAdmin",
    "NotificationAdmin",
    "RuleAdmin",
    "RunAdmin",
    "WorkerAdmin",
]
