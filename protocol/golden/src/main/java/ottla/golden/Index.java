package ottla.golden;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;

/** The text which says what a file of batches holds; README.md has its grammar. */
final class Index {
    /** Longer keys and values are given by length and checksum. */
    private static final int LONGEST_HEX = 256;

    private Index() {}

    /** The lines below a {@code file} line, as Kafka reads the bytes. Throws if it cannot. */
    static List<String> describe(byte[] file) {
        List<String> lines = new ArrayList<>();
        int whole = 0;
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(file)).batches()) {
            batch.ensureValid();
            List<String> records = new ArrayList<>();
            for (Record record : batch) {
                record.ensureValid();
                records.add(record(record));
            }
            lines.add(batch(batch, records.size()));
            lines.addAll(records);
            whole += batch.sizeInBytes();
        }
        if (whole < file.length) {
            lines.add("tail " + (file.length - whole));
        }
        return lines;
    }

    /** The lines of an index below each of its {@code file} lines, by file name. */
    static Map<String, List<String>> parse(List<String> index) {
        Map<String, List<String>> files = new TreeMap<>();
        List<String> current = null;
        for (String line : index) {
            if (line.startsWith("file ")) {
                current = new ArrayList<>();
                if (files.put(line.substring("file ".length()), current) != null) {
                    throw new IllegalArgumentException("index.txt: twice: " + line);
                }
            } else if (!line.isEmpty() && !line.startsWith("#")) {
                if (current == null) {
                    throw new IllegalArgumentException("index.txt: before any file: " + line);
                }
                current.add(line);
            }
        }
        return files;
    }

    private static String batch(MutableRecordBatch batch, int records) {
        return "batch magic=" + batch.magic()
                + " size=" + batch.sizeInBytes()
                + " codec=" + batch.compressionType().name
                + " time=" + time(batch.timestampType())
                + " max_timestamp=" + batch.maxTimestamp()
                + " delete_horizon=" + horizon(batch.deleteHorizonMs())
                + " base_offset=" + batch.baseOffset()
                + " last_offset=" + batch.lastOffset()
                + " leader_epoch=" + batch.partitionLeaderEpoch()
                + " producer_id=" + batch.producerId()
                + " producer_epoch=" + batch.producerEpoch()
                + " base_sequence=" + batch.baseSequence()
                + " last_sequence=" + batch.lastSequence()
                + " transactional=" + batch.isTransactional()
                + " control=" + batch.isControlBatch()
                + " records=" + records;
    }

    private static String record(Record record) {
        StringBuilder line = new StringBuilder("record " + record.offset() + " " + record.timestamp());
        line.append(" ").append(blob(record.key())).append(" ").append(blob(record.value()));
        for (Header header : record.headers()) {
            line.append(" ").append(blob(ByteBuffer.wrap(header.key().getBytes(StandardCharsets.UTF_8))));
            line.append("=").append(blob(header.value() == null ? null : ByteBuffer.wrap(header.value())));
        }
        return line.toString();
    }

    private static String blob(ByteBuffer buffer) {
        if (buffer == null) {
            return "null";
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        if (bytes.length == 0) {
            return "-";
        }
        if (bytes.length <= LONGEST_HEX) {
            return HexFormat.of().formatHex(bytes);
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return String.format(Locale.ROOT, "%d:%08x", bytes.length, crc.getValue());
    }

    private static String horizon(OptionalLong milliseconds) {
        return milliseconds.isPresent() ? Long.toString(milliseconds.getAsLong()) : "none";
    }

    private static String time(TimestampType type) {
        return switch (type) {
            case CREATE_TIME -> "create";
            case LOG_APPEND_TIME -> "append";
            case NO_TIMESTAMP_TYPE -> "none";
        };
    }
}
