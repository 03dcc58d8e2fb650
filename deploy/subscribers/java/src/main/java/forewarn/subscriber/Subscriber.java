package forewarn.subscriber;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import forewarn.contract.Alert;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads alerts and decides what to do about each: {@code Subscriber BROKER TOPIC JOURNAL [CLIENT]}. SIGTERM ends it.
 *
 * <p>CLIENT is a file of properties as Kafka's own tools take it: how to come in where not everybody may. Secrets stay in files of
 * their own by way of Kafka's {@code config.providers}.
 */
public final class Subscriber {
  /** Whoever is killed holds its partitions for so long: the default of 45 s is long where calls wait. */
  private static final int SESSION_TIMEOUT_MS = 6_000;

  private static final ObjectMapper JSON =
      new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

  public static void main(String[] arguments) throws IOException {
    Journal journal = new Journal(Path.of(arguments[2]));
    Thread main = Thread.currentThread();
    try (KafkaConsumer<String, byte[]> alerts = new KafkaConsumer<>(settings(arguments))) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> wakeUp(alerts, main)));
      alerts.subscribe(List.of(arguments[1]));
      while (true) {
        for (ConsumerRecord<String, byte[]> record : alerts.poll(Duration.ofSeconds(1))) {
          decide(JSON.readValue(record.value(), Alert.class), journal);
        }
        // Only now: who dies before sees the same records again, and knows them by alert_id and revision.
        alerts.commitSync();
      }
    } catch (WakeupException ended) {
      // Asked to end between two batches.
    }
  }

  private static void decide(Alert alert, Journal journal) throws IOException {
    long newest = journal.newest(alert.getAlertId());
    if (alert.getRevision() <= newest) {
      return; // a repeat, or older than what is known: the highest revision holds
    }
    if (Task.isErased(alert)) {
      journal.forget(alert.getBorrowerId());
    }
    journal.append(Task.of(alert, newest));
  }

  private static Properties settings(String[] arguments) throws IOException {
    Properties settings = new Properties();
    if (arguments.length > 3) {
      try (Reader client = Files.newBufferedReader(Path.of(arguments[3]))) {
        settings.load(client);
      }
    }
    // Behind those of the file: what the promises rest on is not to be set there.
    settings.putAll(
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0],
            ConsumerConfig.GROUP_ID_CONFIG, "collections-" + arguments[1] + "-java",
            ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class,
            ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class,
            ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed",
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
            ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, SESSION_TIMEOUT_MS,
            ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, SESSION_TIMEOUT_MS / 3));
    return settings;
  }

  private static void wakeUp(KafkaConsumer<String, byte[]> alerts, Thread main) {
    alerts.wakeup();
    try {
      main.join();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
