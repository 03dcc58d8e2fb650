package bench;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The common job on the Processor API: one store, written through a cache. Settings come from the environment. */
public final class Job {
    private static final String STORE = "pictures";
    private static final long CACHE_BYTES = 256L * 1024 * 1024;

    private Job() {}

    /** Keeps the pictures; tells what the job tells. */
    private static final class Keeper implements Processor<String, Event, String, byte[]> {
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, Picture> pictures;

        @Override
        public void init(ProcessorContext<String, byte[]> given) {
            context = given;
            pictures = given.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Event> read) {
            Event event = read.value();
            String kind = kindOf(event.type);
            if (kind == null) {
                return;
            }
            Picture picture = pictures.get(event.borrowerId);
            if (picture == null) {
                picture = new Picture();
            }
            boolean told;
            long count;
            long total;
            switch (kind) {
                case "repayments" -> {
                    told = picture.repaid(event.amountMinor);
                    count = picture.repayments;
                    total = picture.repaidMinor;
                }
                case "flows" -> {
                    told = picture.flowed(event.amountMinor);
                    count = picture.flows;
                    total = picture.movedMinor;
                }
                default -> {
                    told = picture.queried(event.institutionId, event.eventTimeMs);
                    count = picture.seenMs.size();
                    total = 0;
                }
            }
            pictures.put(event.borrowerId, picture);
            if (told) {
                context.forward(new Record<>(event.borrowerId, json(kind, event, count, total), read.timestamp()));
            }
        }

        private static String kindOf(String type) {
            return switch (type) {
                case "repayment" -> "repayments";
                case "fund_flow" -> "flows";
                case "credit_query" -> "institutions";
                default -> null;
            };
        }

        private static byte[] json(String kind, Event event, long count, long total) {
            String text = "{\"kind\":\"" + kind + "\",\"borrower_id\":\"" + event.borrowerId + "\",\"event_id\":\""
                + event.eventId + "\",\"count\":" + count + ",\"total_minor\":" + total + "}";
            return text.getBytes(StandardCharsets.UTF_8);
        }
    }

    private static Topology topology(List<String> inputs, String output) {
        Topology topology = new Topology();
        topology.addSource(
            "events", Serdes.String().deserializer(), Event.deserializer(), inputs.toArray(String[]::new));
        topology.addProcessor("keeper", Keeper::new, "events");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Picture.serde())
                .withCachingEnabled(),
            "keeper");
        topology.addSink("told", output, Serdes.String().serializer(), Serdes.ByteArray().serializer(), "keeper");
        return topology;
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("BENCH_GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BENCH_BROKER"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("BENCH_FOLDER"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, System.getenv("BENCH_GUARANTEE"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, System.getenv("BENCH_THREADS"));
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, System.getenv("BENCH_COMMIT_MS"));
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        // One task has three partitions of very different volume: do not wait for the poor ones.
        settings.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, -1L);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 1024 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 20);
        return settings;
    }

    /** Runs until SIGTERM. */
    public static void main(String[] arguments) throws InterruptedException {
        List<String> inputs = Arrays.asList(System.getenv("BENCH_INPUTS").split(","));
        KafkaStreams streams = new KafkaStreams(topology(inputs, System.getenv("BENCH_OUTPUT")), settings());
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(10));
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
