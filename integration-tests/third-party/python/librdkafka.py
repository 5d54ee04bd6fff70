"""confluent-kafka (librdkafka): transactions with the offsets that they consumed.

    librdkafka.py BOOTSTRAP
"""

import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = {"bootstrap.servers": sys.argv[1]}


def expect(what, expected, actual):
    if actual != expected:
        sys.exit(f"librdkafka: {what}: expected {expected!r}, got {actual!r}")
    print(f"ok: librdkafka: {what}")


def consumer(group, isolation):
    return Consumer(
        bootstrap
        | {
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "session.timeout.ms": 6000,
        }
    )


def values(isolation):
    reader = consumer(f"values-{isolation}", isolation)
    reader.assign([TopicPartition("rd-out", partition, 0) for partition in range(2)])
    found, ends = [], 0
    while ends < 2:
        message = reader.poll(10)
        if message is None:
            sys.exit("librdkafka: no end of the partition within 10 s")
        if message.error():
            ends += message.error().code() == KafkaError._PARTITION_EOF
        else:
            found.append(message.value().decode())
    reader.close()
    return sorted(found)


def committed(reader):
    return reader.committed([TopicPartition("rd-in", 0)], 10)[0].offset


def producer(transactional_id):
    made = Producer(bootstrap | {"transactional.id": transactional_id, "log_level": 0})
    made.init_transactions(10)
    return made


admin = AdminClient(bootstrap)
for future in admin.create_topics([NewTopic("rd-in", 1), NewTopic("rd-out", 2)]).values():
    future.result(10)

source = Producer(bootstrap)
for number in range(100):
    source.produce("rd-in", f"in-{number:03}")
source.flush(10)

worker = producer("rd-worker")
reader = consumer("rd-group", "read_committed")
reader.subscribe(["rd-in"])
taken = []
while len(taken) < 100:
    message = reader.poll(10)
    if message is None:
        sys.exit("librdkafka: the group was given nothing within 10 s")
    if not message.error():
        taken.append(message.value().decode())

worker.begin_transaction()
for value in taken:
    worker.produce("rd-out", value.replace("in", "out"))
worker.send_offsets_to_transaction(
    reader.position(reader.assignment()), reader.consumer_group_metadata(), 10
)
worker.commit_transaction(10)
expect("the offsets are committed", 100, committed(reader))

worker.begin_transaction()
for number in range(30):
    worker.produce("rd-out", f"never-{number}")
worker.flush(10)
worker.send_offsets_to_transaction(
    [TopicPartition("rd-in", 0, 7)], reader.consumer_group_metadata(), 10
)
worker.abort_transaction(10)
expect("those of an aborted one are not", 100, committed(reader))
reader.close()

expected = [f"out-{number:03}" for number in range(100)]
expect("what was aborted is not read", expected, values("read_committed"))
expect("but by who asks for all", 130, len(values("read_uncommitted")))

worker.begin_transaction()
worker.produce("rd-out", "of the elder")
worker.flush(10)
younger = producer("rd-worker")
try:
    worker.commit_transaction(10)
    sys.exit("librdkafka: a producer that was fenced could commit")
except KafkaException as error:
    expect("the elder producer is fenced", True, error.args[0].fatal())
younger.begin_transaction()
younger.produce("rd-out", "out-100")
younger.commit_transaction(10)
expect("the younger one goes on", expected + ["out-100"], values("read_committed"))
