import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.introspect.Annotated;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.strimzi.api.kafka.model.kafka.Kafka;
import io.strimzi.api.kafka.model.nodepool.KafkaNodePool;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Reads resources of Strimzi, one JSON object a line, with the operators' own classes. What these pass over is an error here: a
 * field they do not know, a word they have no value for. Prints what is wrong, by line; exit status 1 where anything is.
 */
public final class ReadManifests {
    private static final Map<String, Class<?>> KINDS = Map.of(
            "Kafka", Kafka.class,
            "KafkaNodePool", KafkaNodePool.class,
            "KafkaTopic", KafkaTopic.class,
            "KafkaUser", KafkaUser.class);

    /** What the classes do not write again, because it goes without saying. */
    private static final Map<String, String> DEFAULTS = Map.of("host", "*", "patternType", "literal");

    /** The classes put unknown fields aside, so that operators of another version do not lose them: not here. */
    private static final class NothingAside extends JacksonAnnotationIntrospector {
        @Override
        public Boolean hasAnySetter(Annotated member) {
            return Boolean.FALSE;
        }
    }

    @SuppressWarnings("unchecked")
    private static List<String> served(Class<?> type) throws ReflectiveOperationException {
        var versions = (List<String>) type.getField("VERSIONS").get(null);
        return versions.stream().map(version -> "kafka.strimzi.io/" + version).toList();
    }

    /** Whether what was read says all that was written. */
    private static void requireKept(JsonNode written, JsonNode read, String place) throws IOException {
        if (read == null || written.getNodeType() != read.getNodeType() || (written.isArray() && written.size() != read.size())
                || (written.isValueNode() && !written.asText().equals(read.asText()))) {
            throw new IOException(place + ": " + written + " was read as " + read);
        }
        for (var field : written.properties()) {
            if (field.getValue().asText().equals(DEFAULTS.get(field.getKey())) || place.isEmpty() && field.getKey().equals("apiVersion")) {
                continue;
            }
            requireKept(field.getValue(), read.get(field.getKey()), place + "/" + field.getKey());
        }
        for (int item = 0; written.isArray() && item < written.size(); item++) {
            requireKept(written.get(item), read.get(item), place + "/" + item);
        }
    }

    public static void main(String[] arguments) throws ReflectiveOperationException, IOException {
        var mapper = JsonMapper.builder()
                .annotationIntrospector(new NothingAside())
                .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                .build();
        int wrong = 0;
        int number = 0;
        for (String line : new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).lines().toList()) {
            number++;
            JsonNode resource = mapper.readTree(line);
            Class<?> type = KINDS.get(resource.path("kind").asText());
            try {
                if (type == null) {
                    throw new IOException("unknown kind " + resource.path("kind"));
                }
                if (!served(type).contains(resource.path("apiVersion").asText())) {
                    throw new IOException(resource.path("apiVersion") + ", but served is " + served(type));
                }
                requireKept(resource, mapper.valueToTree(mapper.treeToValue(resource, type)), "");
            } catch (IOException error) {
                wrong++;
                System.out.println(number + ": " + error.getMessage().lines().findFirst().orElse(""));
            }
        }
        System.out.println("read " + number + ", wrong " + wrong);
        System.exit(wrong == 0 ? 0 : 1);
    }
}
