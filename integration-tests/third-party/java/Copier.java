import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What the sample program transform does, with Java's clients, in the same group: reads, upper-cases
 * and writes in transactions until SIGTERM. What it cannot abort ends it; whoever started it starts
 * it again.
 *
 * <pre>Copier BOOTSTRAP FROM TO GROUP TRANSACTIONAL_ID BATCH</pre>
 */
public class Copier {
    public static void main(String[] args) {
        String bootstrap = args[0];
        String from = args[1];
        String to = args[2];
        String group = args[3];
        String id = args[4];
        try (var producer = producer(bootstrap, id);
                var consumer = consumer(bootstrap, group, id, args[5])) {
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    main.join();
                } catch (InterruptedException ended) {
                    Thread.currentThread().interrupt();
                }
            }));
            producer.initTransactions();
            consumer.subscribe(List.of(from));
            while (true) {
                var records = consumer.poll(Duration.ofMillis(500));
                if (!records.isEmpty()) {
                    copy(producer, consumer, records, to);
                }
            }
        } catch (WakeupException asked) {
            System.err.println("copier: done");
        }
    }

    static void copy(
            KafkaProducer<String, String> producer,
            KafkaConsumer<String, String> consumer,
            ConsumerRecords<String, String> records,
            String to) {
        try {
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            for (var record : records) {
                String value = record.value().toUpperCase(Locale.ROOT);
                producer.send(new ProducerRecord<>(to, record.key(), value));
                var partition = new TopicPartition(record.topic(), record.partition());
                next.put(partition, new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
            producer.commitTransaction();
        } catch (KafkaException failure) {
            // Throws where aborting is no way out either; then this instance is over.
            producer.abortTransaction();
            System.err.println("not written: " + failure);
            rewind(consumer);
        }
    }

    static void rewind(KafkaConsumer<String, String> consumer) {
        consumer.committed(consumer.assignment()).forEach((partition, offset) -> {
            if (offset != null) {
                consumer.seek(partition, offset);
            } else {
                consumer.seekToBeginning(List.of(partition));
            }
        });
    }

    static KafkaProducer<String, String> producer(String bootstrap, String id) {
        Map<String, Object> settings =
            Map.of("bootstrap.servers", bootstrap, "transactional.id", id);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(
            String bootstrap, String group, String id, String batch) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("group.instance.id", id);
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", batch);
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "1000");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }
}
