/* `postrider publish`: NDJSON onto Kafka, checked line by line, at a pace, and able to go on where it stopped. */
#include "publish.h"

#include "base/clock.h"
#include "command.h"
#include "ndjson.h"
#include "output.h"
#include "pace.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MS = 200, /* how long a pipe, a pace or a full window may keep us from looking at signals and the clock */
    RESUME_EVERY_MS = 1000,
    PROGRESS_AFTER_MS = 2000,
    PROGRESS_TERMINAL_MS = 250,
    PROGRESS_LOG_MS = 5000,
    FLUSH_MS = 65000, /* a little over message.timeout.ms, so that each record ends by itself */
    FLUSH_STOPPED_MS = 10000,
    ENCODED_MAX = 8 * PR_RECORD_BYTES_MAX, /* JSON may grow to seven times (core/record.h) */
};

static const int64_t ns_per_ms = 1000000;

struct publish {
    /* what the command line says */
    const char *input;
    struct pr_kafka_options kafka;
    const char *topic;
    const char *format_text, *retime_text, *rate_text, *rejects_path, *resume_path;
    bool is_again, is_dry, is_raw;
    int64_t limit; /* 0: none */
    enum pr_sink_format format;
    struct pr_retime retime;
    double rate; /* events a second, 0: as fast as it goes */

    char resume_default[PATH_MAX];
    struct pr_resume resume;
    struct pr_ndjson *in;
    struct pr_rejects rejects;
    struct pr_sink sink;
    struct pr_arena arena;
    struct pr_buf encoded;
    int64_t put;    /* events handed over in this run */
    int64_t events; /* lines of this run that are not blank */
    int64_t start_ns, next_resume_ns, next_progress_ns;
    int64_t paced_from_ns; /* start of the pace */
    bool is_terminal;
    bool has_progress; /* a progress line stands on the terminal */
    bool is_failed;
};

static bool parse_format(const char *text, enum pr_sink_format *format) {
    *format = strcmp(text, "json") == 0 ? PR_SINK_JSON : PR_SINK_MSGPACK;
    return *format == PR_SINK_JSON || strcmp(text, "msgpack") == 0;
}

static enum pr_exit read_options(struct publish *p, struct pr_call *call) {
    const struct pr_option options[] = {
        {"bootstrap", PR_OPTION_TEXT, &p->kafka.bootstrap, 0, 0},
        {"topic", PR_OPTION_TEXT, &p->topic, 0, 0},
        {"format", PR_OPTION_TEXT, &p->format_text, 0, 0},
        {"retime", PR_OPTION_TEXT, &p->retime_text, 0, 0},
        {"rate", PR_OPTION_TEXT, &p->rate_text, 0, 0},
        {"rejects", PR_OPTION_TEXT, &p->rejects_path, 0, 0},
        {"resume", PR_OPTION_TEXT, &p->resume_path, 0, 0},
        {"again", PR_OPTION_FLAG, &p->is_again, 0, 0},
        {"dry-run", PR_OPTION_FLAG, &p->is_dry, 0, 0},
        {"raw", PR_OPTION_FLAG, &p->is_raw, 0, 0},
        {"limit", PR_OPTION_INT, &p->limit, 1, INT64_MAX},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_kafka_take(call, &p->kafka) || !pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    p->input = call->argv[0];
    if (!parse_format(p->format_text, &p->format)) {
        return pr_usage_error(call, "--format %s: msgpack or json is needed", p->format_text);
    }
    if (p->rate_text && !pr_pace_parse(p->rate_text, &p->rate)) {
        return pr_usage_error(call, "--rate %s: something like 500/s, 30/min or 100/h is needed", p->rate_text);
    }
    if (p->retime_text && !pr_retime_parse(p->retime_text, &p->retime)) {
        return pr_usage_error(call, "--retime %s: \"now\", or a factor like 1000x is needed", p->retime_text);
    }
    return PR_EXIT_DONE;
}

static bool fail(struct publish *p, const char *what) {
    pr_error("%s", what);
    p->is_failed = true;
    return false;
}

/* A file has its resume file beside it; a pipe only when --resume names one, as it has no name to put it beside. */
static void name_resume(struct publish *p) {
    p->resume = (struct pr_resume){
        .topic = p->topic, .retime_text = p->retime_text ? p->retime_text : "", .retime = &p->retime};
    if (p->is_dry) {
        return;
    }
    p->resume.path = p->resume_path;
    if (!p->resume_path && strcmp(p->input, "-") != 0) {
        int n = snprintf(p->resume_default, sizeof p->resume_default, "%s.resume", p->input);
        p->resume.path = n > 0 && (size_t)n < sizeof p->resume_default ? p->resume_default : NULL;
    }
}

static bool open_resume(struct publish *p) {
    char error[PR_RESUME_TEXT];
    struct pr_span head;
    name_resume(p);
    if (p->resume.path) {
        if (!pr_ndjson_head(p->in, &head)) {
            return fail(p, *pr_ndjson_error(p->in) ? pr_ndjson_error(p->in) : "interrupted");
        }
        pr_resume_identify(&p->resume, head);
        p->resume.input_size = pr_ndjson_size(p->in);
        if (!p->is_again && !pr_resume_read(&p->resume, error)) {
            return fail(p, error);
        }
    }
    if (p->retime.mode != PR_RETIME_NONE && p->retime.base_us == PR_TIME_NONE) {
        p->retime.base_us = pr_clock_real_us();
    }
    /* The base must be on the disk before the first event carries it; this also finds out early that the folder is closed. */
    if (p->resume.path && !p->resume.is_finished && !pr_resume_write(&p->resume, error)) {
        return fail(p, error);
    }
    return true;
}

/* The line up to which all is done, over all runs. */
static int64_t line_done(const struct publish *p) {
    int64_t line = pr_sink_line(&p->sink);
    return line > p->resume.line ? line : p->resume.line;
}

/* Takes what the deliveries have come to into the resume file. */
static void write_resume(struct publish *p, bool is_finished) {
    char error[PR_RESUME_TEXT];
    struct pr_resume now = p->resume;
    if (!now.path) {
        return;
    }
    now.line = line_done(p);
    now.published += p->sink.delivered;
    now.rejected += p->rejects.n;
    now.is_finished = is_finished;
    if (!pr_resume_write(&now, error)) {
        fail(p, error);
    }
}

static void clear_progress(struct publish *p) {
    if (p->has_progress) {
        fputs("\r\033[K", stderr);
        p->has_progress = false;
    }
}

static void show_progress(struct publish *p, int64_t now_ns) {
    char put[PR_COUNT_TEXT], rate[PR_COUNT_TEXT], rejects[PR_COUNT_TEXT];
    double seconds = (double)(now_ns - p->start_ns) / 1e9;
    int percent = pr_ndjson_percent(p->in);
    int64_t n = p->is_dry ? p->put : p->sink.delivered;
    fprintf(stderr, "%s%s events", p->is_terminal ? "\r" : "postrider: ", pr_count(n, put));
    if (percent >= 0) {
        fprintf(stderr, "  %d %% of the input", percent);
    }
    fprintf(stderr, "  %s/s  %s rejected%s", pr_count((int64_t)((double)n / seconds), rate),
            pr_count(p->rejects.n, rejects), p->is_terminal ? "\033[K" : "\n");
    p->has_progress = p->is_terminal;
}

/* What has to be done now and then, whatever the loop waits for. */
static void tick(struct publish *p) {
    int64_t now_ns = pr_clock_mono_ns();
    if (!p->is_dry && now_ns >= p->next_resume_ns) {
        p->next_resume_ns = now_ns + RESUME_EVERY_MS * ns_per_ms;
        write_resume(p, false);
    }
    if (now_ns >= p->next_progress_ns) {
        p->next_progress_ns = now_ns + (p->is_terminal ? PROGRESS_TERMINAL_MS : PROGRESS_LOG_MS) * ns_per_ms;
        show_progress(p, now_ns);
    }
    if (!p->is_dry && p->sink.failed > 0) {
        p->is_failed = true;
    }
}

static bool may_go_on(const struct publish *p) {
    return !pr_is_interrupted() && !p->is_failed;
}

/* Lets `wait_ms` pass at the most. */
static void pass_time(struct publish *p, int64_t wait_ms) {
    pr_sink_poll(&p->sink, wait_ms > WAIT_MS ? WAIT_MS : (int)wait_ms);
    tick(p);
}

/* Waits until the pace allows the next event; FASTER also waits for the event's own time, as no event comes before it happens. */
static void keep_pace(struct publish *p, const struct pr_record *record) {
    while (may_go_on(p) && !p->is_dry) {
        int64_t wait_ns = 0;
        if (p->rate > 0) {
            int64_t due_ns = p->paced_from_ns + (int64_t)((double)p->put * 1e9 / p->rate);
            wait_ns = due_ns - pr_clock_mono_ns();
        }
        if (record && p->retime.mode == PR_RETIME_FASTER && record->time_us != PR_TIME_NONE) {
            int64_t ahead_ns = (record->time_us - pr_clock_real_us()) * 1000;
            wait_ns = ahead_ns > wait_ns ? ahead_ns : wait_ns;
        }
        if (wait_ns <= 0) {
            return;
        }
        pass_time(p, wait_ns / ns_per_ms + 1);
    }
}

static bool hand_over(struct publish *p, int64_t line, enum pr_sink_format format, struct pr_span key,
                      struct pr_span value) {
    p->put++;
    if (p->is_dry) {
        return true;
    }
    return pr_sink_put(&p->sink, line, format, key, value) || fail(p, p->sink.error);
}

static void reject(struct publish *p, int64_t line, const char *reason, const struct pr_record_fault *fault,
                   struct pr_span text) {
    clear_progress(p);
    pr_rejects_add(&p->rejects, line, reason, fault, text);
    if (!p->is_dry) {
        pr_sink_skip(&p->sink, line);
    }
}

static void publish_record(struct publish *p, int64_t line, struct pr_record *record, struct pr_span text) {
    pr_retime_apply(&p->retime, line, record);
    pr_buf_reset(&p->encoded);
    if (p->format == PR_SINK_JSON) {
        pr_record_encode_json(record, &p->encoded);
    } else {
        pr_record_encode_msgpack(record, &p->encoded);
    }
    if (p->encoded.failed || p->encoded.n > PR_RECORD_BYTES_MAX) {
        struct pr_record_fault fault = {
            .text = "encoded it has more than 64 KiB: carry less in data, or try the other --format"};
        reject(p, line, pr_record_status_name(PR_RECORD_TOO_LARGE), &fault, text);
        return;
    }
    keep_pace(p, record);
    if (may_go_on(p)) {
        (void)hand_over(p, line, p->format, record->to, pr_buf_span(&p->encoded));
    }
}

/* One line that is not blank. */
static void publish_line(struct publish *p, int64_t line, struct pr_span text, bool is_cut) {
    struct pr_record_input input = {.value = text};
    struct pr_record record;
    struct pr_record_fault fault = {.text = "the line has more than 1 MiB; a record has at most 64 KiB"};
    enum pr_record_status status = PR_RECORD_TOO_LARGE;
    p->events++;
    if (!is_cut) {
        pr_arena_reset(&p->arena);
        status = pr_record_decode(&input, &p->arena, &record, &fault);
    }
    if (status == PR_RECORD_OK) {
        publish_record(p, line, &record, text);
    } else if (p->is_raw && !is_cut) {
        keep_pace(p, NULL);
        if (may_go_on(p)) {
            (void)hand_over(p, line, PR_SINK_RAW, (struct pr_span){NULL, 0}, text);
        }
    } else {
        reject(p, line, pr_record_status_name(status), &fault, text);
    }
}

/* False at the end of the input, or when there is nothing more to do. */
static bool publish_next(struct publish *p) {
    struct pr_span text;
    if (!p->is_dry && !pr_sink_has_room(&p->sink)) {
        pass_time(p, WAIT_MS);
        return true;
    }
    enum pr_ndjson_status status = pr_ndjson_next(p->in, WAIT_MS, &text);
    int64_t line = pr_ndjson_line(p->in);
    switch (status) {
    case PR_NDJSON_WAIT: return true;
    case PR_NDJSON_END: return false;
    case PR_NDJSON_FAILED: return fail(p, pr_ndjson_error(p->in));
    case PR_NDJSON_LINE:
    case PR_NDJSON_LONG: break;
    }
    if (line <= p->resume.line) {
        return true;
    }
    if (status == PR_NDJSON_LINE && pr_ndjson_is_blank(text)) {
        if (!p->is_dry) {
            pr_sink_skip(&p->sink, line);
        }
        return true;
    }
    publish_line(p, line, text, status == PR_NDJSON_LONG);
    return true;
}

/* Whether the end of the input was reached; false also when --limit was. */
static bool publish_all(struct publish *p) {
    bool is_more = true;
    while (is_more && may_go_on(p) && (p->limit == 0 || p->put < p->limit)) {
        is_more = publish_next(p);
        if (!p->is_dry) {
            pr_sink_poll(&p->sink, 0);
        }
        tick(p);
    }
    return !is_more && may_go_on(p);
}

static void say_how_to_go_on(const struct publish *p) {
    if (p->resume.path) {
        pr_error("stopped behind line %" PRId64 "; the same command goes on from there (%s)", line_done(p),
                 p->resume.path);
    } else {
        pr_error("stopped; nothing keeps the place, because standard input needs --resume FILE for that");
    }
}

static void summarize(struct publish *p) {
    char put[PR_COUNT_TEXT], events[PR_COUNT_TEXT], rejects[PR_COUNT_TEXT];
    double seconds = (double)(pr_clock_mono_ns() - p->start_ns) / 1e9;
    clear_progress(p);
    printf("%s %s of %s events onto %s in %.1f s", p->is_dry ? "would publish" : "published",
           pr_count(p->is_dry ? p->put : p->sink.delivered, put), pr_count(p->events, events), p->topic, seconds);
    if (p->rejects.n > 0) {
        printf(", %s rejected%s%s%s", pr_count(p->rejects.n, rejects), p->rejects.path ? " (" : "",
               p->rejects.path ? p->rejects.path : "", p->rejects.path ? ")" : "");
    }
    printf("%s\n", p->is_dry ? "; nothing was sent" : "");
}

static enum pr_exit run(struct publish *p) {
    p->start_ns = p->paced_from_ns = pr_clock_mono_ns();
    p->next_resume_ns = p->start_ns + RESUME_EVERY_MS * ns_per_ms;
    p->next_progress_ns = p->start_ns + (p->is_terminal ? PROGRESS_AFTER_MS : PROGRESS_LOG_MS) * ns_per_ms;
    pr_interrupt_catch();
    bool is_whole = publish_all(p);
    if (!p->is_dry) {
        pr_sink_flush(&p->sink, pr_is_interrupted() ? FLUSH_STOPPED_MS : FLUSH_MS);
        is_whole = is_whole && p->sink.failed == 0;
        write_resume(p, is_whole);
    }
    summarize(p);
    if (!p->is_dry && p->sink.failed > 0) {
        pr_error("%" PRId64 " events could not be delivered: %s", p->sink.failed, p->sink.error);
        p->is_failed = true;
    }
    if (pr_is_interrupted() || p->is_failed) {
        if (!p->is_dry) {
            say_how_to_go_on(p);
        }
        return PR_EXIT_FAILED;
    }
    if (!is_whole && !p->is_dry) {
        say_how_to_go_on(p); /* --limit */
    }
    return p->rejects.n + p->resume.rejected > 0 ? PR_EXIT_REJECTS : PR_EXIT_DONE;
}

/* Opens everything in the order in which a fault is cheapest to find. */
static enum pr_exit open_and_run(struct publish *p) {
    char error[PR_NDJSON_ERROR_TEXT];
    p->in = pr_ndjson_open(p->input, error);
    if (!p->in) {
        pr_error("%s", error);
        return PR_EXIT_FAILED;
    }
    if (!open_resume(p)) {
        return PR_EXIT_FAILED;
    }
    if (p->resume.is_finished) {
        printf("%s is already published onto %s (%s); --again to publish again\n", p->input, p->topic, p->resume.path);
        return PR_EXIT_DONE;
    }
    if (p->resume.line > 0) {
        pr_error("going on behind line %" PRId64 " (%s)", p->resume.line, p->resume.path);
    }
    if (!pr_rejects_open(&p->rejects, p->rejects_path, p->resume.line > 0)) {
        return PR_EXIT_FAILED;
    }
    if (!p->is_dry && !pr_sink_init(&p->sink, &p->kafka, p->topic)) {
        return PR_EXIT_FAILED;
    }
    return run(p);
}

static enum pr_exit publish(struct pr_call *call) {
    static struct publish p; /* some KiB of paths */
    p = (struct publish){
        .topic = "postrider.events", .format_text = "msgpack", .is_terminal = isatty(STDERR_FILENO) == 1};
    enum pr_exit code = read_options(&p, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    pr_arena_init(&p.arena, PR_RECORD_ARENA_MAX);
    pr_buf_init(&p.encoded, ENCODED_MAX);
    code = open_and_run(&p);
    pr_sink_free(&p.sink);
    if (!pr_rejects_close(&p.rejects) && (code == PR_EXIT_DONE || code == PR_EXIT_REJECTS)) {
        code = PR_EXIT_FAILED;
    }
    pr_buf_free(&p.encoded);
    pr_arena_free(&p.arena);
    pr_ndjson_close(p.in);
    return code;
}

const struct pr_command pr_command_publish = {
    .noun = "publish",
    .verb = "",
    .summary = "Put events from an NDJSON file onto Kafka",
    .usage = "postrider publish FILE.ndjson|FILE.ndjson.gz|- [OPTION]…\n"
             "  --topic TOPIC          where to (postrider.events)\n" PR_KAFKA_USAGE
             "  --format FORMAT        msgpack (default) or json: the encoding on Kafka\n"
             "  --retime now           put the events into the present, 1 microsecond apart, in the order of the file\n"
             "  --retime 1000x         play them from now on, a thousand times faster, each when its time has come\n"
             "  --rate N/s             at most so many (also N/min, N/h)\n"
             "  --rejects FILE         collect rejected lines there, with line, field and reason (NDJSON)\n"
             "  --resume FILE          where the place is kept (FILE.ndjson.resume; needed for standard input to be "
             "resumable)\n"
             "  --again                publish from the first line although the resume file says otherwise\n"
             "  --limit N              stop after N events; the same command goes on from there\n"
             "  --raw                  publish lines that are no legal record as they are instead of rejecting them: "
             "makes dead letters,\n"
             "                         for tests\n"
             "  --dry-run              check every line, publish nothing\n"
             "The producer is idempotent and waits for all replicas. Ids and dates inside data are not changed by "
             "--retime.\n",
    .run = publish,
};
