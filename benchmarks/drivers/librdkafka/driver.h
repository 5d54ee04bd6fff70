/* What the parts of librdkafka's driver share. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "rdkafka.h"

struct options {
  const char *bootstrap, *topic, *codec, *mode, *payload, *linger_ms, *batch_bytes;
  /* Kibibytes; 64 MiB without. */
  const char *buffer_kib, *queued_kib;
  int partitions, crc, keyed;
  size_t size;
  int64_t records, warmup, rate, transaction, clients, seconds;
};

/* What a process has used so far. */
struct usage {
  int64_t wall_ns, user_ns, sys_ns, rss_kib, voluntary, involuntary;
};

/* driver.c */
extern int64_t acknowledged, failed;
void die(const char *what, const char *why);
int64_t now_ns(void);
struct usage usage_now(void);
/* `figures` are members of a JSON object, or empty. */
void report(const struct options *o, struct usage from, const char *figures);
/* Says that all is set up: what the broker counts from here on is what is measured. */
void settled(void);
void set(rd_kafka_conf_t *conf, const char *name, const char *value);
rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf);
void read_payload(const struct options *o);
char *value_of(const struct options *o, int64_t i);
rd_kafka_conf_t *producer_conf(const struct options *o);
rd_kafka_t *assigned_consumer(const struct options *o);
void touch(const rd_kafka_message_t *message, const struct options *o);

/* timed.c */
void time_acknowledgements(const struct options *o);
void transact(const struct options *o);
void end_to_end(const struct options *o);

/* watched.c */
void idle_clients(const struct options *o);
void idle_partitions(const struct options *o);
void stall(const struct options *o);
void overload(const struct options *o);

#endif
