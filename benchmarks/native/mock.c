/* An OpenAI-compatible upstream that costs as little as possible: one thread, epoll, no JSON parser.
 *
 *     mock PORT
 *
 * POST /v1/chat/completions answers with a fixed completion, or with an SSE stream of `max_tokens` events,
 * each sent by itself, then a finish event, the usage event if asked for, and [DONE]. `"seed": N` in the
 * request is the pause between two tokens in microseconds, so that one mock serves all scenarios. Every
 * token is "t<nanoseconds of CLOCK_MONOTONIC>": a client on this machine reads each event's transit time.
 * Anything else is answered with a list of one model.
 */
#define _GNU_SOURCE
#include "base.h"

#include <errno.h>
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

enum { EVENTS_AT_ONCE = 256, READ_BYTES = 16384, NOT_IN_HEAP = -1 };

struct connection {
    int fd;
    struct buffer in, out;
    bool waits_to_write, closing, keep_alive;
    /* the stream it is served, if any */
    bool streaming, wants_usage;
    long tokens_left, tokens_total;
    uint64_t pause_ns, due_ns;
    int heap_index;
};

static int poller;

/* ------------------------------------------------------------------ timers: a binary heap by due time */

static struct connection **heap;
static int heap_size, heap_capacity;

static void heap_put(int at, struct connection *c) {
    heap[at] = c;
    c->heap_index = at;
}

static void heap_rise(int at) {
    struct connection *c = heap[at];
    for (; at > 0 && heap[(at - 1) / 2]->due_ns > c->due_ns; at = (at - 1) / 2)
        heap_put(at, heap[(at - 1) / 2]);
    heap_put(at, c);
}

static void heap_sink(int at) {
    struct connection *c = heap[at];
    for (int child; (child = 2 * at + 1) < heap_size; at = child) {
        if (child + 1 < heap_size && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
        if (heap[child]->due_ns >= c->due_ns) break;
        heap_put(at, heap[child]);
    }
    heap_put(at, c);
}

static void heap_add(struct connection *c) {
    if (heap_size == heap_capacity) {
        heap_capacity = heap_capacity ? 2 * heap_capacity : 256;
        heap = take_more(heap, (size_t)heap_capacity * sizeof *heap);
    }
    heap_put(heap_size, c);
    heap_rise(heap_size++);
}

static void heap_remove(struct connection *c) {
    int at = c->heap_index;
    if (at == NOT_IN_HEAP) return;
    c->heap_index = NOT_IN_HEAP;
    if (at == --heap_size) return;
    heap_put(at, heap[heap_size]);
    heap_sink(at);
    heap_rise(heap[at]->heap_index);
}

/* ------------------------------------------------------------------ sending */

static void wait_to_write(struct connection *c, bool wanted) {
    if (c->waits_to_write == wanted) return;
    c->waits_to_write = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

/* Send now what the socket takes, keep the rest; false when the peer is gone. */
static bool send_bytes(struct connection *c, const char *bytes, size_t count) {
    if (!buffer_length(&c->out)) {
        ssize_t sent = send(c->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0) sent = 0;
        bytes += sent;
        count -= (size_t)sent;
    }
    if (count) {
        buffer_append(&c->out, bytes, count);
        wait_to_write(c, true);
    }
    return true;
}

static bool send_rest(struct connection *c) {
    ssize_t sent = send(c->fd, buffer_head(&c->out), buffer_length(&c->out), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    buffer_consume(&c->out, (size_t)sent);
    if (!buffer_length(&c->out)) {
        wait_to_write(c, false);
        return !c->closing;
    }
    return true;
}

static bool send_json(struct connection *c, const char *body) {
    char answer[2048];
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        strlen(body), body);
    return send_bytes(c, answer, (size_t)size);
}

#define CHUNK_START                                                                                        \
    "data: {\"id\":\"chatcmpl-9f8e7d6c5b4a3928\",\"object\":\"chat.completion.chunk\","                        \
    "\"created\":1760000000,\"model\":\"mock\",\"choices\":"

/* Send one SSE event as one HTTP chunk and one send(). */
static bool send_event(struct connection *c, const char *text, size_t size) {
    char frame[1024];
    int head = snprintf(frame, sizeof frame, "%zx\r\n", size);
    memcpy(frame + head, text, size);
    memcpy(frame + head + size, "\r\n", 2);
    return send_bytes(c, frame, (size_t)head + size + 2);
}

static bool send_token(struct connection *c) {
    char text[512];
    bool first = c->tokens_left-- == c->tokens_total;
    int size = snprintf(text, sizeof text,
                        CHUNK_START "[{\"index\":0,\"delta\":{%s\"content\":\"t%" PRIu64 "\"},"
                                    "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                        first ? "\"role\":\"assistant\"," : "", now_ns());
    return send_event(c, text, (size_t)size);
}

static bool send_stream_end(struct connection *c) {
    static const char finish[] =
        CHUNK_START "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n";
    if (!send_event(c, finish, sizeof finish - 1)) return false;
    if (c->wants_usage) {
        char text[512];
        int size = snprintf(text, sizeof text,
                            CHUNK_START "[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":%ld,"
                                        "\"total_tokens\":%ld}}\n\n",
                            c->tokens_total, c->tokens_total + 12);
        if (!send_event(c, text, (size_t)size)) return false;
    }
    static const char done[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    return send_bytes(c, done, sizeof done - 1);
}

/* ------------------------------------------------------------------ requests */

/* Find the value of a JSON key that stands nowhere else in a benchmark's body. */
static const char *find_value(const char *body, size_t size, const char *key) {
    const char *at = memmem(body, size, key, strlen(key)), *end = body + size;
    if (!at) return NULL;
    for (at += strlen(key); at < end && (*at == ' ' || *at == ':');) at++;
    return at < end ? at : NULL;
}

static long number_in(const char *body, size_t size, const char *key, long otherwise) {
    const char *value = find_value(body, size, key);
    return value && *value >= '0' && *value <= '9' ? strtol(value, NULL, 10) : otherwise;
}

static bool true_in(const char *body, size_t size, const char *key) {
    const char *value = find_value(body, size, key);
    return value && *value == 't';
}

static bool start_stream(struct connection *c, const char *body, size_t size) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    long tokens = number_in(body, size, "\"max_tokens\"", 16);
    c->tokens_total = c->tokens_left = number_in(body, size, "\"max_completion_tokens\"", tokens);
    c->pause_ns = (uint64_t)number_in(body, size, "\"seed\"", 0) * 1000;
    c->wants_usage = true_in(body, size, "\"include_usage\"");
    c->streaming = true;
    c->due_ns = now_ns();
    heap_add(c);
    return send_bytes(c, head, sizeof head - 1);
}

static bool answer(struct connection *c, const char *head, const char *body, size_t size) {
    static const char completion[] =
        "{\"id\":\"chatcmpl-9f8e7d6c5b4a3928\",\"object\":\"chat.completion\",\"created\":1760000000,"
        "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
        "\"The quick brown fox jumps over the lazy dog, and then it rests a while.\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,"
        "\"completion_tokens\":18,\"total_tokens\":30}}";
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                                 "\"created\":1760000000,\"owned_by\":\"mock\"}]}";
    if (memcmp(head, "POST", 4)) return send_json(c, models);
    return true_in(body, size, "\"stream\"") ? start_stream(c, body, size) : send_json(c, completion);
}

/* Serve the complete requests in the buffer, one at a time; false when the connection is to be closed. */
static bool serve(struct connection *c) {
    while (!c->streaming && buffer_length(&c->in)) {
        const char *head = buffer_head(&c->in);
        const char *end = memmem(head, buffer_length(&c->in), "\r\n\r\n", 4);
        if (!end) return true;
        size_t head_size = (size_t)(end - head) + 4;
        const char *length = find_header(head, head_size, "content-length:");
        size_t body_size = length ? strtoul(length, NULL, 10) : 0;
        if (buffer_length(&c->in) < head_size + body_size) return true;
        const char *connection = find_header(head, head_size, "connection:");
        c->keep_alive = !(connection && !strncasecmp(connection, "close", 5));
        if (!answer(c, head, head + head_size, body_size)) return false;
        buffer_consume(&c->in, head_size + body_size);
        if (!c->keep_alive && !c->streaming) c->closing = true;
    }
    return !(c->closing && !buffer_length(&c->out));
}

/* Send what is due on a stream; false when the connection is to be closed. */
static bool step_stream(struct connection *c) {
    if (c->tokens_left > 0) {
        if (!send_token(c)) return false;
        if (c->tokens_left > 0 || c->pause_ns) {
            c->due_ns += c->pause_ns;
            heap_add(c);
            return true;
        }
    }
    if (!send_stream_end(c)) return false;
    c->streaming = false;
    c->closing = !c->keep_alive;
    return serve(c);
}

/* ------------------------------------------------------------------ the loop */

static void drop(struct connection *c) {
    heap_remove(c);
    close(c->fd);
    buffer_free(&c->in);
    buffer_free(&c->out);
    free(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = take(sizeof *c);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = fd;
        c->heap_index = NOT_IN_HEAP;
        set_nodelay(fd);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static bool receive(struct connection *c) {
    for (;;) {
        ssize_t got = recv(c->fd, buffer_room(&c->in, READ_BYTES), READ_BYTES, 0);
        if (got < 0 && errno == EAGAIN) return serve(c);
        if (got <= 0) return false;
        c->in.end += (size_t)got;
        if (got < READ_BYTES) return serve(c);
    }
}

static void run_due_streams(void) {
    uint64_t now = now_ns();
    for (int turns = 2 * heap_size; turns > 0 && heap_size && heap[0]->due_ns <= now; turns--) {
        struct connection *c = heap[0];
        heap_remove(c);
        if (!step_stream(c)) drop(c);
    }
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: mock PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    int listener = listen_on(atoi(arguments[1]));
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_AT_ONCE];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct timespec wait, *timeout = NULL;
        if (heap_size) {
            uint64_t now = now_ns(), due = heap[0]->due_ns, left = due > now ? due - now : 0;
            wait = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
            timeout = &wait;
        }
        int ready = epoll_pwait2(poller, events, EVENTS_AT_ONCE, timeout, NULL);
        if (ready < 0 && errno != EINTR) die("epoll_pwait2");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
            } else if ((events[i].events & EPOLLOUT) && !send_rest(c)) {
                drop(c);
            } else if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !receive(c)) {
                drop(c);
            }
        }
        run_due_streams();
    }
}
