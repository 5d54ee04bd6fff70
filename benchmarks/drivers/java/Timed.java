import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Records on a schedule, and records in transactions. */
final class Timed {
    private final Driver driver;
    private final long rate;
    private final byte[][] values;
    private long begins;

    Timed(Driver driver) throws Exception {
        this.driver = driver;
        rate = driver.number("rate", 0);
        values = driver.readPayload();
    }

    void acknowledge() throws Exception {
        try (var producer = driver.producer(Map.of())) {
            sendOnSchedule(producer, driver.warmup);
            Driver.Usage from = Driver.Usage.now();
            long[] late = sendOnSchedule(producer, driver.records);
            driver.report(from, percentiles(late));
        }
    }

    private long[] sendOnSchedule(KafkaProducer<byte[], byte[]> producer, long count) {
        long[] late = new long[(int) count];
        AtomicInteger acknowledged = new AtomicInteger();
        begins = System.nanoTime() + 1_000_000;
        for (long i = 0; i < count; i++) {
            long due = waitFor(i);
            producer.send(record(i), (metadata, error) -> {
                if (error == null) {
                    late[acknowledged.getAndIncrement()] = System.nanoTime() - due;
                }
            });
        }
        producer.flush();
        if (acknowledged.get() != count) {
            throw new IllegalStateException(acknowledged + " of " + count + " were acknowledged");
        }
        return late;
    }

    private ProducerRecord<byte[], byte[]> record(long i) {
        return new ProducerRecord<>(driver.topic, 0, null, values[(int) (i % values.length)]);
    }

    private long due(long i) {
        return rate == 0 ? begins : begins + i * 1_000_000_000L / rate;
    }

    private long waitFor(long i) {
        long due = due(i);
        for (long left; (left = due - System.nanoTime()) > 0;) {
            LockSupport.parkNanos(left);
        }
        return due;
    }

    /** What half, 99 of a hundred, and 999 of a thousand stay below, in microseconds. */
    private static Map<String, Double> percentiles(long[] late) {
        Arrays.sort(late);
        int n = late.length;
        return Map.of("p50_us", late[n / 2] / 1e3, "p99_us", late[(int) (n * 99L / 100)] / 1e3,
            "p999_us", late[(int) (n * 999L / 1000)] / 1e3);
    }

    void transact() throws Exception {
        try (var producer = driver.producer(Map.of("transactional.id", "bench"))) {
            producer.initTransactions();
            commit(producer, driver.warmup);
            Driver.settled();
            Driver.Usage from = Driver.Usage.now();
            commit(producer, driver.records);
            driver.report(from, Map.of());
        }
    }

    private void commit(KafkaProducer<byte[], byte[]> producer, long count) {
        long transaction = driver.number("transaction", 1);
        for (long i = 0; i < count; i++) {
            if (i % transaction == 0) {
                producer.beginTransaction();
            }
            producer.send(record(i));
            if ((i + 1) % transaction == 0 || i + 1 == count) {
                producer.commitTransaction();
            }
        }
    }

    void endToEnd() throws Exception {
        try (var producer = driver.producer(Map.of()); var consumer = driver.consumer(Map.of())) {
            thereAndBack(producer, consumer, driver.warmup);
            Driver.Usage from = Driver.Usage.now();
            long[] late = thereAndBack(producer, consumer, driver.records);
            driver.report(from, rate == 0 ? Map.of() : percentiles(late));
        }
    }

    private long[] thereAndBack(KafkaProducer<byte[], byte[]> producer,
            KafkaConsumer<byte[], byte[]> consumer, long count) throws Exception {
        begins = System.nanoTime() + 1_000_000;
        var read = CompletableFuture.supplyAsync(() -> {
            long[] late = new long[(int) count];
            for (int seen = 0; seen < count;) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    driver.touch(record.value());
                    late[seen] = System.nanoTime() - due(seen++);
                }
            }
            return late;
        });
        for (long i = 0; i < count; i++) {
            if (rate != 0) {
                waitFor(i);
            }
            producer.send(record(i));
        }
        producer.flush();
        return read.get();
    }
}
