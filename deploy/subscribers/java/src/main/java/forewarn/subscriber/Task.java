package forewarn.subscriber;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.databind.JsonNode;
import forewarn.contract.Alert;
import forewarn.contract.Recommendation;

/** What the collections service does about one revision of an alert. */
@JsonPropertyOrder({
  "alert_id", "revision", "missed", "borrower_id", "task", "stage", "why", "not_before_ms", "not_after_ms"
})
record Task(
    @JsonProperty("alert_id") String alertId,
    @JsonProperty("revision") long revision,
    @JsonProperty("missed") long missed,
    @JsonProperty("borrower_id") String borrowerId,
    @JsonProperty("task") String task,
    @JsonProperty("stage") String stage,
    @JsonProperty("why") String why,
    @JsonProperty("not_before_ms") long notBeforeMs,
    @JsonProperty("not_after_ms") long notAfterMs) {

  /**
   * Decide. {@code newest} is the revision decided on before. Every revision is whole, so one that was missed needs no repair:
   * it is only told.
   */
  static Task of(Alert alert, long newest) {
    Recommendation todo = alert.getRecommendation();
    long missed = alert.getRevision() - newest - 1;
    String task;
    String why = todo.getHold();
    if (isErased(alert)) {
      return new Task(alert.getAlertId(), alert.getRevision(), missed, null, "erase", null, null, 0, 0);
    }
    switch (alert.getStatus()) {
      case RESOLVED, RETRACTED -> {
        task = "close";
        why = alert.getStatus().value();
      }
      default -> task = !todo.getActionable() ? "wait" : todo.getHumanReviewRequired() ? "ask" : "do";
    }
    return new Task(
        alert.getAlertId(),
        alert.getRevision(),
        missed,
        alert.getBorrowerId(),
        task,
        todo.getStage().value(),
        why,
        todo.getNotBeforeMs(),
        todo.getNotAfterMs());
  }

  static boolean isErased(Alert alert) {
    return alert.getReasons().stream().anyMatch(reason -> reason.getCode().equals("ERASED"));
  }

  static Task forgotten(JsonNode task) {
    return new Task(task.get("alert_id").asText(), task.get("revision").asLong(), 0, null, "erase", null, null, 0, 0);
  }
}
