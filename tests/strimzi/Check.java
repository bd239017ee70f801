import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.Annotated;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import io.strimzi.api.kafka.model.kafka.Kafka;
import io.strimzi.api.kafka.model.nodepool.KafkaNodePool;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import java.util.Map;

/** Parses resources, a JSON array on standard input, with Strimzi's model, and prints its errors. */
class Check {
    static final Map<String, Class<?>> KINDS = Map.of(
        "Kafka", Kafka.class,
        "KafkaNodePool", KafkaNodePool.class,
        "KafkaTopic", KafkaTopic.class,
        "KafkaUser", KafkaUser.class);

    public static void main(String[] arguments) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        // The model keeps unknown properties, about which the operator warns. Here they are errors.
        mapper.setAnnotationIntrospector(new JacksonAnnotationIntrospector() {
            @Override
            public Boolean hasAnySetter(Annotated member) {
                return false;
            }
        });
        for (JsonNode resource : mapper.readTree(System.in)) {
            try {
                mapper.treeToValue(resource, KINDS.get(resource.path("kind").asText()));
            } catch (JsonMappingException error) {
                System.out.println(resource.at("/metadata/name").asText() + ": " + error.getMessage().replace("\n", " "));
            }
        }
    }
}
