"""A task that does nothing, on Celery set up so that a crash loses nothing.

Quorum queue, acknowledged after the task has run, publisher confirms, one task prefetched per process, results in Redis.
"""

import os

from celery import Celery
from kombu import Exchange, Queue

app = Celery("peer", broker=os.environ["PEER_AMQP_URL"], backend=os.environ["PEER_REDIS_URL"])
app.conf.update(
    task_queues=[Queue("peer", Exchange("peer"), routing_key="peer", queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="peer",
    task_default_exchange="peer",
    task_default_routing_key="peer",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_detect_quorum_queues=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_ignore_result=False,
    result_expires=600,
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
)


@app.task(name="noop")
def noop(text):
    """Answers like the scripted model of the bench's agent."""
    return "ok"
