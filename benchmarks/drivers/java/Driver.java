import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's Java client under the command line that all drivers share (../README.md). */
public final class Driver {
    final Map<String, String> options;
    final String topic;
    final int partitions;
    final int size;
    final long records;
    final long warmup;

    private Driver(Map<String, String> options) {
        this.options = options;
        topic = options.getOrDefault("topic", "bench");
        partitions = Integer.parseInt(options.getOrDefault("partitions", "1"));
        size = Integer.parseInt(options.getOrDefault("size", "100"));
        records = Long.parseLong(options.get("records"));
        warmup = Long.parseLong(options.getOrDefault("warmup", "0"));
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i < args.length; i++) {
            String name = args[i].substring(2);
            options.put(name, name.equals("keyed") ? "true" : args[++i]);
        }
        Driver driver = new Driver(options);
        switch (args[0] + " " + options.get("mode")) {
            case "produce callback" -> driver.produce();
            case "consume poll" -> driver.consume();
            case "latency callback" -> new Timed(driver).acknowledge();
            case "transaction callback" -> new Timed(driver).transact();
            case "end-to-end poll" -> new Timed(driver).endToEnd();
            case "idle-clients poll" -> new Watched(driver).idleClients();
            case "idle-partitions poll" -> new Watched(driver).idlePartitions();
            case "stall poll" -> new Watched(driver).stall();
            default -> throw new IllegalArgumentException(
                args[0] + " with --mode " + options.get("mode") + " is not known");
        }
    }

    private void produce() throws Exception {
        byte[][] values = readPayload();
        try (var producer = producer(Map.of())) {
            send(producer, values, warmup);
            Usage from = Usage.now();
            send(producer, values, records);
            report(from, Map.of());
        }
    }

    KafkaProducer<byte[], byte[]> producer(Map<String, String> more) {
        Properties properties = properties();
        properties.put("acks", "all");
        properties.put("enable.idempotence", "true");
        properties.put("linger.ms", options.getOrDefault("linger-ms", "5"));
        properties.put("batch.size", options.getOrDefault("batch-bytes", "262144"));
        properties.put("buffer.memory", "67108864");
        properties.put("max.in.flight.requests.per.connection", "5");
        properties.put("compression.type", options.getOrDefault("codec", "none"));
        properties.putAll(more);
        var serializer = new ByteArraySerializer();
        return new KafkaProducer<>(properties, serializer, serializer);
    }

    private void send(KafkaProducer<byte[], byte[]> producer, byte[][] values, long count) {
        AtomicLong failed = new AtomicLong();
        boolean keyed = options.containsKey("keyed");
        for (long i = 0; i < count; i++) {
            byte[] value = values[(int) (i % values.length)];
            int partition = (int) (i % partitions);
            ProducerRecord<byte[], byte[]> record;
            if (keyed) {
                byte[] key = String.format("key-%012d", i % 1_000_000).getBytes(StandardCharsets.UTF_8);
                record = new ProducerRecord<>(topic, partition, key, value, headers());
            } else {
                record = new ProducerRecord<>(topic, partition, null, value);
            }
            producer.send(record, (metadata, error) -> {
                if (error != null) {
                    failed.incrementAndGet();
                }
            });
        }
        producer.flush();
        if (failed.get() != 0) {
            throw new IllegalStateException(failed + " records were not acknowledged");
        }
    }

    private static List<Header> headers() {
        return List.of(
            new RecordHeader("trace", "0123456789abcdef".getBytes(StandardCharsets.UTF_8)),
            new RecordHeader("source", "bench".getBytes(StandardCharsets.UTF_8)));
    }

    private void consume() throws Exception {
        try (var consumer = consumer(Map.of())) {
            receive(consumer, warmup);
            Usage from = Usage.now();
            receive(consumer, records);
            report(from, Map.of());
        }
    }

    /** Assigned every partition, from its beginning. */
    KafkaConsumer<byte[], byte[]> consumer(Map<String, String> more) {
        Properties properties = properties();
        properties.put("enable.auto.commit", "false");
        properties.put("max.partition.fetch.bytes", "1048576");
        properties.putAll(more);
        var deserializer = new ByteArrayDeserializer();
        var consumer = new KafkaConsumer<>(properties, deserializer, deserializer);
        List<TopicPartition> assigned = new ArrayList<>();
        for (int partition = 0; partition < partitions; partition++) {
            assigned.add(new TopicPartition(topic, partition));
        }
        consumer.assign(assigned);
        consumer.seekToBeginning(assigned);
        return consumer;
    }

    private static long touched;

    private void receive(KafkaConsumer<byte[], byte[]> consumer, long count) {
        long seen = 0;
        while (seen < count) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                touch(record.value());
                seen++;
            }
        }
    }

    void touch(byte[] value) {
        if (value.length != size) {
            throw new IllegalStateException("a value of " + value.length + " bytes");
        }
        touched += value[0] + value[size - 1];
    }

    long number(String name, long otherwise) {
        return Long.parseLong(options.getOrDefault(name, Long.toString(otherwise)));
    }

    /** Says that all is set up: what the broker counts from here on is what is measured. */
    static void settled() {
        System.out.println("settled");
        System.out.flush();
    }

    private Properties properties() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", options.get("bootstrap"));
        return properties;
    }

    byte[][] readPayload() throws IOException {
        byte[] bytes = Files.readAllBytes(Path.of(options.get("payload")));
        byte[][] values = new byte[bytes.length / size][];
        for (int i = 0; i < values.length; i++) {
            values[i] = Arrays.copyOfRange(bytes, i * size, (i + 1) * size);
        }
        return values;
    }

    void report(Usage from, Map<String, Double> figures) throws IOException {
        Usage to = Usage.now();
        long cpu = to.cpuNanos - from.cpuNanos;
        long user = to.userTicks - from.userTicks;
        long system = to.systemTicks - from.systemTicks;
        // The split is known in hundredths of a second, the sum in nanoseconds.
        long systemNanos = user + system == 0 ? 0 : cpu * system / (user + system);
        String listed = figures.entrySet().stream()
            .map(figure -> String.format(Locale.ROOT, "\"%s\":%.3f", figure.getKey(), figure.getValue()))
            .collect(Collectors.joining(","));
        System.out.printf(Locale.ROOT,
            "{\"client\":\"java\",\"version\":\"%s\",\"records\":%d,\"seconds\":%.6f,\"user_ns\":%d,"
                + "\"sys_ns\":%d,\"rss_kib\":%d,\"voluntary_switches\":%d,\"involuntary_switches\":%d,"
                + "\"figures\":{%s}}%n",
            version(), records, (to.wallNanos - from.wallNanos) / 1e9,
            cpu - systemNanos, systemNanos, to.rssKib,
            to.voluntary - from.voluntary, to.involuntary - from.involuntary, listed);
        System.out.flush();
    }

    /** Of the jar that is measured. */
    private static String version() throws IOException {
        Properties of = new Properties();
        try (var stream = KafkaProducer.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            of.load(stream);
        }
        return of.getProperty("version");
    }

    /** What the process has used so far, collecting garbage and compiling included. */
    record Usage(long wallNanos, long cpuNanos, long userTicks, long systemTicks, long rssKib,
            long voluntary, long involuntary) {
        static Usage now() throws IOException {
            var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return new Usage(System.nanoTime(), system.getProcessCpuTime(),
                Long.parseLong(fields[11]), Long.parseLong(fields[12]),
                status(Path.of("/proc/self/status"), "VmHWM:"),
                ofThreads("voluntary_ctxt_switches:"), ofThreads("nonvoluntary_ctxt_switches:"));
        }

        /** Of the threads that still live: Linux does not sum this up for a process. */
        private static long ofThreads(String name) throws IOException {
            try (Stream<Path> threads = Files.list(Path.of("/proc/self/task"))) {
                long sum = 0;
                for (Path thread : threads.toList()) {
                    try {
                        sum += status(thread.resolve("status"), name);
                    } catch (IOException ended) {
                        // It lived when the folder was listed: a compiler's, for one.
                    }
                }
                return sum;
            }
        }

        private static long status(Path file, String name) throws IOException {
            for (String line : Files.readAllLines(file)) {
                if (line.startsWith(name)) {
                    return Long.parseLong(line.substring(name.length()).replace("kB", "").trim());
                }
            }
            return 0;
        }
    }
}
