import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** What is held, and how often something wakes up, where little or nothing happens. */
final class Watched {
    private final Driver driver;
    private final long seconds;

    Watched(Driver driver) {
        this.driver = driver;
        seconds = driver.number("seconds", 10);
    }

    void idleClients() throws Exception {
        byte[][] values = driver.readPayload();
        long before = heldBytes();
        List<KafkaProducer<byte[], byte[]>> clients = new ArrayList<>();
        // 64 MiB of buffer each are not taken before they are needed.
        for (long i = 0; i < driver.number("clients", 1); i++) {
            var producer = driver.producer(Map.of());
            producer.send(new ProducerRecord<>(driver.topic, 0, null, values[0])).get();
            clients.add(producer);
        }
        double each = (double) (heldBytes() - before) / clients.size();
        Driver.Usage from = settle();
        Thread.sleep(1_000 * seconds);
        reportIdle(from, each);
        System.exit(0);
    }

    void idlePartitions() throws Exception {
        long before = heldBytes();
        var consumer = driver.consumer(Map.of());
        pollFor(consumer, 3);
        double each = (double) (heldBytes() - before) / driver.partitions;
        Driver.Usage from = settle();
        pollFor(consumer, seconds);
        reportIdle(from, each);
        System.exit(0);
    }

    private static void pollFor(KafkaConsumer<byte[], byte[]> consumer, long seconds) {
        long end = System.nanoTime() + 1_000_000_000L * seconds;
        for (long left; (left = end - System.nanoTime()) > 0;) {
            consumer.poll(Duration.ofNanos(left));
        }
    }

    void stall() throws Exception {
        var consumer = driver.consumer(Map.of("fetch.max.bytes", "16777216", "max.poll.records", "1"));
        while (consumer.poll(Duration.ofSeconds(1)).isEmpty()) {
            // The first fetch is on its way.
        }
        Driver.Usage from = Driver.Usage.now();
        long most = 0;
        for (long i = 0; i < 4 * seconds; i++) {
            Thread.sleep(250);
            most = Math.max(most, heldBytes());
        }
        driver.report(from, Map.of("held_mib", most / 1048576.0));
        consumer.close();
        System.exit(0);
    }

    private static Driver.Usage settle() throws Exception {
        Thread.sleep(1_000);
        Driver.settled();
        return Driver.Usage.now();
    }

    private void reportIdle(Driver.Usage from, double each) throws Exception {
        long switches = Driver.Usage.now().voluntary() - from.voluntary();
        driver.report(from,
            Map.of("bytes_each", each, "wakeups_per_s", (double) switches / seconds));
    }

    /** What lives after a collection. */
    private static long heldBytes() {
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        return runtime.totalMemory() - runtime.freeMemory();
    }
}
