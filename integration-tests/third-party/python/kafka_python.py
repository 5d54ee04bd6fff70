"""kafka-python: transactions of its own implementation of the protocol.

    kafka_python.py BOOTSTRAP
"""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

bootstrap = sys.argv[1]


def expect(what, expected, actual):
    if actual != expected:
        sys.exit(f"kafka-python: {what}: expected {expected!r}, got {actual!r}")
    print(f"ok: kafka-python: {what}")


def values(isolation, count):
    reader = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        consumer_timeout_ms=2000,
    )
    reader.assign([TopicPartition("kp-out", 0)])
    reader.seek_to_beginning()
    found = []
    for record in reader:
        found.append(record.value.decode())
        if len(found) == count:
            break
    reader.close()
    return found


admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.create_topics([NewTopic("kp-out", 1, 1), NewTopic("kp-in", 1, 1)])

producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id="kp", acks="all")
producer.init_transactions()
producer.begin_transaction()
for number in range(50):
    producer.send("kp-out", f"aborted-{number}".encode())
producer.flush()
producer.abort_transaction()

producer.begin_transaction()
for number in range(50):
    producer.send("kp-out", f"out-{number}".encode())
offsets = {TopicPartition("kp-in", 0): OffsetAndMetadata(42, "", -1)}
producer.send_offsets_to_transaction(offsets, "kp-group")
producer.commit_transaction()
producer.close()

expected = [f"out-{number}" for number in range(50)]
expect("what was aborted is not read", expected, values("read_committed", 50))
expect("but by who asks for all", 100, len(values("read_uncommitted", 100)))

member = KafkaConsumer(bootstrap_servers=bootstrap, group_id="kp-group")
expect("the offsets are committed", 42, member.committed(TopicPartition("kp-in", 0)))
member.close()
