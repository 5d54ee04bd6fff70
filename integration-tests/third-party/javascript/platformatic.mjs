// @platformatic/kafka: new versions of most APIs, fetch sessions.
//
//   platformatic.mjs BOOTSTRAP BROKERS

import { expect, expectIncludes } from './expect.mjs'
import {
  Admin, CompressionAlgorithms, ConfigResourceTypes, Consumer, FetchIsolationLevels, ListOffsetTimestamps,
  MessagesStreamFallbackModes, MessagesStreamModes, ProduceAcks, Producer, stringDeserializers, stringSerializers
} from '@platformatic/kafka'

const [bootstrap, brokers] = process.argv.slice(2)
const name = 'platformatic'
const client = { clientId: 'platformatic', bootstrapBrokers: bootstrap.split(','), retries: 5, retryDelay: 100 }

const admin = new Admin(client)
const cluster = await admin.metadata({ topics: [] })
expect(name, 'every broker is listed', Number(brokers), cluster.brokers.size)

// Topics and their settings.
const replicas = Math.min(Number(brokers), 3)
const [created] = await admin.createTopics({
  topics: ['plt'], partitions: 1, replicas, configs: [{ name: 'max.message.bytes', value: '20000' }]
})
expect(name, 'a topic is as it was asked for', [1, replicas, '20000'],
  [created.partitions, created.replicas, created.configuration['max.message.bytes']])
const again = await admin.createTopics({ topics: ['plt'], partitions: 1, replicas }).then(() => 'twice', () => 'once')
expect(name, 'it is created once', 'once', again)
const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: 'plt' }
await admin.incrementalAlterConfigs({
  resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation: 0, value: '-1' }] }]
})
const [described] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] })
expect(name, 'a setting is as it was changed', ['-1'], described.configs.map(config => config.value))

// Records in every codec that needs nothing else installed, their times, and what is too large.
const producer = new Producer({ ...client, serializers: stringSerializers })
const codecs = [CompressionAlgorithms.NONE, CompressionAlgorithms.GZIP, CompressionAlgorithms.SNAPPY, CompressionAlgorithms.LZ4]
const message = i => ({
  topic: 'plt', key: `k${i % 10}`, value: `v${i}`, timestamp: BigInt(1000000 + i), headers: new Map([['h', `${i}`]])
})
const messages = Array.from({ length: 200 }, (_, i) => message(i))
const ends = []
for (const [part, compression] of codecs.entries()) {
  const sent = await producer.send({ messages: messages.slice(part * 50, part * 50 + 50), compression, idempotent: true, acks: ProduceAcks.ALL })
  ends.push(sent.offsets[0].offset)
}
expect(name, 'batches follow one another', [0n, 50n, 100n, 150n], ends)
const causes = error => [error, ...(error.errors ?? []).flatMap(causes)]
const refused = await producer
  .send({ messages: [{ topic: 'plt', value: 'x'.repeat(30000) }], acks: ProduceAcks.ALL })
  .then(() => 'nothing', error => causes(error).map(cause => cause.apiId).find(Boolean))
expect(name, 'a record too large is refused', 'MESSAGE_TOO_LARGE', refused)
await producer.close()

const listed = async timestamp => {
  const topics = await admin.listOffsets({ topics: [{ name: 'plt', partitions: [{ partitionIndex: 0, timestamp }] }] })
  return topics[0].partitions[0].offset
}
expect(name, 'the ends of a partition, and a time', [0n, 200n, 150n],
  [await listed(ListOffsetTimestamps.EARLIEST), await listed(ListOffsetTimestamps.LATEST), await listed(1000150n)])

// A group, which goes on where it stopped.
const read = async (groupId, topic, count, options = {}) => {
  const consumer = new Consumer({ ...client, groupId, deserializers: stringDeserializers, sessionTimeout: 10000, heartbeatInterval: 1000 })
  const stream = await consumer.consume({
    topics: [topic], autocommit: false, maxWaitTime: 200,
    mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST, ...options
  })
  const found = []
  if (count > 0) {
    for await (const message of stream) {
      found.push(message)
      if (found.length === count) break
    }
  }
  if (found.length > 0) await found.at(-1).commit()
  await consumer.close(true)
  return found
}
const found = await read('plt-group', 'plt', 200)
const plain = ({ key, value, timestamp, headers }) => [key, value, timestamp, headers.get('h')]
expect(name, 'records come back as they went', messages.map(plain), found.map(plain))
const offset = async of => {
  const [group] = await admin.listConsumerGroupOffsets({ groups: [of] })
  return group.topics.find(topic => topic.name === 'plt').partitions[0].committedOffset
}
expect(name, 'what a group read is committed', 200n, await offset('plt-group'))
expectIncludes(name, 'the group is listed', 'plt-group', (await admin.listGroups()).keys())
const groups = await admin.describeGroups({ groups: ['plt-group'] })
expect(name, 'without members', ['EMPTY', 0], [groups.get('plt-group').state.toUpperCase(), groups.get('plt-group').members.size])
await admin.alterConsumerGroupOffsets({
  groupId: 'plt-group', topics: [{ name: 'plt', partitionOffsets: [{ partition: 0, offset: 190n }] }]
})
const rest = await read('plt-group', 'plt', 10)
expect(name, 'it goes on where it is told to', ['v190', 'v199'], [rest[0].value, rest[9].value])

// Transactions.
const worker = new Producer({ ...client, serializers: stringSerializers, transactionalId: 'plt-worker', idempotent: true })
await admin.createTopics({ topics: ['plt-out'], partitions: 1, replicas })
for (const [ends, values] of [['abort', ['never-0', 'never-1']], ['commit', ['out-0', 'out-1', 'out-2']]]) {
  const transaction = await worker.beginTransaction()
  await transaction.send({ messages: values.map(value => ({ topic: 'plt-out', value })) })
  await transaction[ends]()
}
const taker = new Consumer({ ...client, groupId: 'plt-taker', deserializers: stringDeserializers, sessionTimeout: 10000, heartbeatInterval: 1000 })
const stream = await taker.consume({ topics: ['plt'], autocommit: false, maxWaitTime: 200, mode: MessagesStreamModes.EARLIEST })
for await (const message of stream) {
  if (message.offset < 4n) continue
  const transaction = await worker.beginTransaction()
  await transaction.addConsumer(taker)
  await transaction.addOffset(message)
  await transaction.commit()
  break
}
await taker.close(true)
await worker.close()
expect(name, 'offsets are committed with a transaction', 5n, await offset('plt-taker'))
const values = all => all.map(({ value }) => value)
const committed = { isolationLevel: FetchIsolationLevels.READ_COMMITTED }
expect(name, 'what was aborted is not read', ['out-0', 'out-1', 'out-2'], values(await read('plt-committed', 'plt-out', 3, committed)))
const all = await read('plt-all', 'plt-out', 5, { isolationLevel: FetchIsolationLevels.READ_UNCOMMITTED })
expect(name, 'but by who asks for all', ['never-0', 'never-1', 'out-0', 'out-1', 'out-2'], values(all))

// What grows and goes.
await admin.createPartitions({ topics: [{ name: 'plt', count: 3, assignments: null }] })
expect(name, 'a topic grows', 3, (await admin.metadata({ topics: ['plt'], forceUpdate: true })).topics.get('plt').partitionsCount)
await admin.deleteRecords({ topics: [{ name: 'plt', partitions: [{ partition: 0, offset: 120n }] }] })
expect(name, 'records go', 120n, await listed(ListOffsetTimestamps.EARLIEST))
await admin.deleteGroups({ groups: ['plt-group'] })
expect(name, 'a group goes', false, (await admin.listGroups()).has('plt-group'))
await admin.deleteTopics({ topics: ['plt', 'plt-out'] })
expect(name, 'topics go', [], (await admin.listTopics()).filter(topic => topic.startsWith('plt')))
await admin.close()
