/* Records on a schedule, and records in transactions. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver.h"

/* When the first record is due, and how late each was. */
static int64_t begins, *latencies, latency_count;

static int64_t due(const struct options *o, int64_t i) {
  return begins + (o->rate ? i * 1000000000LL / o->rate : 0);
}

static void begin(int64_t n) {
  free(latencies);
  latencies = calloc((size_t)n, sizeof *latencies);
  if (!latencies) die("memory", "is not enough");
  latency_count = 0;
  begins = now_ns() + 1000000;
}

static int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

/* What half, 99 of a hundred, and 999 of a thousand stay below, in microseconds. */
static const char *percentiles(void) {
  static char figures[128];
  qsort(latencies, (size_t)latency_count, sizeof *latencies, ascending);
  int64_t n = latency_count;
  snprintf(figures, sizeof figures, "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f",
           latencies[n / 2] / 1e3, latencies[n * 99 / 100] / 1e3, latencies[n * 999 / 1000] / 1e3);
  return figures;
}

static void on_timed_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk;
  const struct options *o = opaque;
  if (message->err) failed++;
  else latencies[latency_count++] = now_ns() - due(o, (int64_t)(intptr_t)message->_private);
}

static volatile int over;

/* Deliveries have a thread of their own, as in most applications: they are seen when they come. */
static void *serve(void *rk) {
  while (!over) rd_kafka_poll(rk, 100);
  return NULL;
}

static void wait_until(int64_t at) {
  int64_t left = at - now_ns();
  struct timespec pause = {left / 1000000000, left % 1000000000};
  if (left > 0) nanosleep(&pause, NULL);
}

static void send_on_schedule(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct options *o,
                             int64_t n) {
  pthread_t server;
  begin(n);
  over = 0;
  if (pthread_create(&server, NULL, serve, rk)) die("pthread_create", "no thread");
  for (int64_t i = 0; i < n; i++) {
    wait_until(due(o, i));
    if (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, i), o->size, NULL, 0,
                         (void *)(intptr_t)i))
      die("produce", rd_kafka_err2str(rd_kafka_last_error()));
  }
  rd_kafka_flush(rk, 60000);
  over = 1;
  pthread_join(server, NULL);
  if (failed || latency_count != n) die("produce", "records were not acknowledged");
}

void time_acknowledgements(const struct options *o) {
  rd_kafka_conf_t *conf = producer_conf(o);
  rd_kafka_conf_set_dr_msg_cb(conf, on_timed_delivery);
  rd_kafka_conf_set_opaque(conf, (void *)(uintptr_t)o);
  rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, o->topic, NULL);
  read_payload(o);
  send_on_schedule(rk, topic, o, o->warmup);
  struct usage from = usage_now();
  send_on_schedule(rk, topic, o, o->records);
  report(o, from, percentiles());
  _Exit(0);
}

static void check(const char *what, rd_kafka_error_t *error) {
  if (error) die(what, rd_kafka_error_string(error));
}

static void commit_all(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct options *o, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (i % o->transaction == 0) check("begin", rd_kafka_begin_transaction(rk));
    if (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, i), o->size, NULL, 0, NULL))
      die("produce", rd_kafka_err2str(rd_kafka_last_error()));
    if ((i + 1) % o->transaction == 0 || i + 1 == n)
      check("commit", rd_kafka_commit_transaction(rk, 60000));
  }
}

void transact(const struct options *o) {
  rd_kafka_conf_t *conf = producer_conf(o);
  set(conf, "transactional.id", "bench");
  rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, o->topic, NULL);
  read_payload(o);
  check("init", rd_kafka_init_transactions(rk, 60000));
  commit_all(rk, topic, o, o->warmup);
  settled();
  struct usage from = usage_now();
  commit_all(rk, topic, o, o->records);
  report(o, from, "");
  _Exit(0);
}

struct reading {
  rd_kafka_t *consumer;
  const struct options *o;
  int64_t count;
};

static void *read_all(void *opaque) {
  const struct reading *reading = opaque;
  for (int64_t seen = 0; seen < reading->count;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->consumer, 1000);
    if (!message) continue;
    touch(message, reading->o);
    latencies[latency_count++] = now_ns() - due(reading->o, seen++);
    rd_kafka_message_destroy(message);
  }
  return NULL;
}

static void there_and_back(rd_kafka_t *producer, rd_kafka_topic_t *topic, rd_kafka_t *consumer,
                           const struct options *o, int64_t n) {
  struct reading reading = {consumer, o, n};
  pthread_t reader;
  begin(n);
  if (pthread_create(&reader, NULL, read_all, &reading)) die("pthread_create", "no thread");
  for (int64_t i = 0; i < n; i++) {
    if (o->rate) wait_until(due(o, i));
    while (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, i), o->size, NULL, 0, NULL)) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        die("produce", rd_kafka_err2str(rd_kafka_last_error()));
      rd_kafka_poll(producer, 1);
    }
  }
  rd_kafka_flush(producer, 60000);
  pthread_join(reader, NULL);
}

void end_to_end(const struct options *o) {
  rd_kafka_t *producer = new_client(RD_KAFKA_PRODUCER, producer_conf(o));
  rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, o->topic, NULL);
  rd_kafka_t *consumer = assigned_consumer(o);
  read_payload(o);
  there_and_back(producer, topic, consumer, o, o->warmup);
  struct usage from = usage_now();
  there_and_back(producer, topic, consumer, o, o->records);
  report(o, from, o->rate ? percentiles() : "");
  _Exit(0);
}
