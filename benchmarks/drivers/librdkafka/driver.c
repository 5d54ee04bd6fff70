/* librdkafka's C API under the command line that all drivers share (../README.md). */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "driver.h"

static char *payload;
static size_t values;
int64_t acknowledged, failed;
static volatile unsigned touched;

void die(const char *what, const char *why) {
  fprintf(stderr, "librdkafka driver: %s: %s\n", what, why);
  exit(1);
}

static int64_t nanoseconds(struct timeval time) {
  return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct usage usage_now(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (struct usage){now_ns(),      nanoseconds(used.ru_utime), nanoseconds(used.ru_stime),
                        used.ru_maxrss, used.ru_nvcsw,              used.ru_nivcsw};
}

void report(const struct options *o, struct usage from, const char *figures) {
  struct usage to = usage_now();
  printf("{\"client\":\"librdkafka\",\"version\":\"%s\",\"records\":%lld,\"seconds\":%.6f,"
         "\"user_ns\":%lld,\"sys_ns\":%lld,\"rss_kib\":%lld,\"voluntary_switches\":%lld,"
         "\"involuntary_switches\":%lld,\"figures\":{%s}}\n",
         rd_kafka_version_str(), (long long)o->records, (to.wall_ns - from.wall_ns) / 1e9,
         (long long)(to.user_ns - from.user_ns), (long long)(to.sys_ns - from.sys_ns),
         (long long)to.rss_kib, (long long)(to.voluntary - from.voluntary),
         (long long)(to.involuntary - from.involuntary), figures);
  fflush(stdout);
}

void settled(void) {
  puts("settled");
  fflush(stdout);
}

void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char why[512];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) die(name, why);
}

rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char why[512];
  rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
  if (!rk) die("rd_kafka_new", why);
  return rk;
}

/* Record values from the file that all drivers share, one behind the other. */
void read_payload(const struct options *o) {
  FILE *file = fopen(o->payload, "rb");
  if (!file) die(o->payload, strerror(errno));
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  values = (size_t)length / o->size;
  payload = malloc((size_t)length);
  if (!values || !payload || fread(payload, 1, (size_t)length, file) != (size_t)length)
    die(o->payload, "is not a whole number of values");
  fclose(file);
}

char *value_of(const struct options *o, int64_t i) {
  return payload + (size_t)i % values * o->size;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk, (void)opaque;
  if (message->err) failed++;
  else acknowledged++;
}

static void send_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct options *o, int64_t i) {
  char *value = value_of(o, i);
  int32_t partition = (int32_t)(i % o->partitions);
  for (;;) {
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (o->keyed) {
      char key[17];
      snprintf(key, sizeof key, "key-%012lld", (long long)(i % 1000000));
      error = rd_kafka_producev(
          rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, 16),
          RD_KAFKA_V_VALUE(value, o->size), RD_KAFKA_V_HEADER("trace", "0123456789abcdef", 16),
          RD_KAFKA_V_HEADER("source", "bench", 5), RD_KAFKA_V_END);
    } else if (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, o->size, NULL, 0, NULL)) {
      error = rd_kafka_last_error();
    }
    if (!error) return;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce", rd_kafka_err2str(error));
    rd_kafka_poll(rk, 1);
  }
}

static void send_many(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct options *o, int64_t n) {
  acknowledged = 0;
  for (int64_t i = 0; i < n; i++) {
    send_one(rk, topic, o, i);
    if (i % 256 == 0) rd_kafka_poll(rk, 0);
  }
  while (acknowledged + failed < n) rd_kafka_poll(rk, 10);
  if (failed) die("produce", "records were not acknowledged");
}

rd_kafka_conf_t *producer_conf(const struct options *o) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", o->bootstrap);
  set(conf, "acks", "all");
  set(conf, "enable.idempotence", "true");
  set(conf, "linger.ms", o->linger_ms);
  set(conf, "batch.size", o->batch_bytes);
  set(conf, "batch.num.messages", "1000000");
  set(conf, "queue.buffering.max.messages", "500000");
  set(conf, "queue.buffering.max.kbytes", o->buffer_kib ? o->buffer_kib : "65536");
  set(conf, "max.in.flight.requests.per.connection", "5");
  set(conf, "compression.codec", o->codec);
  return conf;
}

static void produce(const struct options *o) {
  rd_kafka_conf_t *conf = producer_conf(o);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, o->topic, NULL);
  read_payload(o);
  send_many(rk, topic, o, o->warmup);
  struct usage from = usage_now();
  send_many(rk, topic, o, o->records);
  report(o, from, "");
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(rk);
}

void touch(const rd_kafka_message_t *message, const struct options *o) {
  if (message->err) die("consume", rd_kafka_message_errstr(message));
  if (message->len != o->size) die("consume", "a value of another size");
  const unsigned char *value = message->payload;
  touched += value[0] + value[message->len - 1];
}

static void receive_by_poll(rd_kafka_t *rk, const struct options *o, int64_t n) {
  for (int64_t seen = 0; seen < n;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 1000);
    if (!message) continue;
    touch(message, o);
    rd_kafka_message_destroy(message);
    seen++;
  }
}

static void receive_by_batch(rd_kafka_queue_t *queue, const struct options *o, int64_t n) {
  static rd_kafka_message_t *messages[10000];
  for (int64_t seen = 0; seen < n;) {
    size_t most = n - seen < 10000 ? (size_t)(n - seen) : 10000;
    ssize_t came = rd_kafka_consume_batch_queue(queue, 1000, messages, most);
    for (ssize_t i = 0; i < came; i++) {
      touch(messages[i], o);
      rd_kafka_message_destroy(messages[i]);
    }
    seen += came > 0 ? came : 0;
  }
}

rd_kafka_t *assigned_consumer(const struct options *o) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", o->bootstrap);
  set(conf, "group.id", "bench");
  set(conf, "enable.auto.commit", "false");
  set(conf, "enable.auto.offset.store", "false");
  set(conf, "fetch.message.max.bytes", "1048576");
  set(conf, "fetch.queue.backoff.ms", "1");
  set(conf, "queued.max.messages.kbytes", o->queued_kib ? o->queued_kib : "65536");
  set(conf, "check.crcs", o->crc ? "true" : "false");
  rd_kafka_t *rk = new_client(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(rk);
  rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new(o->partitions);
  for (int32_t p = 0; p < o->partitions; p++)
    rd_kafka_topic_partition_list_add(assigned, o->topic, p)->offset = 0;
  rd_kafka_resp_err_t error = rd_kafka_assign(rk, assigned);
  if (error) die("assign", rd_kafka_err2str(error));
  return rk;
}

static void consume(const struct options *o) {
  rd_kafka_t *rk = assigned_consumer(o);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
  int by_batch = !strcmp(o->mode, "batch");
  if (by_batch) receive_by_batch(queue, o, o->warmup);
  else receive_by_poll(rk, o, o->warmup);
  struct usage from = usage_now();
  if (by_batch) receive_by_batch(queue, o, o->records);
  else receive_by_poll(rk, o, o->records);
  report(o, from, "");
  /* Nothing is left behind, and closing drains queues for seconds. */
  _Exit(0);
}

static struct options parse(int argc, char **argv) {
  struct options o = {.codec = "none", .linger_ms = "5", .batch_bytes = "262144", .partitions = 1,
                      .topic = "bench", .size = 100, .mode = "", .transaction = 1, .clients = 1,
                      .seconds = 10};
  static const struct option known[] = {
      {"bootstrap", 1, 0, 'b'}, {"topic", 1, 0, 't'},     {"partitions", 1, 0, 'p'},
      {"records", 1, 0, 'n'},   {"warmup", 1, 0, 'w'},    {"size", 1, 0, 's'},
      {"codec", 1, 0, 'c'},     {"mode", 1, 0, 'm'},      {"payload", 1, 0, 'f'},
      {"linger-ms", 1, 0, 'l'}, {"batch-bytes", 1, 0, 'B'}, {"keyed", 0, 0, 'k'},
      {"rate", 1, 0, 'r'},      {"transaction", 1, 0, 'x'}, {"clients", 1, 0, 'C'},
      {"seconds", 1, 0, 'S'},
      {0, 0, 0, 0}};
  if (argc < 2) die("usage", "driver OPERATION --bootstrap HOST:PORT …");
  optind = 2;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
      case 'b': o.bootstrap = optarg; break;
      case 't': o.topic = optarg; break;
      case 'p': o.partitions = atoi(optarg); break;
      case 'n': o.records = atoll(optarg); break;
      case 'w': o.warmup = atoll(optarg); break;
      case 's': o.size = (size_t)atoll(optarg); break;
      case 'c': o.codec = optarg; break;
      case 'm': o.mode = optarg; break;
      case 'f': o.payload = optarg; break;
      case 'l': o.linger_ms = optarg; break;
      case 'B': o.batch_bytes = optarg; break;
      case 'k': o.keyed = 1; break;
      case 'r': o.rate = atoll(optarg); break;
      case 'x': o.transaction = atoll(optarg); break;
      case 'C': o.clients = atoll(optarg); break;
      case 'S': o.seconds = atoll(optarg); break;
      default: exit(2);
    }
  if (!o.bootstrap || !o.records || o.partitions < 1 || !o.size) die("usage", "--bootstrap and --records");
  static const char *modes[] = {"callback", "batch", "poll", "batch-crc"};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (!strcmp(o.mode, modes[i])) {
      if (!strcmp(o.mode, "batch-crc")) o.mode = "batch", o.crc = 1;
      return o;
    }
  die("--mode", "is callback to produce, or batch, batch-crc or poll to consume");
  return o;
}

int main(int argc, char **argv) {
  struct options o = parse(argc, argv);
  static const struct {
    const char *name;
    void (*run)(const struct options *);
  } operations[] = {
      {"produce", produce},           {"consume", consume},
      {"latency", time_acknowledgements}, {"transaction", transact},
      {"end-to-end", end_to_end},     {"idle-clients", idle_clients},
      {"idle-partitions", idle_partitions}, {"stall", stall},
      {"overload", overload}};
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    if (!strcmp(argv[1], operations[i].name)) {
      operations[i].run(&o);
      return 0;
    }
  die(argv[1], "is not known");
  return 1;
}
