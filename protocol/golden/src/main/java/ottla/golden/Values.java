package ottla.golden;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.Uuid;

/**
 * Fills one message at one version with values counted up in declaration order, as the JSON its
 * converter reads. The rule is in README.md; a schema interpreter on our side follows it too.
 */
final class Values {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    private static final int ELEMENTS = 2;

    /** What becomes of nullable fields and of arrays. */
    enum Variant {
        FILLED,
        NULL,
        EMPTY
    }

    private final JsonNode schema;
    private final short version;
    private final Variant variant;
    private final Map<String, JsonNode> commonStructs = new HashMap<>();
    private long n = 0;
    private boolean hasArray = false;

    Values(JsonNode schema, short version, Variant variant) {
        this.schema = schema;
        this.version = version;
        this.variant = variant;
        for (JsonNode struct : schema.path("commonStructs")) {
            commonStructs.put(struct.get("name").asText(), struct.get("fields"));
        }
    }

    ObjectNode fill() {
        return struct(schema.path("fields"));
    }

    /** Whether {@link #fill} came upon an array. */
    boolean hasArray() {
        return hasArray;
    }

    private ObjectNode struct(JsonNode fields) {
        ObjectNode struct = JSON.objectNode();
        for (JsonNode field : fields) {
            String versions = field.path("versions").asText(field.path("taggedVersions").asText());
            if (contains(versions, version)) {
                String name = field.get("name").asText();
                struct.set(Character.toLowerCase(name.charAt(0)) + name.substring(1), value(field));
            }
        }
        return struct;
    }

    private JsonNode value(JsonNode field) {
        String type = field.get("type").asText();
        boolean array = type.startsWith("[]");
        hasArray |= array;
        if (variant == Variant.NULL && contains(field.path("nullableVersions").asText("none"), version)) {
            return JSON.nullNode();
        }
        if (!array) {
            return single(field, type);
        }
        ArrayNode elements = JSON.arrayNode();
        for (int i = 0; variant != Variant.EMPTY && i < ELEMENTS; i++) {
            elements.add(single(field, type.substring(2)));
        }
        return elements;
    }

    private JsonNode single(JsonNode field, String type) {
        if (Character.isUpperCase(type.charAt(0))) {
            return struct(field.has("fields") ? field.get("fields") : commonStructs.get(type));
        }
        n++;
        return switch (type) {
            case "bool" -> JSON.booleanNode(n % 2 == 1);
            case "int8" -> JSON.numberNode(n % (1 << 7));
            case "uint16" -> JSON.numberNode(n * 257 % (1 << 16));
            case "int16" -> JSON.numberNode(n * 257 % (1 << 15));
            case "uint32" -> JSON.numberNode(n * 65793 % (1L << 32));
            case "int32" -> JSON.numberNode(n * 65793 % (1L << 31));
            case "int64" -> JSON.numberNode(n * 4311810305L);
            case "float64" -> JSON.numberNode(n + 0.5);
            case "string" -> JSON.textNode("s" + n);
            case "uuid" -> JSON.textNode(new Uuid(n, n * 3 + 1).toString());
            case "bytes", "records" -> JSON.binaryNode(new byte[] {(byte) n, (byte) 0xC3, 0});
            default -> throw new IllegalArgumentException("unknown type " + type);
        };
    }

    /** Whether a schema's version range ({@code none}, {@code 3}, {@code 0-3}, {@code 3+}) has the version. */
    static boolean contains(String range, short version) {
        if (range.equals("none")) {
            return false;
        }
        if (range.endsWith("+")) {
            return version >= Short.parseShort(range.substring(0, range.length() - 1));
        }
        String[] ends = range.split("-");
        return version >= Short.parseShort(ends[0]) && version <= Short.parseShort(ends[ends.length - 1]);
    }
}
