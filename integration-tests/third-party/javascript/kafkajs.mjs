// kafkajs: old versions of most APIs, transaction protocol 1.
//
//   kafkajs.mjs BOOTSTRAP BROKERS

import { expect, expectIncludes } from './expect.mjs'
import kafkajs from 'kafkajs'

const { Kafka, CompressionTypes, ConfigResourceTypes, Partitioners, logLevel } = kafkajs
const [bootstrap, brokers] = process.argv.slice(2)
const name = 'kafkajs'
const kafka = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
const createPartitioner = Partitioners.DefaultPartitioner

const admin = kafka.admin()
await admin.connect()
expect(name, 'every broker is listed', Number(brokers), (await admin.describeCluster()).brokers.length)

// Topics and their settings.
const configEntries = [{ name: 'max.message.bytes', value: '20000' }]
await admin.createTopics({ topics: [{ topic: 'kjs', numPartitions: 1, replicationFactor: 1, configEntries }] })
expect(name, 'a topic is created once', false, await admin.createTopics({ topics: [{ topic: 'kjs' }] }))
const resource = { type: ConfigResourceTypes.TOPIC, name: 'kjs' }
const setting = async wanted => {
  const { resources } = await admin.describeConfigs({ resources: [{ ...resource, configNames: [wanted] }] })
  return resources[0].configEntries[0].configValue
}
expect(name, 'a setting is as it was given', '20000', await setting('max.message.bytes'))
configEntries.push({ name: 'retention.ms', value: '-1' })
await admin.alterConfigs({ resources: [{ ...resource, configEntries }] })
expect(name, 'and as it was changed', '-1', await setting('retention.ms'))

// Records, their times, and what is too large.
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner })
await producer.connect()
const message = i => ({ key: `k${i % 10}`, value: `v${i}`, timestamp: String(1000000 + i), headers: { h: `${i}` } })
const messages = Array.from({ length: 200 }, (_, i) => message(i))
const acks = -1
for (const [compression, half] of [[CompressionTypes.None, messages.slice(0, 100)], [CompressionTypes.GZIP, messages.slice(100)]]) {
  await producer.send({ topic: 'kjs', acks, compression, messages: half })
}
const [ends] = await admin.fetchTopicOffsets('kjs')
expect(name, 'the ends of a partition', ['0', '200'], [ends.low, ends.high])
const [at] = await admin.fetchTopicOffsetsByTimestamp('kjs', 1000150)
expect(name, 'the first record of a time', '150', at.offset)
const refused = await producer
  .send({ topic: 'kjs', messages: [{ value: 'x'.repeat(30000) }] })
  .then(() => 'nothing', error => error.type)
expect(name, 'a record too large is refused', 'MESSAGE_TOO_LARGE', refused)
await producer.disconnect()

// A group, which goes on where it stopped.
const read = async (groupId, topic, count, options = {}) => {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, maxWaitTimeInMs: 200, ...options })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const found = []
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error))
    consumer.run({ eachMessage: async ({ message }) => {
      found.push(message)
      if (found.length === count) resolve()
    } }).catch(reject)
  })
  await consumer.disconnect()
  return found
}
const found = await read('kjs-group', 'kjs', 200)
const plain = ({ key, value, timestamp, headers }) => [`${key}`, `${value}`, timestamp, `${headers.h}`]
expect(name, 'records come back as they went', messages.map(plain), found.map(plain))
const offset = async groupId => (await admin.fetchOffsets({ groupId, topics: ['kjs'] }))[0].partitions[0].offset
expect(name, 'what a group read is committed', '200', await offset('kjs-group'))
expectIncludes(name, 'the group is listed', 'kjs-group', (await admin.listGroups()).groups.map(group => group.groupId))
expect(name, 'without members', 'Empty', (await admin.describeGroups(['kjs-group'])).groups[0].state)
await admin.setOffsets({ groupId: 'kjs-group', topic: 'kjs', partitions: [{ partition: 0, offset: '190' }] })
expect(name, 'it goes on where it is told to', ['v190', 'v199'], (all => [`${all[0].value}`, `${all[9].value}`])(await read('kjs-group', 'kjs', 10)))

// Transactions.
const worker = kafka.producer({ transactionalId: 'kjs-worker', idempotent: true, maxInFlightRequests: 1, createPartitioner })
await worker.connect()
await admin.createTopics({ topics: [{ topic: 'kjs-out', numPartitions: 1 }] })
const work = async (values, offset) => {
  const transaction = await worker.transaction()
  await transaction.send({ topic: 'kjs-out', messages: values.map(value => ({ value })) })
  const topics = [{ topic: 'kjs', partitions: [{ partition: 0, offset }] }]
  await transaction.sendOffsets({ consumerGroupId: 'kjs-group', topics })
  return transaction
}
await (await work(['never-0', 'never-1'], '7')).abort()
expect(name, 'the offsets of an aborted transaction are not committed', '200', await offset('kjs-group'))
await (await work(['out-0', 'out-1', 'out-2'], '150')).commit()
expect(name, 'those of a committed one are', '150', await offset('kjs-group'))
const values = all => all.map(({ value }) => `${value}`)
expect(name, 'what was aborted is not read', ['out-0', 'out-1', 'out-2'], values(await read('kjs-committed', 'kjs-out', 3)))
const all = await read('kjs-all', 'kjs-out', 5, { readUncommitted: true })
expect(name, 'but by who asks for all', ['never-0', 'never-1', 'out-0', 'out-1', 'out-2'], values(all))
await worker.disconnect()

// What grows and goes.
await admin.createPartitions({ topicPartitions: [{ topic: 'kjs', count: 3 }] })
expect(name, 'a topic grows', 3, (await admin.fetchTopicMetadata({ topics: ['kjs'] })).topics[0].partitions.length)
await admin.deleteTopicRecords({ topic: 'kjs', partitions: [{ partition: 0, offset: '120' }] })
expect(name, 'records go', '120', (await admin.fetchTopicOffsets('kjs')).find(row => row.partition === 0).low)
await admin.deleteGroups(['kjs-group'])
expect(name, 'a group goes', 'Dead', (await admin.describeGroups(['kjs-group'])).groups[0].state)
await admin.deleteTopics({ topics: ['kjs', 'kjs-out'] })
const left = (await admin.listTopics()).filter(topic => topic.startsWith('kjs'))
expect(name, 'topics go', [], left)
await admin.disconnect()
