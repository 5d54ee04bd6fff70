package ottla.golden;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.utils.internals.AppInfoParser;
import ottla.golden.Values.Variant;

/** One text file per message: what Kafka writes for it at every version it knows. */
final class Messages {
    private static final String SCHEMAS = "common/message";

    private static final List<String> PACKAGES = List.of(
            "org.apache.kafka.common.message",
            "org.apache.kafka.coordinator.group.generated",
            "org.apache.kafka.coordinator.transaction.generated",
            "org.apache.kafka.coordinator.share.generated");

    /** The messages of types {@code header} and {@code data} we have a use for. */
    private static final Set<String> OTHERS = Set.of(
            "RequestHeader",
            "ResponseHeader",
            "ConsumerProtocolSubscription",
            "ConsumerProtocolAssignment",
            "ControlRecordTypeSchema",
            "EndTxnMarker",
            "LeaderChangeMessage",
            "SnapshotHeaderRecord",
            "SnapshotFooterRecord",
            "KRaftVersionRecord",
            "VotersRecord");

    private static final JsonMapper MAPPER =
            JsonMapper.builder().enable(JsonReadFeature.ALLOW_JAVA_COMMENTS).build();

    private final JsonNode schema;
    private final Class<?> type;
    private final Class<?> converter;
    private final StringBuilder lines = new StringBuilder("# kafka " + AppInfoParser.getVersion() + "\n");

    private Messages(JsonNode schema) throws ReflectiveOperationException {
        this.schema = schema;
        boolean suffixed = Set.of("request", "response", "header").contains(schema.get("type").asText());
        this.type = find(schema.get("name").asText() + (suffixed ? "Data" : ""));
        this.converter = Class.forName(type.getName() + "JsonConverter");
    }

    static void generate(Path dir) throws Exception {
        Map<String, JsonNode> schemas = schemas();
        Set<Integer> brokerKeys = new HashSet<>();
        for (JsonNode schema : schemas.values()) {
            for (JsonNode listener : schema.path("listeners")) {
                if (listener.asText().equals("broker")) {
                    brokerKeys.add(schema.get("apiKey").asInt());
                }
            }
        }
        int messages = 0;
        int lines = 0;
        for (Map.Entry<String, JsonNode> entry : schemas.entrySet()) {
            if (!wanted(entry.getValue(), brokerKeys)) {
                continue;
            }
            String text = new Messages(entry.getValue()).text();
            Files.writeString(dir.resolve(entry.getKey() + ".txt"), text);
            messages++;
            lines += text.lines().filter(line -> !line.startsWith("#")).count();
        }
        System.out.println(messages + " messages written, " + lines + " lines");
    }

    private static boolean wanted(JsonNode schema, Set<Integer> brokerKeys) {
        if (schema.get("validVersions").asText().equals("none")) {
            return false;
        }
        return switch (schema.get("type").asText()) {
            case "request", "response" -> brokerKeys.contains(schema.get("apiKey").asInt());
            case "coordinator-key", "coordinator-value" -> true;
            default -> OTHERS.contains(schema.get("name").asText());
        };
    }

    /** Every schema on the class path, by name. */
    private static Map<String, JsonNode> schemas() throws IOException, URISyntaxException {
        Map<String, JsonNode> schemas = new TreeMap<>();
        ClassLoader loader = Messages.class.getClassLoader();
        for (URL url : Collections.list(loader.getResources(SCHEMAS))) {
            try (FileSystem jar = FileSystems.newFileSystem(url.toURI(), Map.of());
                    DirectoryStream<Path> files = Files.newDirectoryStream(jar.getPath(SCHEMAS), "*.json")) {
                for (Path file : files) {
                    JsonNode schema = MAPPER.readTree(Files.readAllBytes(file));
                    schemas.put(schema.get("name").asText(), schema);
                }
            }
        }
        return schemas;
    }

    private static Class<?> find(String name) throws ClassNotFoundException {
        for (String pkg : PACKAGES) {
            try {
                return Class.forName(pkg + "." + name);
            } catch (ClassNotFoundException e) {
                // Perhaps in the next one.
            }
        }
        throw new ClassNotFoundException(name);
    }

    private String text() throws ReflectiveOperationException {
        String[] ends = schema.get("validVersions").asText().split("-");
        for (short v = Short.parseShort(ends[0]); v <= Short.parseShort(ends[ends.length - 1]); v++) {
            line(v, "default", (Message) type.getConstructor().newInstance());
            for (Variant variant : Variant.values()) {
                Values values = new Values(schema, v, variant);
                JsonNode json = values.fill();
                if (variant != Variant.EMPTY || values.hasArray()) {
                    Message message = (Message)
                            converter.getMethod("read", JsonNode.class, short.class).invoke(null, json, v);
                    line(v, variant.name().toLowerCase(Locale.ROOT), message);
                }
            }
        }
        return lines.toString();
    }

    private void line(short version, String variant, Message message) throws ReflectiveOperationException {
        ByteBuffer bytes = MessageUtil.toByteBufferAccessor(message, version).buffer();
        ByteBuffer input = bytes.duplicate();
        Object again =
                type.getConstructor(Readable.class, short.class).newInstance(new ByteBufferAccessor(input), version);
        if (input.hasRemaining() || !again.equals(message)) {
            throw new IllegalStateException(
                    type.getSimpleName() + " " + version + " " + variant + ": wrote " + message + ", read " + again);
        }
        String hex = HexFormat.of().formatHex(MessageUtil.byteBufferToArray(bytes));
        lines.append(version + " " + variant + " " + (hex.isEmpty() ? "-" : hex) + "\n");
    }
}
