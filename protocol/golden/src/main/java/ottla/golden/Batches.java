package ottla.golden;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecords.RecordFilter;
import org.apache.kafka.common.record.internal.MemoryRecords.RecordFilter.BatchRetention;
import org.apache.kafka.common.record.internal.MemoryRecords.RecordFilter.BatchRetentionResult;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.internals.BufferSupplier;

/** One file per case of what a log or a fetch response may hold, and the index which describes them. */
final class Batches {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final long OFFSET = 5_000_000_000L;
    private static final long TIME = 1_700_000_000_000L;
    private static final long APPEND_TIME = TIME + 86_400_000;
    private static final int LEADER_EPOCH = 7;
    private static final Producer NOBODY = new Producer(-1, -1, -1, false);

    private record Producer(long id, int epoch, int sequence, boolean transactional) {}

    private final Path dir;
    private final StringBuilder index = new StringBuilder("# What Kafka reads from these files; see ../README.md.\n");
    private int files = 0;
    private long size = 0;

    private Batches(Path dir) {
        this.dir = dir;
    }

    static void generate(Path dir) throws IOException {
        Batches batches = new Batches(dir);
        batches.legacy();
        batches.codecs();
        batches.timestamps();
        batches.producers();
        batches.control();
        batches.cleaned();
        batches.sequences();
        Files.writeString(dir.resolve("index.txt"), batches.index);
        System.out.println(batches.files + " files of batches written, " + batches.size + " bytes");
    }

    private void file(String name, byte[] bytes) throws IOException {
        Files.write(dir.resolve(name + ".bin"), bytes);
        index.append("\nfile ").append(name).append(".bin\n");
        Index.describe(bytes).forEach(line -> index.append(line).append("\n"));
        files++;
        size += bytes.length;
    }

    private void legacy() throws IOException {
        for (String codec : CODECS.subList(0, 4)) {
            Compression compression = Compression.of(codec).build();
            file("v0-" + codec, batch(0, compression, TimestampType.CREATE_TIME, NOBODY, plain()));
            file("v1-" + codec + "-create", batch(1, compression, TimestampType.CREATE_TIME, NOBODY, plain()));
            file("v1-" + codec + "-append", batch(1, compression, TimestampType.LOG_APPEND_TIME, NOBODY, plain()));
            file("v0-" + codec + "-gaps", gaps(0, compression));
            file("v1-" + codec + "-gaps", gaps(1, compression));
        }
        file("mixed-magics", concat(
                batch(0, Compression.of("gzip").build(), TimestampType.CREATE_TIME, NOBODY, plain()),
                batch(1, Compression.of("none").build(), TimestampType.CREATE_TIME, NOBODY, plain()),
                batch(1, Compression.of("lz4").build(), TimestampType.LOG_APPEND_TIME, NOBODY, plain()),
                batch(Compression.of("zstd").build(), edges())));
    }

    /** What old log cleaners left of a batch. */
    private static byte[] gaps(int magic, Compression compression) {
        MemoryRecordsBuilder builder = builder(magic, compression, TimestampType.CREATE_TIME, NOBODY);
        builder.appendWithOffset(OFFSET + 1, plain().get(1));
        builder.appendWithOffset(OFFSET + 4, plain().get(4));
        builder.appendWithOffset(OFFSET + 90, plain().get(5));
        return bytes(builder.build());
    }

    private void codecs() throws IOException {
        for (String codec : CODECS) {
            Compression compression = Compression.of(codec).build();
            file("v2-" + codec + "-create", batch(2, compression, TimestampType.CREATE_TIME, NOBODY, edges()));
            file("v2-" + codec + "-append", batch(2, compression, TimestampType.LOG_APPEND_TIME, NOBODY, edges()));
            file("v2-" + codec + "-large", batch(compression, List.of(
                    record(TIME, "text", text(200 << 10)),
                    record(TIME + 1, "noise", noise(70 << 10)),
                    record(TIME + 2, "last", bytes("record")))));
            file("v2-" + codec + "-many", batch(compression, IntStream.range(0, 300)
                    .mapToObj(i -> record(TIME + 40L * i, "key " + i % 7, text(i % 20)))
                    .toList()));
        }
        List<SimpleRecord> text = List.of(record(TIME, "text", text(200 << 10)));
        for (int level : new int[] {1, 9}) {
            file("v2-gzip-level" + level, batch(Compression.gzip().level(level).build(), text));
        }
        for (int level : new int[] {1, 17}) {
            file("v2-lz4-level" + level, batch(Compression.lz4().level(level).build(), text));
        }
        for (int level : new int[] {1, 19}) {
            file("v2-zstd-level" + level, batch(Compression.zstd().level(level).build(), text));
        }
    }

    private void timestamps() throws IOException {
        file("v2-time-descending", at(TIME + 3000, TIME + 2999, TIME + 1000, TIME));
        file("v2-time-far-apart", at(TIME, TIME + (1L << 31) + 5, 0, 1L << 52, TIME - (1L << 33), TIME + (1L << 40)));
        file("v2-time-unknown", at(-1, -1, -1));
    }

    private static byte[] at(long... timestamps) {
        return batch(Compression.NONE, LongStream.of(timestamps)
                .mapToObj(timestamp -> record(timestamp, "key", bytes("value")))
                .toList());
    }

    private void producers() throws IOException {
        Compression none = Compression.NONE;
        Compression lz4 = Compression.lz4().build();
        TimestampType create = TimestampType.CREATE_TIME;
        int last = Integer.MAX_VALUE;
        file("v2-idempotent", batch(2, none, create, new Producer(4_000_000_000L, 3, 17, false), edges()));
        file("v2-idempotent-last-sequence",
                batch(2, none, create, new Producer(1, Short.MAX_VALUE, last, false), edges().subList(0, 1)));
        file("v2-idempotent-wrapped-sequence",
                batch(2, lz4, create, new Producer(Long.MAX_VALUE, 0, last - 2, false), edges()));
        file("v2-transactional", batch(2, none, create, new Producer(9, 1, 0, true), edges()));
        file("v2-transactional-lz4-append",
                batch(2, lz4, TimestampType.LOG_APPEND_TIME, new Producer(9, 1, 8, true), edges()));
    }

    private void control() throws IOException {
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            file("v2-control-" + type.name().toLowerCase(Locale.ROOT), bytes(marker(type)));
        }
        List<LeaderChangeMessage.Voter> voters = List.of(
                new LeaderChangeMessage.Voter().setVoterId(1), new LeaderChangeMessage.Voter().setVoterId(2));
        file("v2-control-leader-change", bytes(MemoryRecords.withLeaderChangeMessage(
                OFFSET, TIME, LEADER_EPOCH, ByteBuffer.allocate(512),
                new LeaderChangeMessage().setLeaderId(1).setVoters(voters).setGrantingVoters(voters.subList(0, 1)))));
        file("v2-control-snapshot-header", bytes(MemoryRecords.withSnapshotHeaderRecord(
                OFFSET, TIME, LEADER_EPOCH, ByteBuffer.allocate(512),
                new SnapshotHeaderRecord().setLastContainedLogTimestamp(TIME - 1))));
        file("v2-control-snapshot-footer", bytes(MemoryRecords.withSnapshotFooterRecord(
                OFFSET, TIME, LEADER_EPOCH, ByteBuffer.allocate(512), new SnapshotFooterRecord())));
        file("v2-control-kraft-version", bytes(MemoryRecords.withKRaftVersionRecord(
                OFFSET, TIME, LEADER_EPOCH, ByteBuffer.allocate(512),
                new KRaftVersionRecord().setKRaftVersion((short) 1))));
        file("v2-control-voters", bytes(MemoryRecords.withVotersRecord(
                OFFSET, TIME, LEADER_EPOCH, ByteBuffer.allocate(512),
                new VotersRecord().setVoters(List.of(new VotersRecord.Voter()
                        .setVoterId(1).setVoterDirectoryId(new Uuid(3, 4)))))));
    }

    private void cleaned() throws IOException {
        for (String codec : List.of("none", "zstd")) {
            byte[] batch = batch(Compression.of(codec).build(), edges());
            file("v2-" + codec + "-compacted", cleaned(batch, 1, 4, 5));
            file("v2-" + codec + "-delete-horizon", filtered(batch, TIME + 5000, true, 2, 4));
        }
        byte[] transactional =
                batch(2, Compression.NONE, TimestampType.CREATE_TIME, new Producer(9, 1, 0, true), edges());
        file("v2-emptied-by-cleaner", cleaned(transactional));

        ByteBuffer header = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(header, (byte) 2, 9, (short) 1, 40, OFFSET, OFFSET + 4, LEADER_EPOCH,
                TimestampType.CREATE_TIME, TIME, false, false);
        file("v2-empty", header.array());
    }

    private void sequences() throws IOException {
        byte[] first = batch(Compression.NONE, edges());
        byte[] second = batch(2, Compression.lz4().build(), TimestampType.LOG_APPEND_TIME,
                new Producer(9, 1, 0, true), edges());
        byte[] third = bytes(marker(ControlRecordType.COMMIT));
        byte[] fourth = batch(Compression.zstd().build(), edges());
        byte[] several = concat(first, second, third, fourth);
        int whole = several.length - fourth.length;
        file("v2-several", several);
        file("v2-several-cut-in-records", Arrays.copyOf(several, several.length - 10));
        file("v2-several-cut-in-header", Arrays.copyOf(several, whole + 30));
        file("v2-several-cut-in-length", Arrays.copyOf(several, whole + 9));
        file("v2-cut-in-records", Arrays.copyOf(first, first.length - 1));
        file("nothing", new byte[0]);
    }

    private static byte[] batch(Compression compression, List<SimpleRecord> records) {
        return batch(2, compression, TimestampType.CREATE_TIME, NOBODY, records);
    }

    private static byte[] batch(
            int magic, Compression compression, TimestampType type, Producer producer, List<SimpleRecord> records) {
        MemoryRecordsBuilder builder = builder(magic, compression, type, producer);
        records.forEach(builder::append);
        MemoryRecords written = builder.build();
        requireSame(records, written);
        return bytes(written);
    }

    private static MemoryRecordsBuilder builder(
            int magic, Compression compression, TimestampType type, Producer producer) {
        ByteBuffer buffer = ByteBuffer.allocate(1024);
        return new MemoryRecordsBuilder(
                buffer, (byte) magic, compression, type, OFFSET,
                type == TimestampType.LOG_APPEND_TIME ? APPEND_TIME : RecordBatch.NO_TIMESTAMP,
                producer.id, (short) producer.epoch, producer.sequence, producer.transactional, false,
                LEADER_EPOCH, buffer.capacity());
    }

    /** Compares all but the timestamps, which not every batch carries. */
    private static void requireSame(List<SimpleRecord> records, MemoryRecords written) {
        List<SimpleRecord> expected = new ArrayList<>();
        List<SimpleRecord> found = new ArrayList<>();
        records.forEach(r -> expected.add(new SimpleRecord(0, r.key(), r.value(), r.headers())));
        written.records().forEach(r -> found.add(new SimpleRecord(0, r.key(), r.value(), r.headers())));
        if (!expected.equals(found)) {
            throw new IllegalStateException("wrote " + expected + ", read " + found);
        }
    }

    private static MemoryRecords marker(ControlRecordType type) {
        return MemoryRecords.withEndTransactionMarker(
                OFFSET, TIME, LEADER_EPOCH, 9, (short) 1, new EndTransactionMarker(type, 21));
    }

    /** What the log cleaner leaves when it keeps only the records at these offsets from the first. */
    private static byte[] cleaned(byte[] batches, int... kept) {
        return filtered(batches, RecordBatch.NO_TIMESTAMP, false, kept);
    }

    private static byte[] filtered(byte[] batches, long horizon, boolean tombstones, int... kept) {
        RecordFilter filter = new RecordFilter(horizon, 0) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, tombstones);
            }

            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return IntStream.of(kept).anyMatch(delta -> record.offset() == OFFSET + delta);
            }
        };
        ByteBuffer buffer = MemoryRecords.readableRecords(ByteBuffer.wrap(batches))
                .filterTo(filter, ByteBuffer.allocate(batches.length), BufferSupplier.NO_CACHING, Integer.MAX_VALUE)
                .outputBuffer();
        return Arrays.copyOf(buffer.array(), buffer.position());
    }

    /** Records of every shape. */
    private static List<SimpleRecord> edges() {
        List<SimpleRecord> records = new ArrayList<>(plain());
        records.add(record(TIME + 1000, "headers", bytes("value"),
                header("a", bytes("1")), header("a", bytes("2")), header("b", null), header("c", new byte[0]),
                header("", bytes("empty key")), header("cl\u00e9 \u9375 \ud83d\udd11", bytes("\u2603"))));
        records.add(record(TIME + 1001, null, null, header("", null)));
        return records;
    }

    /** Records of every shape which has no headers. */
    private static List<SimpleRecord> plain() {
        return List.of(
                record(TIME, null, null),
                record(TIME + 1, "", new byte[0]),
                record(TIME + 2, "k", bytes("v")),
                record(TIME + 2, null, bytes("value")),
                record(TIME + 3, "tombstone", null),
                record(TIME + 500, "cl\u00e9 \u9375", text(5 << 10)));
    }

    private static SimpleRecord record(long timestamp, String key, byte[] value, Header... headers) {
        return new SimpleRecord(timestamp, key == null ? null : bytes(key), value, headers);
    }

    private static Header header(String key, byte[] value) {
        return new RecordHeader(key, value);
    }

    /** Bytes which compress about as well as prose. */
    private static byte[] text(int length) {
        String[] words = "a broker keeps each partition as a log of batches and every batch holds records".split(" ");
        Random random = new Random(length);
        StringBuilder text = new StringBuilder();
        while (text.length() < length) {
            text.append(words[random.nextInt(words.length)]).append(random.nextInt(9) == 0 ? "\n" : " ");
        }
        return bytes(text.substring(0, length));
    }

    /** Bytes which do not compress. */
    private static byte[] noise(int length) {
        byte[] noise = new byte[length];
        new Random(length).nextBytes(noise);
        return noise;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] bytes(MemoryRecords records) {
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().get(bytes);
        return bytes;
    }

    /** Batches one after another, renumbered by the way, as a broker appends them. */
    private static byte[] concat(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(part -> part.length).sum());
        for (byte[] part : parts) {
            all.put(part);
        }
        long next = OFFSET;
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(all.flip()).batches()) {
            batch.setLastOffset(next + batch.lastOffset() - batch.baseOffset());
            next = batch.nextOffset();
        }
        return all.array();
    }
}
