package forewarn.subscriber;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What was decided, a JSON line each: the memory that makes a repeat known after a crash. A service has a table instead. */
final class Journal {
  private static final ObjectMapper JSON = new ObjectMapper();
  private final Path file;
  private final Map<String, Long> newest = new HashMap<>();

  Journal(Path file) throws IOException {
    this.file = file;
    for (String line : lines()) {
      JsonNode task = JSON.readTree(line);
      newest.merge(task.get("alert_id").asText(), task.get("revision").asLong(), Math::max);
    }
    rewrite(lines());
  }

  /** The newest revision that was decided on; 0 for an alert that is not known. */
  long newest(String alertId) {
    return newest.getOrDefault(alertId, 0L);
  }

  /** On disk when it returns. */
  void append(Task task) throws IOException {
    write(JSON.writeValueAsString(task) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    newest.put(task.alertId(), task.revision());
  }

  /** Forget a borrower. The numbers of the alerts stay known, so that a repeat does nothing. */
  void forget(String borrowerId) throws IOException {
    StringBuilder kept = new StringBuilder();
    for (String line : lines()) {
      JsonNode task = JSON.readTree(line);
      boolean isTheirs = borrowerId.equals(task.path("borrower_id").textValue());
      kept.append(isTheirs ? JSON.writeValueAsString(Task.forgotten(task)) : line).append('\n');
    }
    rewrite(kept.toString().lines().collect(Collectors.toList()));
  }

  /** A crash may have left half a line at the end: its record was not committed and comes again. */
  private List<String> lines() throws IOException {
    String text = Files.exists(file) ? Files.readString(file) : "";
    return text.substring(0, text.lastIndexOf('\n') + 1).lines().collect(Collectors.toList());
  }

  private void rewrite(List<String> lines) throws IOException {
    Path next = file.resolveSibling(file.getFileName() + ".next");
    Journal.write(next, lines.isEmpty() ? "" : String.join("\n", lines) + "\n",
        StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING);
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
  }

  private void write(String text, StandardOpenOption... how) throws IOException {
    Journal.write(file, text, how);
  }

  private static void write(Path file, String text, StandardOpenOption... how) throws IOException {
    try (FileChannel channel = FileChannel.open(file, how)) {
      ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
  }
}
