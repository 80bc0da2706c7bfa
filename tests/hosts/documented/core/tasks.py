from celery import shared_task


@shared_task(name="host.work")
def work():
    return "done"


@shared_task(name="host.break_down")
def break_down():
    raise RuntimeError("no figures for <North>")
