/* What the mock upstream and the load generator share: a clock, a growing buffer, a look into headers. */
#ifndef HOONIFY_BENCH_BASE_H
#define HOONIFY_BENCH_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC: the same clock in every process of this machine. */
uint64_t now_ns(void);

/* Print `what` with errno's text and exit with status 1. */
_Noreturn void die(const char *what);

/* Allocate or die; the second form keeps the content. */
void *take(size_t bytes);
void *take_more(void *old, size_t bytes);

/* Bytes at data[start..end); what was consumed is reclaimed when room is needed. */
struct buffer {
    char *data;
    size_t start, end, capacity;
};

static inline size_t buffer_length(const struct buffer *b) { return b->end - b->start; }
static inline char *buffer_head(const struct buffer *b) { return b->data + b->start; }

/* Make room for `bytes` more after the end and one terminating zero, and return where they go. */
char *buffer_room(struct buffer *b, size_t bytes);
void buffer_append(struct buffer *b, const void *bytes, size_t count);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *b, size_t count);
void buffer_free(struct buffer *b);

/* Find a header in a head of `length` bytes; `name` is lower case and ends in a colon. The value starts
   at the returned place, blanks skipped; NULL when there is none. */
const char *find_header(const char *head, size_t length, const char *name);

/* Let this process have as many connections as the system allows. */
void raise_file_limit(void);

/* Listen on, or connect to, a port of 127.0.0.1 with TCP_NODELAY; -1 when connecting fails. */
int listen_on(int port);
int connect_to(int port);
void set_nodelay(int fd);

#endif
