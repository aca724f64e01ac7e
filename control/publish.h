/* What the parts of `postrider publish` share: times, the resume file, rejects, and the producer. */
#ifndef PR_CONTROL_PUBLISH_H
#define PR_CONTROL_PUBLISH_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"
#include "core/record.h"
#include "core/tracker.h"
#include "kafka.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* --- publish_retime.c: where in time an event is put. Pure. */

enum pr_retime_mode {
    PR_RETIME_NONE,
    PR_RETIME_NOW,    /* base + line x 1 microsecond: a function of the line */
    PR_RETIME_FASTER, /* base + (time - first time) / factor */
};

struct pr_retime {
    enum pr_retime_mode mode;
    int64_t factor;   /* FASTER: 1 to 1,000,000,000 */
    int64_t base_us;  /* taken at the first run, kept in the resume file; PR_TIME_NONE before */
    int64_t first_us; /* FASTER: the time of the first event that has one; PR_TIME_NONE before */
};

/* "now" or "1000x". False when it is neither. */
bool pr_retime_parse(const char *text, struct pr_retime *out) PR_MUST_CHECK;

/*
 * Moves `time` and by the same distance `notbefore` and `expirytime`. An event without a time gets one with NOW and keeps none with FASTER; its
 * other two times stay, as there is no distance. `base_us` must be set.
 */
void pr_retime_apply(struct pr_retime *retime, int64_t line, struct pr_record *record);

/* --- publish_resume.c: what a second run has to know. */

enum { PR_RESUME_TEXT = 320 };

struct pr_resume {
    const char *path;   /* NULL: nothing is kept */
    int64_t input_size; /* bytes of the file as it lies on disk, -1: not a file */
    char input_sha[65]; /* SHA-256 of the first 64 KiB of its content, hex */
    const char *topic;
    const char *retime_text;     /* "" for none */
    struct pr_retime *retime;    /* base and first time are kept too */
    int64_t line;                /* all up to this one are on Kafka, or rejected */
    int64_t published, rejected; /* over all runs, for people: a crash may count the lines behind `line` twice */
    bool is_finished;            /* the end of the input was reached */
};

/* Fills input_sha. */
void pr_resume_identify(struct pr_resume *resume, struct pr_span head);

/*
 * Reads the file when there is one: line, counts and base are taken over. False after filling `error`: unreadable, or written for another input,
 * topic or --retime.
 */
bool pr_resume_read(struct pr_resume *resume, char error[PR_RESUME_TEXT]) PR_MUST_CHECK;

/* Writes it beside its name, flushes it to the disk and renames it, so that a reader finds the old or the new one. False after filling `error`. */
bool pr_resume_write(const struct pr_resume *resume, char error[PR_RESUME_TEXT]) PR_MUST_CHECK;

/* --- publish_rejects.c: lines that were not published, and why. */

struct pr_rejects {
    FILE *file;       /* NULL: only counted and shown */
    const char *path; /* of file */
    int64_t n;
    struct pr_buf text; /* scratch */
};

/* `path` NULL: none; appended to when `is_more`. False after a message. */
bool pr_rejects_open(struct pr_rejects *rejects, const char *path, bool is_more) PR_MUST_CHECK;

/* One line of NDJSON: line, field, reason, text and the record (as JSON when it is, else as a string). The first few are shown on stderr without it. */
void pr_rejects_add(struct pr_rejects *rejects, int64_t line, const char *reason, const struct pr_record_fault *fault,
                    struct pr_span record);

/* False after a message when the file could not be written. All zero, that is never opened, is accepted. */
bool pr_rejects_close(struct pr_rejects *rejects) PR_MUST_CHECK;

/* --- publish_sink.c: records to Kafka, and which lines have arrived. */

enum { PR_SINK_WINDOW = 65536 }; /* lines read and not yet confirmed; librdkafka's own queue is bounded by bytes */

enum pr_sink_format { PR_SINK_MSGPACK, PR_SINK_JSON, PR_SINK_RAW };

struct pr_sink {
    rd_kafka_t *client;
    const char *topic;
    struct pr_tracker tracker; /* offsets are line numbers */
    int64_t delivered;
    int64_t failed;
    char error[PR_KAFKA_TEXT]; /* of the first that failed */
};

/* Connects and checks that the topic is there. False after a message; free it all the same. */
bool pr_sink_init(struct pr_sink *sink, const struct pr_kafka_options *kafka, const char *topic) PR_MUST_CHECK;
void pr_sink_free(struct pr_sink *sink);

/* Room for one more line. */
bool pr_sink_has_room(const struct pr_sink *sink);

/* A line that is done without Kafka: blank or rejected. */
void pr_sink_skip(struct pr_sink *sink, int64_t line);

/* Hands over one value; waits while librdkafka's queue is full. False when it was refused for good: see `error`. */
bool pr_sink_put(struct pr_sink *sink, int64_t line, enum pr_sink_format format, struct pr_span key,
                 struct pr_span value) PR_MUST_CHECK;

/* Takes delivery reports, waiting at most `wait_ms` for one. */
void pr_sink_poll(struct pr_sink *sink, int wait_ms);

/* Waits until all is delivered or failed, at most `wait_ms`; drops what is then still under way. */
void pr_sink_flush(struct pr_sink *sink, int wait_ms);

/* The line up to which all is done, 0 at first. */
int64_t pr_sink_line(const struct pr_sink *sink);

#endif
