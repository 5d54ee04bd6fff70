/* What is held, and how often something wakes up, where little or nothing happens. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"

/* Bytes that live on the heap: the second number in the file that the runner's counter writes. */
static int64_t held_bytes(void) {
  int64_t counts[2] = {0, 0};
  const char *path = getenv("BENCH_HEAP");
  FILE *file = path ? fopen(path, "rb") : NULL;
  if (!file || fread(counts, sizeof counts, 1, file) != 1) die("BENCH_HEAP", "names no counts");
  fclose(file);
  return counts[1];
}

static void report_idle(const struct options *o, struct usage from, int64_t before, int64_t count) {
  char figures[128];
  snprintf(figures, sizeof figures, "\"bytes_each\":%.1f,\"wakeups_per_s\":%.1f",
           (double)(held_bytes() - before) / (double)count,
           (double)(usage_now().voluntary - from.voluntary) / (double)o->seconds);
  report(o, from, figures);
  _Exit(0);
}

static struct usage settle(unsigned seconds) {
  sleep(seconds);
  settled();
  return usage_now();
}

void idle_clients(const struct options *o) {
  read_payload(o);
  int64_t before = held_bytes();
  rd_kafka_t **clients = calloc((size_t)o->clients, sizeof *clients);
  if (!clients) die("calloc", "no memory for the clients");
  /* All at once: each takes half a second until it has sent its first record. */
  for (int64_t i = 0; i < o->clients; i++) {
    clients[i] = new_client(RD_KAFKA_PRODUCER, producer_conf(o));
    rd_kafka_topic_t *topic = rd_kafka_topic_new(clients[i], o->topic, NULL);
    rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, i), o->size, NULL, 0, NULL);
  }
  for (int64_t i = 0; i < o->clients; i++) rd_kafka_flush(clients[i], 60000);
  struct usage from = settle(1);
  sleep((unsigned)o->seconds);
  report_idle(o, from, before, o->clients);
}

static void poll_for(rd_kafka_t *rk, const struct options *o, int64_t seconds) {
  for (int64_t end = now_ns() + seconds * 1000000000LL; now_ns() < end;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 1000);
    if (!message) continue;
    touch(message, o);
    rd_kafka_message_destroy(message);
  }
}

void idle_partitions(const struct options *o) {
  int64_t before = held_bytes();
  rd_kafka_t *rk = assigned_consumer(o);
  poll_for(rk, o, 3);
  struct usage from = settle(1);
  poll_for(rk, o, o->seconds);
  report_idle(o, from, before, o->partitions);
}

static int64_t most;

static void *watch(void *unused) {
  (void)unused;
  for (;; usleep(50000)) {
    int64_t held = held_bytes();
    if (held > most) most = held;
  }
  return NULL;
}

static void begin_watching(void) {
  pthread_t watcher;
  if (pthread_create(&watcher, NULL, watch, NULL)) die("pthread_create", "no thread");
}

void stall(const struct options *o) {
  struct options bounded = *o;
  bounded.queued_kib = "16384";
  begin_watching();
  rd_kafka_t *rk = assigned_consumer(&bounded);
  rd_kafka_message_t *message = NULL;
  while (!message) message = rd_kafka_consumer_poll(rk, 1000);
  touch(message, o);
  struct usage from = usage_now();
  sleep((unsigned)o->seconds);
  char figures[64];
  snprintf(figures, sizeof figures, "\"held_mib\":%.2f", (double)most / 1048576.0);
  report(o, from, figures);
  _Exit(0);
}

static void count_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk, (void)opaque;
  if (message->err) failed++;
  else acknowledged++;
}

void overload(const struct options *o) {
  struct options bounded = *o;
  bounded.buffer_kib = "32768";
  rd_kafka_conf_t *conf = producer_conf(&bounded);
  rd_kafka_conf_set_dr_msg_cb(conf, count_delivery);
  rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, o->topic, NULL);
  read_payload(o);
  rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, 0), o->size, NULL, 0, NULL);
  rd_kafka_flush(rk, 60000);
  int64_t before = held_bytes(), offered = 0, refused = 0, began = now_ns();
  begin_watching();
  struct usage from = usage_now();
  for (int64_t since; (since = now_ns() - began) < o->seconds * 1000000000LL; usleep(1000)) {
    for (int64_t due = (int64_t)((double)since / 1e9 * (double)o->rate); offered < due; offered++)
      if (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value_of(o, offered), o->size, NULL, 0, NULL))
        refused++;
    rd_kafka_poll(rk, 0);
  }
  rd_kafka_flush(rk, 60000);
  sleep(3);
  char figures[256];
  int64_t left = held_bytes() - before;
  snprintf(figures, sizeof figures,
           "\"most_mib\":%.2f,\"left_mib\":%.2f,\"accepted_percent\":%.2f,\"expired_percent\":%.2f",
           (double)most / 1048576.0, (double)(left > 0 ? left : 0) / 1048576.0,
           100.0 * (double)(offered - refused) / (double)offered,
           100.0 * (double)failed / (double)offered);
  report(o, from, figures);
  _Exit(0);
}
