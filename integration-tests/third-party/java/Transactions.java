import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Java's clients: the newest transaction protocol that the broker has, and the tools around it. */
public class Transactions {
    static final TopicPartition IN = new TopicPartition("java-in", 0);
    static final TopicPartition OUT = new TopicPartition("java-out", 0);
    static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(topic("java-in"), topic("java-out"))).all().get();
            Object version = admin.describeFeatures().featureMetadata().get()
                .finalizedFeatures().get("transaction.version");
            System.out.println("java: transaction.version is " + version);
            consumeAndProduce();
            describe(admin);
            fence();
            end(admin);
        }
    }

    static NewTopic topic(String name) {
        return new NewTopic(name, 1, (short) -1);
    }

    static void consumeAndProduce() throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (var source =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < 100; number++) {
                source.send(new ProducerRecord<>("java-in", "in-" + number));
            }
        }
        try (var producer = producer("java");
                var consumer = consumer("java-group", "read_committed")) {
            consumer.subscribe(List.of("java-in"));
            int taken = 0;
            for (int round = 0; taken < 100; round++) {
                producer.beginTransaction();
                var batch = consumer.poll(Duration.ofSeconds(10));
                for (var record : batch) {
                    String value = record.value().replace("in", "out");
                    producer.send(new ProducerRecord<>("java-out", value));
                }
                taken += batch.count();
                producer.sendOffsetsToTransaction(
                    Map.of(IN, new OffsetAndMetadata(taken)), consumer.groupMetadata());
                producer.commitTransaction();
            }
            expect("the offsets are committed", 100L, committed(consumer));

            for (int number = 0; number < 5; number++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("java-out", "never-" + number)).get();
                producer.sendOffsetsToTransaction(
                    Map.of(IN, new OffsetAndMetadata(7)), consumer.groupMetadata());
                producer.abortTransaction();
            }
            expect("those of aborted ones are not", 100L, committed(consumer));

            producer.beginTransaction();
            producer.abortTransaction();
            producer.beginTransaction();
            producer.commitTransaction();
            System.out.println("ok: java: a transaction may be empty");
        }
        var expected = IntStream.range(0, 100).mapToObj(number -> "out-" + number).toList();
        expect("what was aborted is not read", expected, values("read_committed"));
        expect("but by who asks for all", 105, values("read_uncommitted").size());
    }

    static long committed(KafkaConsumer<String, String> consumer) {
        return consumer.committed(Set.of(IN)).get(IN).offset();
    }

    static void describe(Admin admin) throws Exception {
        try (var producer = producer("java-open")) {
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("java-out", "open")).get();
            var described =
                admin.describeTransactions(List.of("java-open")).description("java-open").get();
            expect("an open transaction is described", TransactionState.ONGOING, described.state());
            expect("with its partitions", Set.of(OUT), described.topicPartitions());
            var open = List.of(TransactionState.ONGOING);
            var options = new ListTransactionsOptions().filterStates(open);
            var listed = admin.listTransactions(options).all().get();
            var ids = listed.stream().map(listing -> listing.transactionalId()).toList();
            expect("and listed", List.of("java-open"), ids);
            options = new ListTransactionsOptions().filterOnTransactionalIdPattern("java-o.*");
            expect("and found by a pattern", 1, admin.listTransactions(options).all().get().size());
            active(admin);
            producer.commitTransaction();
        }
    }

    static ProducerState active(Admin admin) throws Exception {
        var producers = admin.describeProducers(List.of(OUT)).partitionResult(OUT).get();
        var open = producers.activeProducers().stream()
            .filter(producer -> producer.currentTransactionStartOffset().isPresent()).toList();
        expect("one producer has a transaction open", 1, open.size());
        return open.get(0);
    }

    static void fence() {
        var elder = producer("java-fenced");
        elder.beginTransaction();
        elder.send(new ProducerRecord<>("java-out", "of the elder"));
        elder.flush();
        try (var younger = producer("java-fenced")) {
            try {
                elder.commitTransaction();
                throw new AssertionError("a producer that was fenced could commit");
            } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
                System.out.println("ok: java: the elder producer is fenced");
            }
            younger.beginTransaction();
            younger.send(new ProducerRecord<>("java-out", "of the younger"));
            younger.commitTransaction();
        }
        elder.close(Duration.ZERO);
    }

    static void end(Admin admin) throws Exception {
        var hanging = producer("java-hanging");
        hanging.beginTransaction();
        hanging.send(new ProducerRecord<>("java-out", "hangs")).get();
        ProducerState state = active(admin);
        admin.abortTransaction(new AbortTransactionSpec(OUT, state.producerId(),
            (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all().get();
        expect("an operator aborts what hangs", List.of("open", "of the younger"),
            values("read_committed").subList(100, 102));
        admin.fenceProducers(List.of("java-hanging")).all().get();
        try {
            hanging.commitTransaction();
            throw new AssertionError("a producer that an operator fenced could commit");
        } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
            System.out.println("ok: java: an operator fences a producer");
        }
        hanging.close(Duration.ZERO);
    }

    static KafkaProducer<String, String> producer(String transactionalId) {
        var producer = new KafkaProducer<>(
            Map.of("bootstrap.servers", bootstrap, "transactional.id", transactionalId),
            new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    static KafkaConsumer<String, String> consumer(String group, String isolation) {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", group,
            "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "isolation.level", isolation);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<String> values(String isolation) {
        try (var consumer = consumer("java-values", isolation)) {
            consumer.assign(List.of(OUT));
            consumer.seekToBeginning(List.of(OUT));
            long end = consumer.endOffsets(List.of(OUT)).get(OUT);
            var values = new ArrayList<String>();
            while (consumer.position(OUT) < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    values.add(record.value());
                }
            }
            return values;
        }
    }

    static void expect(String what, Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
        System.out.println("ok: java: " + what);
    }
}
