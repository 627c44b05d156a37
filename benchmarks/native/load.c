/* A load generator for chat completions: one thread, epoll; prints one line of JSON.
 *
 *     load --port P --connections N --seconds S [--requests N] [--rate R] [--stream] [--tokens N]
 *          [--pause-us N] [--ramp-ms N] [--padding BYTES] [--model NAME] [--key KEY | --keys FILE]
 *          [--header LINE]... [--progress]
 *
 * Without --rate the loop is closed: each connection sends its next request when it has read an answer.
 * With --rate requests start at that rate whatever the answers do, and latency counts from the intended
 * start, so that waiting for a free connection is not hidden. A stream's tokens carry the time at which
 * the mock sent them; the difference to the time of reading is an event's transit. With --keys each
 * request brings the next of the file's lines, all of which have the same length. With --progress it says at
 * once, and whenever SIGUSR1 asks, how far it is: the streams that have begun, the tokens that have come.
 */
#define _GNU_SOURCE
#include "base.h"
#include "supply.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 256, READ_BYTES = 65536 };
#define SECOND 1000000000u
#define LATE_AFTER (90ull * SECOND) /* what has not been answered by then counts as failed */

static struct {
    int port, connections;
    double seconds, rate;
    long requests, tokens, pause_us, ramp_ms, padding;
    bool stream;
    const char *model, *key, *keys, *headers[8];
    int header_count;
} options = {.connections = 1, .seconds = 1, .tokens = 16, .model = "mock"};

/* ------------------------------------------------------------------ what was measured */

static struct samples latencies, first_tokens, transits;
static uint64_t answered, failed, cut_short, tokens_read, usages_read;
static struct buffer first_error;

static void print_results(double wall) {
    printf("{\"answered\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"short\": %" PRIu64, answered, failed, cut_short);
    printf(", \"tokens\": %" PRIu64 ", \"usages\": %" PRIu64 ", \"seconds\": %.4f", tokens_read, usages_read, wall);
    print_samples("latency_us", &latencies);
    print_samples("first_token_us", &first_tokens);
    print_samples("transit_us", &transits);
    printf(", \"first_error\": \"");
    for (size_t i = 0; i < buffer_length(&first_error) && i < 300; i++) {
        unsigned char byte = (unsigned char)buffer_head(&first_error)[i];
        putchar(byte == '"' || byte == '\\' ? '\'' : byte < 32 || byte > 126 ? ' ' : byte);
    }
    printf("\"}\n");
}

static volatile sig_atomic_t asked;
static uint64_t begun;

static void note_question(int number) {
    (void)number;
    asked = 1;
}

static void answer_question(void) {
    if (!asked) return;
    asked = 0;
    printf("{\"begun\": %" PRIu64 ", \"tokens\": %" PRIu64 "}\n", begun, tokens_read);
    fflush(stdout);
}

/* ------------------------------------------------------------------ connections */

enum phase { IDLE, HEAD, SIZED_BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct connection {
    int fd;
    enum phase phase;
    struct buffer in, line;
    int status;
    bool closes, done;
    size_t remaining;
    long tokens;
    uint64_t started_ns;
};

static int poller, active, idle_count;
static struct connection **idle;
static struct buffer request;
static struct keys keys;
static size_t key_at;

static void disconnect(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    buffer_consume(&c->in, buffer_length(&c->in));
}

static bool ensure_connected(struct connection *c) {
    if (c->fd >= 0) return true;
    c->fd = connect_to(options.port);
    if (c->fd < 0) return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    return true;
}

static void give_back(struct connection *c) {
    c->phase = IDLE;
    idle[idle_count++] = c;
    active--;
}

static void fail(struct connection *c, const char *why) {
    failed++;
    if (!first_error.end) buffer_printf(&first_error, "%s", why);
    disconnect(c);
    give_back(c);
}

/* Send the request; a kept connection may have been closed meanwhile, so try once more on a new one. */
static void start(struct connection *c, uint64_t intended_ns) {
    c->phase = HEAD;
    c->done = false;
    c->tokens = 0;
    c->started_ns = intended_ns;
    if (options.keys) memcpy(request.data + key_at, next_key(&keys), keys.size);
    buffer_consume(&c->line, buffer_length(&c->line));
    active++;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t size = buffer_length(&request);
        if (!ensure_connected(c)) break;
        if (send(c->fd, buffer_head(&request), size, MSG_NOSIGNAL) == (ssize_t)size) return;
        disconnect(c);
    }
    char why[80];
    snprintf(why, sizeof why, "cannot connect or send: %s", strerror(errno));
    fail(c, why);
}

static void finish(struct connection *c, uint64_t now) {
    if (c->status != 200) {
        failed++;
    } else if (options.stream && (c->tokens != options.tokens || !c->done)) {
        cut_short++;
    } else {
        answered++;
        add_sample(&latencies, now - c->started_ns);
    }
    if (c->closes) disconnect(c);
    give_back(c);
}

/* ------------------------------------------------------------------ reading answers */

static void read_line(struct connection *c, const char *line, uint64_t now) {
    if (strncmp(line, "data:", 5)) return;
    if (strstr(line, "[DONE]")) c->done = true;
    if (strstr(line, "\"total_tokens\":")) usages_read++;
    static const char key[] = "\"content\":";
    for (const char *at = line; (at = strstr(at, key));) {
        at += sizeof key - 1;
        while (*at == ' ') at++;
        if (at[0] != '"' || at[1] != 't' || !isdigit((unsigned char)at[2])) continue;
        uint64_t sent = strtoull(at + 2, NULL, 10);
        add_sample(&transits, now > sent ? now - sent : 0);
        if (!c->tokens++) {
            begun++;
            add_sample(&first_tokens, now - c->started_ns);
        }
        tokens_read++;
    }
}

static void read_body(struct connection *c, const char *bytes, size_t count, uint64_t now) {
    if (c->status != 200 && buffer_length(&first_error) < 300) buffer_append(&first_error, bytes, count);
    if (c->status != 200 || !options.stream) return;
    while (count) {
        const char *newline = memchr(bytes, '\n', count);
        size_t size = newline ? (size_t)(newline - bytes) : count;
        buffer_append(&c->line, bytes, size);
        if (!newline) return;
        c->line.data[c->line.end] = 0;
        read_line(c, buffer_head(&c->line), now);
        buffer_consume(&c->line, buffer_length(&c->line));
        bytes += size + 1;
        count -= size + 1;
    }
}

static void read_head(struct connection *c, size_t size) {
    const char *head = buffer_head(&c->in);
    const char *length = find_header(head, size, "content-length:");
    const char *connection = find_header(head, size, "connection:");
    c->status = atoi(head + sizeof "HTTP/1.1");
    c->closes = connection && !strncasecmp(connection, "close", 5);
    c->remaining = length ? strtoul(length, NULL, 10) : 0;
    c->phase = length ? SIZED_BODY : CHUNK_SIZE;
    buffer_consume(&c->in, size);
}

/* Take one step through what has arrived; false when more bytes are needed or the answer is complete. */
static bool step(struct connection *c, uint64_t now) {
    size_t have = buffer_length(&c->in);
    const char *bytes = buffer_head(&c->in), *end;
    switch (c->phase) {
    case IDLE:
        return false;
    case HEAD:
        if (!have || !(end = memmem(bytes, have, "\r\n\r\n", 4))) return false;
        read_head(c, (size_t)(end - bytes) + 4);
        return true;
    case SIZED_BODY:
    case CHUNK_DATA:
        if (!have && c->remaining) return false;
        have = have < c->remaining ? have : c->remaining;
        read_body(c, bytes, have, now);
        buffer_consume(&c->in, have);
        c->remaining -= have;
        if (c->remaining) return true;
        if (c->phase == CHUNK_DATA) {
            c->phase = CHUNK_END;
            return true;
        }
        finish(c, now);
        return false;
    case CHUNK_END:
        if (have < 2) return false;
        buffer_consume(&c->in, 2);
        c->phase = CHUNK_SIZE;
        return true;
    case CHUNK_SIZE:
    case TRAILER:
        if (!have || !(end = memmem(bytes, have, "\r\n", 2))) return false;
        c->remaining = c->phase == CHUNK_SIZE ? strtoul(bytes, NULL, 16) : 0;
        buffer_consume(&c->in, (size_t)(end - bytes) + 2);
        if (c->phase == CHUNK_SIZE) {
            c->phase = c->remaining ? CHUNK_DATA : TRAILER;
            return true;
        }
        if (end != bytes) return true; /* a trailer field; the empty line comes later */
        finish(c, now);
        return false;
    }
    return false;
}

static void receive(struct connection *c) {
    if (c->fd < 0) return;
    ssize_t got = recv(c->fd, buffer_room(&c->in, READ_BYTES), READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    uint64_t now = now_ns();
    if (got <= 0) {
        if (c->phase == IDLE) {
            disconnect(c);
        } else {
            fail(c, "the connection was closed before the end of the answer");
        }
        return;
    }
    c->in.end += (size_t)got;
    while (step(c, now)) continue;
}

/* ------------------------------------------------------------------ the load */

static void write_request(void) {
    struct buffer body = {0};
    buffer_printf(&body,
                  "{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
                  "assistant.\"},{\"role\":\"user\",\"content\":\"Tell me about the quick brown fox",
                  options.model);
    for (long i = 0; i < options.padding; i++) buffer_append(&body, &" words"[i % 6], 1);
    buffer_printf(&body, ".\"}],\"max_tokens\":%ld,\"temperature\":0.7", options.tokens);
    if (options.stream)
        buffer_printf(&body, ",\"seed\":%ld,\"stream\":true,\"stream_options\":{\"include_usage\":true}",
                      options.pause_us);
    buffer_printf(&body, "}");
    buffer_printf(&request,
                  "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\n"
                  "Accept: */*\r\nContent-Type: application/json\r\n",
                  options.port);
    if (options.keys) read_keys(&keys, options.keys);
    if (options.keys || options.key) {
        buffer_printf(&request, "Authorization: Bearer ");
        key_at = request.end;
        if (options.keys) buffer_append(&request, keys.lines.data, keys.size);
        buffer_printf(&request, "%s\r\n", options.keys ? "" : options.key);
    }
    for (int i = 0; i < options.header_count; i++) buffer_printf(&request, "%s\r\n", options.headers[i]);
    buffer_printf(&request, "Content-Length: %zu\r\n\r\n", buffer_length(&body));
    buffer_append(&request, buffer_head(&body), buffer_length(&body));
    buffer_free(&body);
}

/* Start what is due; return when to look again, or 0 when nothing more will be started. */
static uint64_t start_due(uint64_t begin, uint64_t now) {
    static uint64_t started;
    uint64_t end = begin + (uint64_t)(options.seconds * SECOND);
    for (;;) {
        if (now >= end || (options.requests && started >= (uint64_t)options.requests)) return 0;
        uint64_t due = now;
        if (options.rate > 0) {
            due = begin + (uint64_t)((double)started * SECOND / options.rate);
        } else if (options.ramp_ms && started < (uint64_t)options.connections) {
            due = begin + started * (uint64_t)options.ramp_ms * 1000000u / (uint64_t)options.connections;
        }
        if (due >= end) return 0;
        if (due > now) return due;
        if (!idle_count) return now + SECOND / 10; /* a finished answer wakes the loop before that */
        start(idle[--idle_count], due);
        started++;
        if (failed > 1000) return 0;
    }
}

static void run(void) {
    struct connection *all = take((size_t)options.connections * sizeof *all);
    idle = take((size_t)options.connections * sizeof *idle);
    for (int i = options.connections; i-- > 0;) {
        all[i].fd = -1;
        idle[idle_count++] = &all[i];
    }
    poller = epoll_create1(0);
    struct epoll_event events[EVENTS_AT_ONCE];
    uint64_t begin = now_ns(), give_up = begin + (uint64_t)(options.seconds * SECOND) + LATE_AFTER;
    for (;;) {
        uint64_t now = now_ns(), next = start_due(begin, now);
        if (!active && !next) break;
        if (now > give_up) {
            failed += (uint64_t)active;
            break;
        }
        now = now_ns();
        uint64_t wait = !next ? SECOND / 10 : next > now ? next - now : 0;
        struct timespec timeout = {(time_t)(wait / SECOND), (long)(wait % SECOND)};
        int ready = epoll_pwait2(poller, events, EVENTS_AT_ONCE, &timeout, NULL);
        if (ready < 0 && errno != EINTR) die("epoll_pwait2");
        for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
        answer_question();
    }
    print_results((double)(now_ns() - begin) / SECOND);
}

int main(int count, char **arguments) {
    enum { PORT, CONNECTIONS, SECONDS, REQUESTS, RATE, STREAM, TOKENS, PAUSE, RAMP, PADDING, MODEL, KEY, KEYS, PROGRESS, HEADER };
    static const struct option known[] = {
        {"port", required_argument, NULL, PORT},       {"connections", required_argument, NULL, CONNECTIONS},
        {"seconds", required_argument, NULL, SECONDS}, {"requests", required_argument, NULL, REQUESTS},
        {"rate", required_argument, NULL, RATE},       {"stream", no_argument, NULL, STREAM},
        {"tokens", required_argument, NULL, TOKENS},   {"pause-us", required_argument, NULL, PAUSE},
        {"ramp-ms", required_argument, NULL, RAMP},    {"padding", required_argument, NULL, PADDING},
        {"model", required_argument, NULL, MODEL},     {"key", required_argument, NULL, KEY},
        {"keys", required_argument, NULL, KEYS},       {"progress", no_argument, NULL, PROGRESS},
        {"header", required_argument, NULL, HEADER},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (option) {
        case PORT: options.port = atoi(optarg); break;
        case CONNECTIONS: options.connections = atoi(optarg); break;
        case SECONDS: options.seconds = atof(optarg); break;
        case REQUESTS: options.requests = atol(optarg); break;
        case RATE: options.rate = atof(optarg); break;
        case STREAM: options.stream = true; break;
        case TOKENS: options.tokens = atol(optarg); break;
        case PAUSE: options.pause_us = atol(optarg); break;
        case RAMP: options.ramp_ms = atol(optarg); break;
        case PADDING: options.padding = atol(optarg); break;
        case MODEL: options.model = optarg; break;
        case KEY: options.key = optarg; break;
        case KEYS: options.keys = optarg; break;
        case PROGRESS: asked = 1; break;
        case HEADER:
            if (options.header_count < 8) options.headers[options.header_count++] = optarg;
            break;
        default: return 2;
        }
    }
    if (options.port <= 0 || options.connections <= 0) {
        fprintf(stderr, "load: --port and --connections are needed\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = note_question, .sa_flags = SA_RESTART}, NULL);
    raise_file_limit();
    write_request();
    answer_question();
    run();
    return 0;
}
