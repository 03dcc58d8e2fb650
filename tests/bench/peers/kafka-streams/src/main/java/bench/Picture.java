package bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** What is kept of a borrower, and its compact binary form: far cheaper than JSON, and what a careful user would write. */
final class Picture {
    static final long WINDOW_MS = 30L * 24 * 3600 * 1000;
    static final int DISTINCT = 3;
    static final int REPAYMENTS_EVERY = 12;
    static final int FLOWS_EVERY = 48;

    long repayments;
    long repaidMinor;
    long flows;
    long movedMinor;
    long newestMs;
    final Map<String, Long> seenMs = new HashMap<>();

    /** Counts a repayment; whether it is told. */
    boolean repaid(long amountMinor) {
        repayments++;
        repaidMinor += amountMinor;
        return repayments % REPAYMENTS_EVERY == 0;
    }

    /** Counts a fund flow; whether it is told. */
    boolean flowed(long amountMinor) {
        flows++;
        movedMinor += amountMinor;
        return flows % FLOWS_EVERY == 0;
    }

    /** Remembers a query; whether the institutions within the window have become three. */
    boolean queried(String institution, long atMs) {
        int before = seenMs.size();
        newestMs = Math.max(newestMs, atMs);
        seenMs.merge(institution, atMs, Math::max);
        long oldest = newestMs - WINDOW_MS;
        seenMs.values().removeIf(at -> at <= oldest);
        return before < DISTINCT && seenMs.size() >= DISTINCT;
    }

    static Serde<Picture> serde() {
        Serializer<Picture> serializer = (topic, picture) -> picture == null ? null : picture.toBytes();
        Deserializer<Picture> deserializer = (topic, bytes) -> bytes == null ? null : fromBytes(bytes);
        return Serdes.serdeFrom(serializer, deserializer);
    }

    private byte[] toBytes() {
        int size = 5 * Long.BYTES + Integer.BYTES;
        byte[][] names = new byte[seenMs.size()][];
        long[] times = new long[names.length];
        int count = 0;
        for (Map.Entry<String, Long> entry : seenMs.entrySet()) {
            names[count] = entry.getKey().getBytes(StandardCharsets.UTF_8);
            times[count] = entry.getValue();
            size += Short.BYTES + names[count].length + Long.BYTES;
            count++;
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.putLong(repayments).putLong(repaidMinor).putLong(flows).putLong(movedMinor).putLong(newestMs);
        out.putInt(names.length);
        for (int i = 0; i < names.length; i++) {
            out.putShort((short) names[i].length).put(names[i]).putLong(times[i]);
        }
        return out.array();
    }

    private static Picture fromBytes(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Picture picture = new Picture();
        picture.repayments = in.getLong();
        picture.repaidMinor = in.getLong();
        picture.flows = in.getLong();
        picture.movedMinor = in.getLong();
        picture.newestMs = in.getLong();
        for (int left = in.getInt(); left > 0; left--) {
            byte[] name = new byte[in.getShort()];
            in.get(name);
            picture.seenMs.put(new String(name, StandardCharsets.UTF_8), in.getLong());
        }
        return picture;
    }
}
