/* Codes and statuses as Meta's error reference lists them; messages in the words its API uses where those are published. */
#include "answer.h"

#include <stdio.h>

static const struct pr_error_kind errors[] = {
    {0, 401, "AuthException"},
    {1, 400, "API Unknown"},
    {2, 503, "API Service"},
    {3, 500, "API Method"},
    {4, 400, "Application request limit reached"},
    {10, 403, "Application does not have permission for this action"},
    {33, 400, "Parameter value is not valid"},
    {100, 400, "Invalid parameter"},
    {104, 401, "Access token missing"},
    {190, 401, "Invalid OAuth access token"},
    {200, 403, "API Permission"},
    {368, 403, "Temporarily blocked for policies violations"},
    {80007, 400, "Rate limit issues"},
    {80008, 400, "Too many calls to this account"},
    {130403, 400, "User has been blocked by the business"},
    {130429, 400, "Rate limit hit"},
    {130472, 400, "User's number is part of an experiment"},
    {130497, 403, "Business account is restricted from messaging users in this country"},
    {131000, 500, "Something went wrong"},
    {131005, 403, "Access denied"},
    {131008, 400, "Required parameter is missing"},
    {131009, 400, "Parameter value is not valid"},
    {131014, 400, "Request for url failed"},
    {131016, 500, "Service unavailable"},
    {131021, 400, "Recipient cannot be sender"},
    {131026, 400, "Message undeliverable"},
    {131030, 400, "Recipient phone number not in allowed list"},
    {131031, 403, "Account has been locked"},
    {131037, 400, "Display name approval needed"},
    {131042, 400, "Business eligibility payment issue"},
    {131044, 400, "Business eligibility payment issue"},
    {131045, 500, "Incorrect certificate"},
    {131047, 400, "Re-engagement message"},
    {131048, 400, "Spam rate limit hit"},
    {131049, 400, "This message was not delivered to maintain healthy ecosystem engagement"},
    {131050, 400, "User has stopped marketing messages from your business"},
    {131051, 400, "Unsupported message type"},
    {131052, 400, "Media download error"},
    {131053, 400, "Media upload error"},
    {131055, 400, "Method not allowed"},
    {131056, 400, "(Business Account, Consumer Account) pair rate limit hit"},
    {131057, 500, "Account in maintenance mode"},
    {131062, 400, "Business-scoped user id recipient not supported for this message"},
    {131063, 400, "Marketing templates disabled for Cloud API"},
    {131064, 400, "Messaging limit reduced"},
    {132000, 400, "Number of parameters does not match the expected number of params"},
    {132001, 404, "Template name does not exist in the translation"},
    {132005, 400, "Translated text too long"},
    {132007, 400, "Template format character policy violated"},
    {132008, 400, "Template parameter value invalid"},
    {132012, 400, "Parameter format does not match format in the created template"},
    {132015, 400, "Template is paused"},
    {132016, 400, "Template is disabled"},
    {132018, 400, "There's an issue with the parameters in your template"},
    {132068, 400, "Flow is in blocked state"},
    {132069, 400, "Flow is in throttled state"},
    {133000, 500, "Incomplete deregistration"},
    {133004, 503, "Server temporarily unavailable"},
    {133005, 400, "Two step verification PIN mismatch"},
    {133006, 400, "Phone number re-verification needed"},
    {133008, 400, "Too many two step verification PIN guesses"},
    {133009, 400, "Two step verification PIN guessed too fast"},
    {133010, 400, "Phone number not registered"},
    {133015, 400, "Please wait a few minutes before attempting to register this phone number"},
    {133016, 400, "Account register/deregister rate limit exceeded"},
    {134011, 404, "Payments terms of service not accepted"},
    {134100, 400, "Only marketing messages are supported"},
    {134101, 400, "Template is still syncing"},
    {134102, 500, "Template is not available for use"},
    {135000, 400, "Generic user error"},
    {137000, 400, "Recipient identity key hash mismatch"},
};

const struct pr_error_kind *pr_error_kind(int code) {
    static const struct pr_error_kind other = {-1, 400, "Unknown error"};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code == code) {
            return &errors[i];
        }
    }
    return &other;
}

static const char *status_text(int http) {
    switch (http) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 411: return "Length Required";
    case 413: return "Payload Too Large";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
    }
}

void pr_answer_put(struct pr_answer *answer, int http, const char *type, const char *extra, struct pr_span body) {
    pr_buf_reset(answer->bytes);
    pr_buf_printf(answer->bytes, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%sContent-Length: %zu\r\n\r\n", http,
                  status_text(http), type, extra, answer->close ? "Connection: close\r\n" : "", body.n);
    pr_buf_put_span(answer->bytes, body);
}

/* Header lines that a fault asks for. */
static void fault_headers(const struct pr_fault *fault, char *out, size_t out_n) {
    out[0] = '\0';
    int n = 0;
    if (fault && fault->retry_after >= 0) {
        n = snprintf(out, out_n, "Retry-After: %d\r\n", fault->retry_after);
    }
    if (fault && fault->usage_minutes >= 0 && n >= 0 && (size_t)n < out_n) {
        (void)snprintf(
            out + n, out_n - (size_t)n,
            "X-Business-Use-Case-Usage: {\"0\":[{\"type\":\"whatsapp\",\"call_count\":100,\"total_cputime\":0,"
            "\"total_time\":0,\"estimated_time_to_regain_access\":%d}]}\r\n",
            fault->usage_minutes);
    }
}

void pr_answer_error(struct pr_answer *answer, int code, int http, int subcode, const char *details,
                     const struct pr_fault *fault, uint64_t trace) {
    const struct pr_error_kind *kind = pr_error_kind(code);
    struct pr_buf body;
    char extra[320];
    char message[160];
    pr_buf_init(&body, 8192);
    fault_headers(fault, extra, sizeof extra);
    (void)snprintf(message, sizeof message, "(#%d) %s", code, kind->message);
    pr_buf_put_text(&body, "{\"error\":{\"message\":");
    pr_buf_put_json(&body, pr_span_of(message));
    pr_buf_printf(&body, ",\"type\":\"OAuthException\",\"code\":%d", code);
    if (subcode) {
        pr_buf_printf(&body, ",\"error_subcode\":%d", subcode);
    }
    if (details) {
        pr_buf_put_text(&body, ",\"error_data\":{\"messaging_product\":\"whatsapp\",\"details\":");
        pr_buf_put_json(&body, pr_span_of(details));
        pr_buf_put_char(&body, '}');
    }
    pr_buf_printf(&body, ",\"fbtrace_id\":\"A%016llx\"}}", (unsigned long long)trace);
    pr_answer_put(answer, http ? http : kind->http, "application/json; charset=UTF-8", extra, pr_buf_span(&body));
    pr_buf_free(&body);
}

void pr_answer_status(struct pr_answer *answer, int http, const struct pr_fault *fault) {
    char extra[320];
    char page[160];
    fault_headers(fault, extra, sizeof extra);
    (void)snprintf(page, sizeof page, "<html><head><title>%d %s</title></head><body><h1>%d %s</h1></body></html>\n",
                   http, status_text(http), http, status_text(http));
    pr_answer_put(answer, http, "text/html", extra, pr_span_of(page));
}
