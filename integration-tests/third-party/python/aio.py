"""aiokafka: the first version of every transaction API.

    aio.py BOOTSTRAP
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

bootstrap = sys.argv[1]


def expect(what, expected, actual):
    if actual != expected:
        sys.exit(f"aiokafka: {what}: expected {expected!r}, got {actual!r}")
    print(f"ok: aiokafka: {what}")


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("aio", 1, 1)])
    await admin.close()

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="aio")
    await producer.start()
    async with producer.transaction():
        for number in range(20):
            await producer.send("aio", f"out-{number}".encode())
        await producer.send_offsets_to_transaction({TopicPartition("aio", 0): 5}, "aio-group")
    await producer.begin_transaction()
    await producer.send_and_wait("aio", b"aborted")
    await producer.abort_transaction()
    await producer.stop()

    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id="aio-group",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await reader.start()
    partition = TopicPartition("aio", 0)
    reader.assign([partition])
    expect("the offsets are committed", 5, await reader.committed(partition))
    reader.seek(partition, 0)
    found = []
    while batch := await reader.getmany(timeout_ms=1000):
        found += [record.value.decode() for records in batch.values() for record in records]
    expect("what was aborted is not read", [f"out-{number}" for number in range(20)], found)
    await reader.stop()


asyncio.run(main())
